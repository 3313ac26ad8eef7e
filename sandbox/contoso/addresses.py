"""Read the places that addresses name: path segments, and rows by id or other key."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.contoso.errors import bad_payload, bad_query, no_such_row
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.store import Row, find, rows_where

_KEYED = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_PART = re.compile(r"\s*(?:(\w+)\s*=\s*)?('(?:[^']|'')*'|[^,'=]+)\s*(?:,|$)")
_NO_REFERENCES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Key:
    """What names one row: its id, or the values of an alternate key."""

    text: str
    values: Row

    def id_in(self, table: Table) -> str | None:
        found = self.values.get(table.key)
        return None if found is None else str(found)


def split_path(path: str) -> list[str]:
    """Return the segments of a path; slashes in keys stay where they are."""
    segments, start, depth, is_quoted = [], 0, 0, False
    for place, sign in enumerate(path):
        is_quoted ^= sign == "'"
        depth += 0 if is_quoted else (sign == "(") - (sign == ")")
        if sign == "/" and not is_quoted and depth <= 0:
            segments.append(path[start:place])
            start = place + 1
    return [*segments, path[start:]]


def split_key(segment: str) -> tuple[str, str] | None:
    """Return set and key of `accounts(key)`, or None when it names no row."""
    match = _KEYED.fullmatch(segment)
    return None if match is None else (match[1], match[2])


def read_key(table: Table, text: str) -> Key:
    """:raises WebApiError: neither an id nor a key of the table; 400."""
    values = dict(_key_values(table, text))
    if set(values) == {table.key} or any(
        set(values) == set(key.columns) for key in table.keys
    ):
        return Key(text, values)
    raise bad_query(
        f"The specified key properties in '{text}' are not a key of '{table.name}'."
    )


def find_by(connection: sqlite3.Connection, table: Table, key: Key) -> Row | None:
    row_id = key.id_in(table)
    if row_id is not None:
        return find(connection, table, row_id)
    found = rows_where(connection, table, **key.values)
    return found[0] if found else None


def resolve(
    connection: sqlite3.Connection,
    schema: Schema,
    text: object,
    *,
    references: Mapping[str, str] = _NO_REFERENCES,
) -> tuple[Table, str]:
    """Return the table and id that `accounts(…)`, absolute or not, points to.

    :raises WebApiError: no such form, set or row.
    """
    address = references.get(str(text), str(text))
    keyed = split_key(split_path(address)[-1])
    table = schema.by_set.get(keyed[0]) if keyed else None
    if keyed is None or table is None:
        raise bad_payload(f"Invalid reference to a row: '{text}'.")
    row = find_by(connection, table, read_key(table, keyed[1]))
    if row is None:
        raise no_such_row(table.name, keyed[1])
    return table, str(row[table.key])


def dereferenced(
    segments: Sequence[str], references: Mapping[str, str]
) -> Sequence[str]:
    """Put the path of `$1` in its place."""
    address = references.get(segments[0])
    return segments if address is None else [*address.split("/"), *segments[1:]]


def _key_values(table: Table, text: str) -> Iterator[tuple[str, object]]:
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise bad_query(f"The key '{text}' cannot be read.")
        name = match[1] or table.key
        column = table.by_wire.get(name) or table.by_name.get(name)
        if column is None:
            raise bad_query(f"'{table.name}' has no key '{name}'.")
        yield column.wire, _literal(match[2].strip(), is_id=column.edm == "Edm.Guid")
        place = match.end()


def _literal(text: str, *, is_id: bool) -> object:
    plain = text[1:-1].replace("''", "'") if text.startswith("'") else text
    if is_id:
        try:
            return str(uuid.UUID(plain))
        except ValueError:
            raise bad_query(f"The key '{text}' is not a GUID.") from None
    return plain
