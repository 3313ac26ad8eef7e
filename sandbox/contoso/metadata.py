"""Answer queries on `EntityDefinitions`: addresses, casts, $select, $filter, $expand.

Members that belong to one kind of column (Targets, OptionSet, MaxLength,
Precision, DateTimeBehavior) can be selected behind a cast segment only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sandbox.contoso.definitions import (
    Definition,
    base_members,
    column_definitions,
    table_definition,
)
from sandbox.contoso.errors import WebApiError, bad_query, no_such_property
from sandbox.contoso.expressions import parse
from sandbox.contoso.filters import matches
from sandbox.contoso.schema import Schema, Table

_ADDRESS = re.compile(r"(\w+)\((?:(\w+)=)?'?([^')]*)'?\)")
_CAST = "Microsoft.Dynamics.CRM."
_EXPANDABLE = frozenset({"OptionSet", "GlobalOptionSet"})
# What the sandbox has none of, but clients expand.
_EMPTY = frozenset(
    {
        "Keys",
        "ManyToOneRelationships",
        "OneToManyRelationships",
        "ManyToManyRelationships",
    }
)

Options = Mapping[str, str]


def answer(
    schema: Schema, segments: Sequence[str], *, options: Options, context: str
) -> Definition:
    """Return the body for the path below `EntityDefinitions`, inclusive.

    :raises WebApiError: 404 unknown table, column or segment; 400 bad option.
    """
    head = segments[0]
    if head == "EntityDefinitions":
        return _collection(
            (_table_row(table) for table in schema.tables.values()),
            options=options,
            context=f"{context}#EntityDefinitions",
            tables=schema.tables,
        )
    table = _table_at(schema, head)
    if len(segments) == 1:
        row = _picked(_table_row(table), options, tables=schema.tables)
        return {"@odata.context": f"{context}#EntityDefinitions/$entity"} | row
    return _below(table, segments[1:], options=options, context=context)


def _below(
    table: Table, segments: Sequence[str], *, options: Options, context: str
) -> Definition:
    head, context = segments[0], f"{context}#EntityDefinitions('{table.name}')"
    cast = segments[1] if len(segments) > 1 else None
    if head == "Attributes":
        return _collection(
            _columns(table, cast),
            options=options,
            context=f"{context}/{'/'.join(segments)}",
        )
    if head.startswith("Attributes("):
        row = _column_at(table, head, cast)
        return {"@odata.context": f"{context}/{head}"} | _picked(row, options)
    if head == "Privileges" or head in _EMPTY:
        rows = table_definition(table)["Privileges"] if head == "Privileges" else []
        assert isinstance(rows, list)
        return _collection(rows, options=options, context=f"{context}/{head}")
    raise _unknown(head)


def _table_row(table: Table) -> Definition:
    return table_definition(table)


def _table_at(schema: Schema, address: str) -> Table:
    match = _ADDRESS.fullmatch(address)
    if match is None or match[1] != "EntityDefinitions":
        raise _unknown(address)
    for table in schema.tables.values():
        if match[3] in {table.name, table_definition(table)["MetadataId"]}:
            return table
    raise WebApiError(
        404,
        "0x80060888",
        f"Could not find an entity with name {match[3]} and id"
        " 00000000-0000-0000-0000-000000000000.",
    )


def _columns(table: Table, cast: str | None) -> Iterator[Definition]:
    for row in column_definitions(table):
        if cast is None:
            yield _hidden(row)
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
        for kind in ("Picklist", "State", "Status", "Boolean")
    }
    own = str(row["@odata.type"]).removeprefix(f"#{_CAST}")
    return own == name or (name == "EnumAttributeMetadata" and own in enums)


def _hidden(row: Definition) -> Definition:
    """Without a cast the option sets, which are navigations, stay away."""
    return {name: value for name, value in row.items() if name not in _EXPANDABLE} | {
        "@uncast": True
    }


def _collection(
    rows: Iterable[Definition],
    *,
    options: Options,
    context: str,
    tables: Mapping[str, Table] | None = None,
) -> Definition:
    text = options.get("$filter")
    expression = None if text is None else parse(text)
    chosen = [row for row in rows if expression is None or matches(row, expression)]
    select = options.get("$select")
    return {
        "@odata.context": context + (f"({select})" if select else ""),
        "value": [_picked(row, options, tables=tables) for row in chosen],
    }


def _picked(
    row: Definition, options: Options, *, tables: Mapping[str, Table] | None = None
) -> Definition:
    """Return the row as $select and $expand want it."""
    expanded = dict(_expansions(options.get("$expand", "")))
    names = [name.strip() for name in options.get("$select", "").split(",") if name]
    is_uncast = "@uncast" in row
    known = base_members(row) if is_uncast else set(row)
    for name in names:
        if name not in known:
            kind = "AttributeMetadata" if "AttributeType" in row else "EntityMetadata"
            raise no_such_property(name, type_name=kind)
    picked = {
        name: value
        for name, value in row.items()
        if _is_picked(name, names, is_metadata_of_column="AttributeType" in row)
    }
    for name, inner in expanded.items():
        picked[name] = _expanded(row, name, inner, tables=tables)
    return picked


def _is_picked(name: str, names: list[str], *, is_metadata_of_column: bool) -> bool:
    if name == "@uncast" or name in _EXPANDABLE:
        return False
    if name == "@odata.type":
        return is_metadata_of_column
    return not names or name in names or name == "MetadataId"


def _expanded(
    row: Definition,
    name: str,
    inner: Options,
    *,
    tables: Mapping[str, Table] | None,
) -> object:
    if name in _EMPTY:
        return []
    if tables is not None and name == "Attributes":
        table = tables[str(row["LogicalName"])]
        return _collection(_columns(table, None), options=inner, context="")["value"]
    if name in _EXPANDABLE | {"Privileges"} and name in row:
        value = row[name]
        return _picked(value, inner) if isinstance(value, dict) else value
    raise no_such_property(name, type_name="MetadataBase")


def _expansions(text: str) -> Iterator[tuple[str, Options]]:
    """Split `A($select=x;$filter=y),B` at its outer commas."""
    for part in _split(text, ","):
        name, _, inner = part.partition("(")
        options = (option.partition("=") for option in _split(inner[:-1], ";"))
        yield name.strip(), {key.strip(): value for key, _, value in options}


def _split(text: str, mark: str) -> Iterator[str]:
    depth, start, is_quoted = 0, 0, False
    for place, sign in enumerate(text):
        is_quoted ^= sign == "'"
        depth += 0 if is_quoted else (sign == "(") - (sign == ")")
        if sign == mark and depth == 0 and not is_quoted:
            yield text[start:place]
            start = place + 1
    if depth or is_quoted:
        raise bad_query(f"Syntax error in '{text}'.")
    if text[start:].strip():
        yield text[start:]


def _unknown(segment: str) -> WebApiError:
    return WebApiError(
        404, "0x80060888", f"Resource not found for the segment '{segment}'."
    )
