"""Says which tables a service's CSDL document describes. Pure.

Tables are entity sets. What a set's rows may have comes from its type, from the types
that it inherits from, and from those that inherit from it: a set of people holds
employees too. What is no single value (complex types, collections) is a JSON column,
and so is all that an open type's rows have beyond what was declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.edmx import (
    CAPABILITIES,
    CORE,
    EntityType,
    Model,
    children,
    read_model,
    tag,
    truth,
)
from replication.odata.errors import UnusableMetadataError
from replication.odata.names import is_plain, unique_names

# PostgreSQL's limit is 1,600, and staging has columns of its own.
_MOST_COLUMNS = 1500

# The column that keeps what an open type's rows have beyond their declaration.
UNDECLARED = "undeclared"

_PRIMITIVES = {
    "Edm.Binary": ColumnType.BINARY,
    "Edm.Boolean": ColumnType.BOOL,
    "Edm.Byte": ColumnType.INT,
    "Edm.Date": ColumnType.DATE,
    "Edm.DateTimeOffset": ColumnType.DATETIME,
    "Edm.Decimal": ColumnType.DECIMAL,
    "Edm.Double": ColumnType.DOUBLE,
    "Edm.Duration": ColumnType.DURATION,
    "Edm.Guid": ColumnType.GUID,
    "Edm.Int16": ColumnType.INT,
    "Edm.Int32": ColumnType.INT,
    "Edm.Int64": ColumnType.BIGINT,
    "Edm.SByte": ColumnType.INT,
    "Edm.Single": ColumnType.DOUBLE,
    "Edm.String": ColumnType.STRING,
    "Edm.TimeOfDay": ColumnType.TIME,
}

# Not part of a row: a stream has an address of its own.
_NOT_TAKEN = frozenset({"Edm.Stream", "Collection(Edm.Stream)"})


def load_tables(document: bytes, names: Iterable[str]) -> tuple[TableDef, ...]:
    """Return the definitions of these entity sets, in the order of the names.

    :raises MalformedAnswerError: the document is no XML, or is built to harm.
    :raises UnusableMetadataError: it is no CSDL of OData v4, or describes a table
        that cannot be stored.
    """
    model = read_model(document)
    sets = _named_sets(model)
    by_name = {element.get("Name").casefold(): name for name, (_, element) in sets}
    wanted = (
        name if name in dict(sets) else by_name.get(name.casefold()) for name in names
    )
    table_of = {
        model.full(element.get("EntityType", "")): name
        for name, (_, element) in reversed(sets)
    }
    elements = dict(sets)
    tables = (
        _table(model, name, *elements[name], table_of)
        for name in dict.fromkeys(wanted)
        if name is not None
    )
    return tuple(table for table in tables if table is not None)


def _named_sets(model: Model) -> list[tuple[str, tuple[str, Any]]]:
    """Return the entity sets with their container, by the name of their table."""
    named = [
        (container, element)
        for container, element in model.sets
        if is_plain(element.get("Name", ""))
    ]
    safe = [re.sub(r"[^a-z0-9_]", "_", e.get("Name").lower()) for _, e in named]
    return list(zip(unique_names(safe), named, strict=True))


def _table(
    model: Model, name: str, container: str, element: Any, table_of: dict[str, str]
) -> TableDef | None:
    """Return a table, None when its rows have no key that could be stored."""
    type_name = model.full(element.get("EntityType", ""))
    ancestry = model.ancestry(type_name)
    heirs = model.descendants(type_name)
    key = _key(ancestry)
    references = _references(model, [*ancestry, *heirs], table_of)
    guards = _guards(model, container, element)
    columns = [
        *_columns(model, ancestry, references, guards),
        *_columns(model, heirs, references, guards, of_heirs=True),
    ]
    is_open = any(kind.is_open for kind in (*ancestry, *heirs))
    if is_open:
        columns.append(_undeclared())
    columns = _distinct(columns)
    if len(columns) > _MOST_COLUMNS:
        raise UnusableMetadataError(f"The table {name} has too many columns.")
    staged = {column.source_name: column for column in reversed(columns)}
    parts = [staged.get(part) for part in key]
    usable = [p for p in parts if p is not None and p.type is not ColumnType.JSON]
    if not key or len(usable) < len(key):
        return None
    return TableDef(
        name=name,
        entity_set=element.get("Name"),
        key=tuple(part.name for part in usable),
        columns=tuple(columns),
        tracked=_is_tracked(model, container, element),
        whole_rows=bool(heirs) or is_open,
    )


def _key(ancestry: list[EntityType]) -> list[str]:
    for kind in reversed(ancestry):
        for key in children(kind.element, "Key"):
            return [part.get("Name", "") for part in children(key, "PropertyRef")]
    return []


def _columns(
    model: Model,
    kinds: list[EntityType],
    references: dict[str, tuple[str, ...]],
    guards: frozenset[str],
    *,
    of_heirs: bool = False,
) -> Iterator[ColumnDef]:
    """`of_heirs`: rows of other types have no value there, so none is required."""
    for kind in kinds:
        for element in children(kind.element, "Property"):
            name = element.get("Name", "")
            if not is_plain(name) or _edm(model, element) in _NOT_TAKEN:
                continue
            definition = model.definitions.get(model.full(element.get("Type", "")))
            yield ColumnDef(
                name=name,
                type=_type(model, element),
                source_name=name,
                required=element.get("Nullable") == "false" and not of_heirs,
                max_length=_number(element, definition, "MaxLength"),
                precision=_number(element, definition, "Precision"),
                scale=_number(element, definition, "Scale"),
                references=references.get(name, ()),
                computed=_is_tagged(model, kind, element, "Computed"),
                updatable=not _is_tagged(model, kind, element, "Immutable"),
                guards_row=name in guards,
            )


def _distinct(columns: list[ColumnDef]) -> list[ColumnDef]:
    """Give every column its name in staging, and each wire name one column.

    A property that is declared anew overrides its base; one that two heirs declare
    with different types is kept as JSON, which holds either.
    """
    by_source: dict[tuple[str, bool], ColumnDef] = {}
    for column in columns:
        place = (column.source_name, column.undeclared)
        other = by_source.get(place)
        if other is not None and other.type is not column.type:
            column = _json_column(column)
        by_source[place] = column
    # What nobody declared comes last: the service's own names keep theirs.
    found = sorted(by_source.values(), key=lambda column: column.undeclared)
    names = unique_names(column.name for column in found)
    return [_renamed(column, name) for column, name in zip(found, names, strict=True)]


def _json_column(column: ColumnDef) -> ColumnDef:
    return ColumnDef(
        name=column.name, type=ColumnType.JSON, source_name=column.source_name
    )


def _renamed(column: ColumnDef, name: str) -> ColumnDef:
    return column if name == column.name else replace(column, name=name)


def _undeclared() -> ColumnDef:
    return ColumnDef(
        name=UNDECLARED,
        type=ColumnType.JSON,
        source_name=UNDECLARED,
        undeclared=True,
    )


def _edm(model: Model, element: Any) -> str:
    """Return a property's type behind names of the schema's own."""
    full = model.full(element.get("Type", ""))
    definition = model.definitions.get(full)
    return full if definition is None else definition.get("UnderlyingType", "")


def _type(model: Model, element: Any) -> ColumnType:
    """Return a column's type; what is no single value is kept as JSON."""
    edm = _edm(model, element)
    if edm in model.enums:
        # JSON has the names of an enumeration's members, not their numbers.
        return ColumnType.STRING
    return _PRIMITIVES.get(edm, ColumnType.JSON)


