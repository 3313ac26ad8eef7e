"""Read tables of the local database back as the protocol's canonical values."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from sandbox.device.model import VERSION_COLUMN, Column, Table
from sandbox.device.schema import quoted

Row = Mapping[str, object]


def rows(
    connection: sqlite3.Connection, table: Table, *, where: str | None = None
) -> Iterator[tuple[str, Row]]:
    """Yield key and row, columns in the model's order.

    `where` is SQL in local names, from the owner of the database.
    """
    columns = tuple(table.columns.values())
    for values in _select(connection, table, columns, where=where):
        row = dict(zip(table.columns, values, strict=True))
        yield table.key_of([row[name] for name in table.primary_key]), row


def row(connection: sqlite3.Connection, table: Table, key: str) -> Row | None:
    """Return one row; None also for what cannot be a key."""
    try:
        values = table.key_values(key)
    except ValueError:
        return None
    where = " AND ".join(f"{quoted(column.local)} = ?" for column in table.key_columns)
    columns = tuple(table.columns.values())
    found = next(_select(connection, table, columns, where=where, values=values), None)
    return None if found is None else dict(zip(table.columns, found, strict=True))


def count(connection: sqlite3.Connection, table: Table) -> int:
    query = f"SELECT count(*) FROM {quoted(table.local)}"
    return int(connection.execute(query).fetchone()[0])


def digest(connection: sqlite3.Connection, table: Table) -> tuple[int, str]:
    """Return the number of rows and the sum over them of hash(key:version)."""
    columns = (*table.key_columns, table.columns[VERSION_COLUMN])
    rows_counted = total = 0
    for *key, version in _select(connection, table, columns):
        text = f"{table.key_of(key)}:{version}"
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        total += int.from_bytes(md5[:8], "big")
        rows_counted += 1
    return rows_counted, f"{total % 2**64:016x}"


def _select(
    connection: sqlite3.Connection,
    table: Table,
    columns: Sequence[Column],
    *,
    where: str | None = None,
    values: Sequence[object] = (),
) -> Iterator[list[object]]:
    names = ", ".join(quoted(column.local) for column in columns)
    condition = f" WHERE {where}" if where else ""
    decoders = [column.codec.decode for column in columns]
    query = f"SELECT {names} FROM {quoted(table.local)}{condition}"
    for stored in connection.execute(query, tuple(values)):
        yield [
            value if decode is None else decode(value)
            for value, decode in zip(stored, decoders, strict=True)
        ]
