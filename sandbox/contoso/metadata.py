"""Answer queries on definitions of tables, columns, relationships and option sets.

Members that belong to one kind of column (Targets, OptionSet, MaxLength,
Precision, DateTimeBehavior) or of relationship can be selected behind a cast
segment only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sandbox.contoso import relationships
from sandbox.contoso.definitions import (
    Definition,
    column_definitions,
    option_set,
    table_definition,
    table_id,
)
from sandbox.contoso.errors import WebApiError, no_such_property
from sandbox.contoso.picking import (
    OPTION_SETS,
    Find,
    Options,
    collection,
    option_sets,
    picked,
    uncast,
)
from sandbox.contoso.schema import Column, Schema, Table

HEADS = (
    "EntityDefinitions",
    "RelationshipDefinitions",
    "GlobalOptionSetDefinitions",
)
_ADDRESS = re.compile(r"(\w+)\((?:(\w+)=)?'?([^')]*)'?\)")
_CAST = "Microsoft.Dynamics.CRM."


def answer(
    schema: Schema, segments: Sequence[str], *, options: Options, context: str
) -> Definition:
    """Return the body for a path that begins with one of HEADS.

    :raises WebApiError: 404 unknown table, column or segment; 400 bad option.
    """
    head, below = segments[0], segments[1:]
    if head.startswith("RelationshipDefinitions"):
        rows: Iterable[Definition] = relationships.all_relationships(schema)
        return _listed(rows, head, below, options=options, context=context)
    if head.startswith("GlobalOptionSetDefinitions"):
        return _listed(
            _global_sets(schema), head, below, options=options, context=context
        )
    if head == "EntityDefinitions":
        return collection(
            (table_definition(table) for table in schema.tables.values()),
            options,
            context=f"{context}#EntityDefinitions",
            find=_finder(schema),
        )
    table = table_at(schema, head)
    if below:
        return _below(schema, table, below, options=options, context=context)
    row = picked(table_definition(table), options, find=_finder(schema))
    return {"@odata.context": f"{context}#EntityDefinitions/$entity"} | row


def table_at(schema: Schema, address: str) -> Table:
    """:raises WebApiError: no such table; 404."""
    match = _ADDRESS.fullmatch(address)
    if match is None or match[1] != "EntityDefinitions":
        raise _unknown(address)
    for table in schema.tables.values():
        if match[3] in {table.name, table_id(table)}:
            return table
    raise WebApiError(
        404,
        "0x80060888",
        f"Could not find an entity with name {match[3]} and id"
        " 00000000-0000-0000-0000-000000000000.",
    )


def column_at(table: Table, address: str) -> Column:
    """:raises WebApiError: no such column; 404."""
    row = _column_at(table, address, None)
    return table.by_name[str(row["LogicalName"])]


def _below(
    schema: Schema,
    table: Table,
    segments: Sequence[str],
    *,
    options: Options,
    context: str,
) -> Definition:
    head, context = segments[0], f"{context}#EntityDefinitions('{table.name}')"
    cast = segments[1] if len(segments) > 1 else None
    if head == "Attributes":
        return collection(
            _columns(table, cast), options, context=f"{context}/{'/'.join(segments)}"
        )
    if head.startswith("Attributes("):
        row = _column_at(table, head, cast)
        if len(segments) > 2 and segments[2] in OPTION_SETS:
            row = _only_definition(row, segments[2])
        return {"@odata.context": f"{context}/{head}"} | picked(row, options)
    name, _, _ = head.partition("(")
    rows = _expandable(schema, table).get(name)
    if rows is None:
        raise _unknown(head)
    return _listed(rows, head, segments[1:], options=options, context=context)


def _only_definition(row: Definition, name: str) -> Definition:
    found = option_sets(row, name)
    if not isinstance(found, dict):
        raise _unknown(name)
    return found


def _listed(
    rows: Iterable[Definition],
    head: str,
    below: Sequence[str],
    *,
    options: Options,
    context: str,
) -> Definition:
    """Answer for a list, cast or not, or for one of its members."""
    cast = below[0] if below else None
    chosen = [row for row in rows if cast is None or _is_a(row, cast)]
    name, _, _ = head.partition("(")
    if cast is None and name == "RelationshipDefinitions" and head == name:
        chosen = [uncast(row) for row in chosen]
    if head == name:
        return collection(chosen, options, context=f"{context}#{head}")
    match = _ADDRESS.fullmatch(head)
    for row in chosen:
        if match and match[3] in _names(row):
            entity = f"{context}#{name}/$entity"
            return {"@odata.context": entity} | picked(row, options)
    raise _unknown(head)


def _names(row: Definition) -> set[object]:
    members = ("MetadataId", "SchemaName", "LogicalName", "Name")
    return {row[name] for name in members if name in row}


def _expandable(schema: Schema, table: Table) -> Mapping[str, list[Definition]]:
    """Return what a table's definition leads to, except its columns."""
    privileges = table_definition(table)["Privileges"]
    assert isinstance(privileges, list)
    return {
        "Privileges": privileges,
        "Keys": list(relationships.key_definitions(table)),
        "ManyToOneRelationships": list(relationships.many_to_one(table, schema)),
        "OneToManyRelationships": list(relationships.one_to_many(table, schema)),
        "ManyToManyRelationships": list(relationships.many_to_many(table, schema)),
    }


def _finder(schema: Schema) -> Find:
    def find(row: Definition, name: str) -> object:
        table = schema.tables[str(row["LogicalName"])]
        if name == "Attributes":
            return list(_columns(table, None))
        found = _expandable(schema, table).get(name)
        if found is None:
            raise no_such_property(name, type_name="EntityMetadata")
        return found

    return find


def _global_sets(schema: Schema) -> Iterator[Definition]:
    seen = set()
    for table in schema.tables.values():
        for column in table.columns:
            if column.global_set and column.global_set not in seen:
                seen.add(column.global_set)
                kind = {"@odata.type": f"#{_CAST}OptionSetMetadata"}
                yield kind | option_set(table, column)


def _columns(table: Table, cast: str | None) -> Iterator[Definition]:
    for row in column_definitions(table):
        if cast is None:
            yield uncast(row)
        elif _is_a(row, cast):
            yield row


def _column_at(table: Table, address: str, cast: str | None) -> Definition:
    match = _ADDRESS.fullmatch(address)
    for row in _columns(table, cast):
        if match and match[3] in {row["LogicalName"], row["MetadataId"]}:
            return row
    raise _unknown(address)


def _is_a(row: Definition, cast: str) -> bool:
    if not cast.startswith(_CAST):
        raise _unknown(cast)
    name = cast.removeprefix(_CAST)
    enums = {
        f"{kind}AttributeMetadata"
        for kind in ("Picklist", "State", "Status", "Boolean", "MultiSelectPicklist")
    }
    own = str(row["@odata.type"]).removeprefix(f"#{_CAST}")
    return own == name or (name == "EnumAttributeMetadata" and own in enums)


def _unknown(segment: str) -> WebApiError:
    return WebApiError(
        404, "0x80060888", f"Resource not found for the segment '{segment}'."
    )
