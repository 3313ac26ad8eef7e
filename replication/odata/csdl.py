"""Reads table definitions from a service's CSDL document (`$metadata`, XML). Pure.

Tables are entity sets. The document comes from outside: document type declarations
and deep nesting are refused, and its size was limited when it was fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.errors import MalformedAnswerError, UnusableMetadataError
from replication.odata.names import is_plain, unique_names

_DEEPEST = 40
_LONGEST_ANCESTRY = 32

_TRACKING = "Org.OData.Capabilities.V1.ChangeTracking"

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
_NOT_TAKEN = frozenset({"Edm.Stream"})


@dataclass(slots=True, kw_only=True)
class _Type:
    """One entity type."""

    base: str | None
    element: Any


@dataclass(slots=True, kw_only=True)
class _Model:
    """What the schemas of a document declare, by qualified name."""

    namespaces: dict[str, str] = field(default_factory=dict)
    entities: dict[str, _Type] = field(default_factory=dict)
    enums: set[str] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)
    # (container, entity set element)
    sets: list[tuple[str, Any]] = field(default_factory=list)
    # Annotations elements that stand apart from what they describe, by target.
    apart: dict[str, list[Any]] = field(default_factory=dict)

    def full(self, name: str) -> str:
        """Return a qualified name with its namespace instead of an alias."""
        prefix, dot, last = name.rpartition(".")
        return f"{self.namespaces.get(prefix, prefix)}{dot}{last}"


def load_tables(document: bytes, names: Iterable[str]) -> tuple[TableDef, ...]:
    """Return the definitions of these entity sets, in the order of the names.

    :raises MalformedAnswerError: the document is no XML, or is built to harm.
    :raises UnusableMetadataError: it is no CSDL of OData v4.
    """
    model = _model(_root(document))
    tables = {table.name: table for table in _tables(model)}
    by_name = {table.entity_set.casefold(): table for table in tables.values()} | tables
    wanted = dict.fromkeys(by_name.get(name.casefold()) for name in names)
    return tuple(table for table in wanted if table is not None)


def _root(document: bytes) -> Any:
    depth = 0
    root = None
    try:
        events = ("start", "end")
        for event, element in iterparse(BytesIO(document), events, forbid_dtd=True):
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            if depth > _DEEPEST:
                raise MalformedAnswerError("The metadata is nested too deeply.")
    except (ParseError, DefusedXmlException, ValueError) as error:
        kind = type(error).__name__
        raise MalformedAnswerError(f"The metadata is no safe XML: {kind}.") from error
    return root


def _tag(element: Any) -> str:
    """Return an element's name without its XML namespace, which version 4 changed."""
    return str(element.tag).rpartition("}")[2]


def _children(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if _tag(child) == name)


def _model(root: Any) -> _Model:
    if _tag(root) != "Edmx" or not root.get("Version", "").startswith("4."):
        raise UnusableMetadataError("The metadata is no CSDL of OData version 4.")
    schemas = [schema for schema in root.iter() if _tag(schema) == "Schema"]
    model = _Model()
    for schema in schemas:
        namespace = schema.get("Namespace", "")
        model.namespaces[schema.get("Alias", namespace)] = namespace
    for schema in schemas:
        _read_schema(model, schema)
    return model


def _read_schema(model: _Model, schema: Any) -> None:
    namespace = schema.get("Namespace", "")
    for element in schema:
        name = f"{namespace}.{element.get('Name', '')}"
        match _tag(element):
            case "EntityType":
                base = element.get("BaseType")
                model.entities[name] = _Type(
                    base=model.full(base) if base else None, element=element
                )
            case "EnumType":
                model.enums.add(name)
            case "TypeDefinition":
                model.definitions[name] = element.get("UnderlyingType", "")
            case "EntityContainer":
                model.sets += [
                    (name, child) for child in _children(element, "EntitySet")
                ]
            case "Annotations":
                target = _target(model, element.get("Target", ""))
                model.apart.setdefault(target, []).append(element)


def _target(model: _Model, target: str) -> str:
    container, slash, rest = target.partition("/")
    return f"{model.full(container)}{slash}{rest}"