def _number(element: Any, definition: Any, attribute: str) -> int | None:
    """Return a facet; `max`, `variable` and `floating` mean that there is none."""
    value = element.get(attribute)
    if value is None and definition is not None:
        value = definition.get(attribute)
    if value is None or not (value.isascii() and value.isdigit() and len(value) < 10):
        return None
    return int(value)


def _references(
    model: Model, kinds: list[EntityType], table_of: dict[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the tables that foreign key columns refer to."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        for navigation in children(kind.element, "NavigationProperty"):
            table = table_of.get(model.full(navigation.get("Type", "")))
            for constraint in children(navigation, "ReferentialConstraint"):
                column = constraint.get("Property", "")
                if table and table not in found.get(column, ()):
                    found[column] = (*found.get(column, ()), table)
    return found


def _is_tagged(model: Model, kind: EntityType, element: Any, term: str) -> bool:
    target = f"{kind.name}/{element.get('Name')}"
    found = model.annotations(element, target, f"{CORE}{term}")
    return any(truth(annotation) for annotation in found)


def _guards(model: Model, container: str, element: Any) -> frozenset[str]:
    """Return the properties from which a row's ETag is made, as far as it is said."""
    target = f"{container}/{element.get('Name')}"
    found = model.annotations(element, target, f"{CORE}OptimisticConcurrency")
    return frozenset(
        (path.text or "").strip()
        for annotation in found
        for path in annotation.iter()
        if tag(path) == "PropertyPath"
    )


def _is_tracked(model: Model, container: str, element: Any) -> bool:
    target = f"{container}/{element.get('Name')}"
    term = f"{CAPABILITIES}ChangeTracking"
    for annotation in model.annotations(element, target, term):
        return any(
            value.get("Property") == "Supported"
            and (value.get("Bool") == "true" or _has_true(value))
            for value in annotation.iter()
        )
    return False


def _has_true(value: Any) -> bool:
    texts = [(child.text or "").strip() for child in children(value, "Bool")]
    return "true" in texts
