"""Reads table definitions from Dataverse's `EntityDefinitions`.

What is particular to one class of columns (targets, options, lengths) comes only
from a request that casts to that class, so a table costs one request for its columns
and one for each class that it uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from msgspec import Struct, field

from replication.domain.tables import (
    ColumnDef,
    ColumnType,
    FileDef,
    FileKind,
    Ownership,
    TableDef,
)
from replication.odata.errors import UnusableMetadataError
from replication.odata.names import is_plain, unique_names

Document = TypeVar("Document")

# Names in one `$filter`; far below the length of a URL that servers refuse.
_TABLES_PER_REQUEST = 25

LOGICAL_NAME = re.compile(r"[a-z_][a-z0-9_]{0,127}")

_TABLE_MEMBERS = (
    "LogicalName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,"
    "OwnershipType,IsActivity,ChangeTrackingEnabled,DisplayName,Privileges"
)
_COLUMN_MEMBERS = (
    "LogicalName,AttributeType,AttributeTypeName,AttributeOf,IsValidForRead,"
    "RequiredLevel,IsSecured,IsValidForCreate,IsValidForUpdate,MetadataId"
)

_TYPES = {
    "Uniqueidentifier": ColumnType.GUID,
    "String": ColumnType.STRING,
    "Memo": ColumnType.STRING,
    "EntityName": ColumnType.STRING,
    "Integer": ColumnType.INT,
    "Picklist": ColumnType.INT,
    "State": ColumnType.INT,
    "Status": ColumnType.INT,
    "BigInt": ColumnType.BIGINT,
    "Decimal": ColumnType.DECIMAL,
    "Money": ColumnType.DECIMAL,
    "Double": ColumnType.DOUBLE,
    "Boolean": ColumnType.BOOL,
    "DateTime": ColumnType.DATETIME,
    "Lookup": ColumnType.GUID,
    "Customer": ColumnType.GUID,
    "Owner": ColumnType.GUID,
    "MultiSelectPicklist": ColumnType.CHOICES,
}

_FILES: dict[str, FileKind] = {"File": "file", "Image": "image"}

# Texts that are a file's body in base64, by table.
_BODIES = frozenset(
    {("annotation", "documentbody"), ("activitymimeattachment", "body")}
)
# Those that can be fetched and sent alone.
_NOTES = frozenset({("annotation", "documentbody")})

_LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
_POLYMORPHIC = {"Customer": ("account", "contact"), "Owner": ("systemuser", "team")}

# The class to cast to, by attribute type, and what to ask it for.
_CASTS = {
    "Lookup": ("Lookup", "$select=LogicalName,Targets"),
    "Customer": ("Lookup", "$select=LogicalName,Targets"),
    "Owner": ("Lookup", "$select=LogicalName,Targets"),
    "String": ("String", "$select=LogicalName,MaxLength"),
    "Memo": ("Memo", "$select=LogicalName,MaxLength"),
    "Decimal": ("Decimal", "$select=LogicalName,Precision"),
    "Money": ("Money", "$select=LogicalName,Precision"),
    "DateTime": ("DateTime", "$select=LogicalName,Format,DateTimeBehavior"),
    "State": ("State", "$select=LogicalName&$expand=OptionSet"),
    "Status": ("Status", "$select=LogicalName&$expand=OptionSet"),
    "Picklist": ("Picklist", "$select=LogicalName&$expand=OptionSet,GlobalOptionSet"),
    "MultiSelectPicklist": (
        "MultiSelectPicklist",
        "$select=LogicalName&$expand=OptionSet,GlobalOptionSet",
    ),
}

_OWNERSHIP: dict[str, Ownership] = {
    "UserOwned": "user",
    "TeamOwned": "user",
    "BusinessOwned": "business",
    "BusinessParented": "business",
    "OrganizationOwned": "organization",
}


class Reader(Protocol):
    def document(self, path: str, *, shape: type[Document]) -> Document: ...


class _Value(Struct):
    value: str | None = field(default=None, name="Value")


class _LocalLabel(Struct):
    label: str | None = field(default=None, name="Label")


class _Label(Struct):
    user: _LocalLabel | None = field(default=None, name="UserLocalizedLabel")
    all: list[_LocalLabel] | None = field(default=None, name="LocalizedLabels")


class _Privilege(Struct):
    name: str = field(name="Name")
    kind: str = field(default="", name="PrivilegeType")


class _Table(Struct):
    name: str = field(name="LogicalName")
    entity_set: str | None = field(default=None, name="EntitySetName")
    key: str | None = field(default=None, name="PrimaryIdAttribute")
    primary_name: str | None = field(default=None, name="PrimaryNameAttribute")
    ownership: str | None = field(default=None, name="OwnershipType")
    is_activity: bool | None = field(default=None, name="IsActivity")
    tracked: bool | None = field(default=None, name="ChangeTrackingEnabled")
    label: _Label | None = field(default=None, name="DisplayName")
    privileges: list[_Privilege] | None = field(default=None, name="Privileges")


class _Tables(Struct):
    value: list[_Table]


class _Column(Struct):
    name: str = field(name="LogicalName")
    type: str | None = field(default=None, name="AttributeType")
    type_name: _Value | None = field(default=None, name="AttributeTypeName")
    attribute_of: str | None = field(default=None, name="AttributeOf")
    readable: bool | None = field(default=None, name="IsValidForRead")
    required: _Value | None = field(default=None, name="RequiredLevel")
    secured: bool | None = field(default=None, name="IsSecured")
    creatable: bool | None = field(default=None, name="IsValidForCreate")
    updatable: bool | None = field(default=None, name="IsValidForUpdate")
    id: str | None = field(default=None, name="MetadataId")


class _Columns(Struct):
    value: list[_Column]


class _Option(Struct):
    value: int = field(name="Value")
    label: _Label | None = field(default=None, name="Label")


class _OptionSet(Struct):
    options: list[_Option] | None = field(default=None, name="Options")


class _Details(Struct):
    """The members of all classes; each answer fills those of its own."""

    name: str = field(name="LogicalName")
    targets: list[str] | None = field(default=None, name="Targets")
    max_length: int | None = field(default=None, name="MaxLength")
    precision: int | None = field(default=None, name="Precision")
    behavior: _Value | None = field(default=None, name="DateTimeBehavior")
    own_options: _OptionSet | None = field(default=None, name="OptionSet")
    global_options: _OptionSet | None = field(default=None, name="GlobalOptionSet")


class _DetailsList(Struct):
    value: list[_Details]


def load_tables(reader: Reader, names: Iterable[str]) -> tuple[TableDef, ...]:
    """Return the definitions of these tables, in the order of the names.

    :raises UnusableMetadataError: a table's key is not among its readable columns.
    """
    found: dict[str, TableDef] = {}
    usable = [name for name in names if LOGICAL_NAME.fullmatch(name)]
    for start in range(0, len(usable), _TABLES_PER_REQUEST):
        wanted = usable[start : start + _TABLES_PER_REQUEST]
        condition = " or ".join(f"LogicalName eq '{name}'" for name in wanted)
        path = f"EntityDefinitions?$select={_TABLE_MEMBERS}&$filter={condition}"
        for table in reader.document(path, shape=_Tables).value:
            if table.entity_set and table.key:
                found[table.name] = _definition(reader, table)
    return tuple(found[name] for name in dict.fromkeys(usable) if name in found)


def _definition(reader: Reader, table: _Table) -> TableDef:
    listed = _listed(reader, table)
    columns = _columns(reader, table, listed)
    names = {column.name for column in columns}
    if table.key not in names:
        message = f"The key of {table.name} is not among its readable columns."
        raise UnusableMetadataError(message)
    return TableDef(
        name=table.name,
        entity_set=table.entity_set or "",
        key=(table.key,),
        columns=columns,
        primary_name=table.primary_name if table.primary_name in names else None,
        version_column="versionnumber" if "versionnumber" in names else None,
        ownership=_OWNERSHIP.get(table.ownership or "", "none"),
        tracked=bool(table.tracked),
        read_privilege=_read_privilege(table),
        label=_label(table.label),
        files=_files(table, listed),
    )


def _listed(reader: Reader, table: _Table) -> list[_Column]:
    path = f"{_address(table)}?$select={_COLUMN_MEMBERS}"
    return reader.document(path, shape=_Columns).value


def _address(table: _Table) -> str:
    return f"EntityDefinitions(LogicalName='{table.name}')/Attributes"


def _files(table: _Table, listed: Iterable[_Column]) -> tuple[FileDef, ...]:
    """The columns that hold files, which rows do not bring."""
    found = (
        FileDef(
            name=column.name,
            kind=kind,
            secured=bool(column.secured),
            updatable=column.updatable is not False,
        )
        for column in listed
        if (kind := _file_kind(table, column)) and is_plain(column.name)
    )
    return tuple(sorted(found, key=lambda file: file.name))


def _file_kind(table: _Table, column: _Column) -> FileKind | None:
    if column.attribute_of is not None or column.readable is False:
        return None
    if (table.name, column.name) in _NOTES:
        return "note"
    return _FILES.get(_type_of(column))


def _columns(
    reader: Reader, table: _Table, listed: Iterable[_Column]
) -> tuple[ColumnDef, ...]:
    """Return the columns: the key first, the others by name, companions last.

    So a column of the source keeps its name when a companion wants the same one.
    """
    taken = [
        column
        for column in listed
        if _is_taken(column) and (table.name, column.name) not in _BODIES
    ]
    taken.sort(key=lambda column: (column.name != table.key, column.name))
    details = _details(reader, _address(table), {_type_of(column) for column in taken})
    described = [(c, details.get(c.name) or _Details(name=c.name)) for c in taken]
    companions = [(c, d) for c, d in described if _is_polymorphic(c, d)]
    names = unique_names(
        [*(c.name for c in taken), *(f"{c.name}__type" for c, _ in companions)]
    )
    own = zip(names, described, strict=False)
    added = zip(names[len(taken) :], companions, strict=True)
    return (
        *(_column(name, column, detail) for name, (column, detail) in own),
        *(_companion(name, column) for name, (column, _) in added),
    )


def _is_taken(column: _Column) -> bool:
    """Leave out what has no value of its own in a row: names of lookups and choices,
    files, images, party lists, and whatever else the type table does not know."""
    return (
        column.attribute_of is None
        and column.readable is not False
        and _type_of(column) in _TYPES
        and is_plain(column.name)
    )


def _type_of(column: _Column) -> str:
    if column.type == "Virtual" and column.type_name is not None:
        return (column.type_name.value or "").removesuffix("Type")
    return column.type or ""


def _details(reader: Reader, address: str, types: set[str]) -> Mapping[str, _Details]:
    details: dict[str, _Details] = {}
    for cast, query in sorted({_CASTS[kind] for kind in types if kind in _CASTS}):
        path = f"{address}/Microsoft.Dynamics.CRM.{cast}AttributeMetadata?{query}"
        for detail in reader.document(path, shape=_DetailsList).value:
            details[detail.name] = detail
    return details


def _is_polymorphic(column: _Column, detail: _Details) -> bool:
    kind = _type_of(column)
    return kind in _POLYMORPHIC or (kind in _LOOKUPS and len(detail.targets or ()) > 1)


def _column(name: str, column: _Column, detail: _Details) -> ColumnDef:
    kind = _type_of(column)
    is_lookup = kind in _LOOKUPS
    required = column.required.value if column.required else None
    references = tuple(detail.targets or _POLYMORPHIC.get(kind) or ())
    return ColumnDef(
        name=name,
        type=_column_type(kind, detail),
        source_name=f"_{column.name}_value" if is_lookup else column.name,
        required=required in {"SystemRequired", "ApplicationRequired"},
        max_length=detail.max_length,
        scale=detail.precision,
        references=references if is_lookup else (),
        options=_options(detail),
        secured=bool(column.secured),
        creatable=column.creatable is not False,
        updatable=column.updatable is not False,
        source_id=column.id,
    )


def _column_type(kind: str, detail: _Details) -> ColumnType:
    behavior = detail.behavior.value if detail.behavior else None
    if kind == "DateTime" and behavior == "DateOnly":
        return ColumnType.DATE
    return _TYPES[kind]


def _companion(name: str, column: _Column) -> ColumnDef:
    return ColumnDef(
        name=name,
        type=ColumnType.STRING,
        source_name=f"_{column.name}_value",
        from_annotation=True,
        secured=bool(column.secured),
        creatable=column.creatable is not False,
        updatable=column.updatable is not False,
        source_id=column.id,
    )


def _options(detail: _Details) -> tuple[tuple[int, str], ...]:
    chosen = detail.own_options or detail.global_options
    options = (chosen.options if chosen else None) or []
    return tuple((option.value, _label(option.label) or "") for option in options)


def _label(label: _Label | None) -> str | None:
    if label is None:
        return None
    if label.user is not None and label.user.label:
        return label.user.label
    return next((local.label for local in label.all or () if local.label), None)


def _read_privilege(table: _Table) -> str | None:
    privileges = table.privileges or []
    shared = "prvReadActivity" if table.is_activity else None
    return next((p.name for p in privileges if p.kind == "Read"), shared)