def _tables(model: _Model) -> Iterator[TableDef]:
    named = [
        (container, element)
        for container, element in model.sets
        if is_plain(element.get("Name", ""))
    ]
    safe = [re.sub(r"[^a-z0-9_]", "_", e.get("Name").lower()) for _, e in named]
    names = unique_names(safe)
    table_of = {
        model.full(element.get("EntityType", "")): name
        for name, (_, element) in reversed(list(zip(names, named, strict=True)))
    }
    for name, (container, element) in zip(names, named, strict=True):
        table = _table(model, name, container, element, table_of)
        if table is not None:
            yield table


def _table(
    model: _Model, name: str, container: str, element: Any, table_of: dict[str, str]
) -> TableDef | None:
    """Return a table, None when its rows have no key that could be stored."""
    ancestry = _ancestry(model, model.full(element.get("EntityType", "")))
    key = _key(ancestry)
    properties = [
        child
        for kind in ancestry
        for child in _children(kind.element, "Property")
        if is_plain(child.get("Name", "")) and child.get("Type") not in _NOT_TAKEN
    ]
    properties = list({child.get("Name"): child for child in properties}.values())
    source_names = [child.get("Name") for child in properties]
    if not key or not set(key) <= set(source_names):
        return None
    references = _references(model, ancestry, table_of)
    columns = tuple(
        _column(model, staging_name, child, references.get(child.get("Name"), ()))
        for staging_name, child in zip(
            unique_names(source_names), properties, strict=True
        )
    )
    by_source = {column.source_name: column for column in columns}
    if any(by_source[part].type is ColumnType.JSON for part in key):
        return None
    return TableDef(
        name=name,
        entity_set=element.get("Name"),
        key=tuple(by_source[part].name for part in key),
        columns=columns,
        tracked=_is_tracked(model, container, element),
    )


def _ancestry(model: _Model, name: str) -> list[_Type]:
    """Return a type and its bases, the most general first.

    :raises UnusableMetadataError: the types inherit in a circle.
    """
    ancestry: list[_Type] = []
    next_name: str | None = name
    while next_name is not None and next_name in model.entities:
        if len(ancestry) == _LONGEST_ANCESTRY:
            raise UnusableMetadataError(f"The type {name} never ends inheriting.")
        ancestry.insert(0, model.entities[next_name])
        next_name = model.entities[next_name].base
    return ancestry


def _key(ancestry: list[_Type]) -> list[str]:
    for kind in reversed(ancestry):
        for key in _children(kind.element, "Key"):
            return [part.get("Name", "") for part in _children(key, "PropertyRef")]
    return []


def _column(
    model: _Model, name: str, element: Any, references: tuple[str, ...]
) -> ColumnDef:
    return ColumnDef(
        name=name,
        type=_type(model, element.get("Type", "")),
        source_name=element.get("Name"),
        required=element.get("Nullable") == "false",
        max_length=_number(element, "MaxLength"),
        precision=_number(element, "Precision"),
        scale=_number(element, "Scale"),
        references=references,
    )


def _type(model: _Model, name: str) -> ColumnType:
    """Return a column's type; what is no single value is kept as JSON."""
    full = model.full(name)
    if full in model.enums:
        # JSON has the names of an enumeration's members, not their numbers.
        return ColumnType.STRING
    return _PRIMITIVES.get(model.definitions.get(full, full), ColumnType.JSON)


def _number(element: Any, attribute: str) -> int | None:
    """Return a facet; `max`, `variable` and `floating` mean that there is none."""
    value = element.get(attribute, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _references(
    model: _Model, ancestry: list[_Type], table_of: dict[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the tables that foreign key columns refer to."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in ancestry:
        for navigation in _children(kind.element, "NavigationProperty"):
            table = table_of.get(model.full(navigation.get("Type", "")))
            for constraint in _children(navigation, "ReferentialConstraint"):
                column = constraint.get("Property", "")
                if table and table not in found.get(column, ()):
                    found[column] = (*found.get(column, ()), table)
    return found


def _is_tracked(model: _Model, container: str, element: Any) -> bool:
    apart = model.apart.get(f"{container}/{element.get('Name')}", [])
    for holder in (element, *apart):
        for annotation in _children(holder, "Annotation"):
            if model.full(annotation.get("Term", "")) == _TRACKING:
                return any(
                    value.get("Property") == "Supported" and value.get("Bool") == "true"
                    for value in annotation.iter()
                )
    return False
