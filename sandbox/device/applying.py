"""Store one chunk of an answer: rows, outcomes, marks, migration, in one transaction.

Nothing here opens or ends the transaction; the store does, with the checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from sandbox.device import edit_queue
from sandbox.device.answers import Chunk, Outcomes, Reset, Rows
from sandbox.device.errors import ProtocolError
from sandbox.device.model import MARK_COLUMN, Model, Table
from sandbox.device.schema import migration, quoted
from sandbox.device.values import encode_column

MARK = quoted(MARK_COLUMN)
NOT_STORABLE = (
    KeyError,  # a key column is missing
    TypeError,
    ValueError,  # a value of another type, a row of another length, broken Unicode
    OverflowError,  # a number beyond 64 bits
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


def migrate(connection: sqlite3.Connection, before: Model | None, after: Model) -> None:
    """Give the database the tables of `after`, and each table its marks."""
    for statement in migration(before, after):
        connection.execute(statement)
    gone = before.tables.keys() - after.tables.keys() if before else ()
    connection.executemany(
        "DELETE FROM waystation_marks WHERE table_name = ?", [(t,) for t in gone]
    )
    connection.executemany(
        "INSERT OR IGNORE INTO waystation_marks (table_name) VALUES (?)",
        [(table,) for table in after.tables],
    )


def begin_marks(connection: sqlite3.Connection, table: str | None = None) -> None:
    """Unmark every row of one table, or of all, until the next complete line."""
    connection.execute(
        "UPDATE waystation_marks"
        " SET generation = generation + 1, is_open = 1, reset_wanted = 0"
        " WHERE table_name = ?1 OR ?1 IS NULL",
        [table],
    )


def end_marks(connection: sqlite3.Connection, model: Model) -> int:
    """Remove the rows never marked and return how many they were."""
    removed = 0
    open_tables = connection.execute(
        "SELECT table_name, generation FROM waystation_marks WHERE is_open"
    ).fetchall()
    for name, generation in open_tables:
        removed += connection.execute(
            f"DELETE FROM {quoted(model.tables[name].local)} WHERE {MARK} <> ?",
            [generation],
        ).rowcount
    connection.execute("UPDATE waystation_marks SET is_open = 0")
    return removed


def write(
    connection: sqlite3.Connection, model: Model, chunk: Chunk
) -> tuple[int, int]:
    """Apply the messages in order; return the rows received and deleted.

    :raises ProtocolError: a message does not fit the model.
    """
    received = deleted = 0
    for message in chunk.messages:
        match message:
            case Reset(name):
                begin_marks(connection, name)
            case Outcomes(outcomes):
                edit_queue.record(connection, outcomes, is_with_rows=True)
            case Rows() as rows:
                names = chunk.begin.columns.get(rows.table)
                table = model.tables.get(rows.table)
                if table is None or names is None:
                    raise ProtocolError(f"Rows of {rows.table} were not announced.")
                received += len(rows.upserts)
                deleted += _write_rows(connection, table, names, rows)
    return received, deleted


def _write_rows(
    connection: sqlite3.Connection, table: Table, names: Sequence[str], rows: Rows
) -> int:
    try:
        deleted_keys = [table.key_values(key) for key in rows.deletes]
        upserted_keys = _upsert(connection, table, names, rows.upserts)
        if len({*deleted_keys, *upserted_keys}) < len(deleted_keys + upserted_keys):
            raise ValueError("a key stands twice in one message")
        return _delete(connection, table, deleted_keys)
    except NOT_STORABLE as error:
        raise ProtocolError(f"Rows of {table.name} do not fit: {error}.") from error


def _upsert(
    connection: sqlite3.Connection,
    table: Table,
    names: Sequence[str],
    upserts: list[list[object]],
) -> list[tuple[object, ...]]:
    if not upserts:
        return []
    columns = _encoded_columns(table, names, upserts)
    (generation,) = connection.execute(
        "SELECT generation FROM waystation_marks WHERE table_name = ?", [table.name]
    ).fetchone()
    marks = [generation] * len(upserts)
    connection.executemany(
        _upsert_statement(table, tuple(columns)),
        zip(*columns.values(), marks, strict=True),
    )
    return list(zip(*(columns[name] for name in table.primary_key), strict=True))


def _delete(
    connection: sqlite3.Connection, table: Table, keys: list[tuple[object, ...]]
) -> int:
    where = " AND ".join(f"{quoted(c.local)} = ?" for c in table.key_columns)
    statement = f"DELETE FROM {quoted(table.local)} WHERE {where}"
    return connection.executemany(statement, keys).rowcount if keys else 0


def _encoded_columns(
    table: Table, names: Sequence[str], upserts: list[list[object]]
) -> dict[str, Sequence[object]]:
    """Turn rows into encoded columns; those that the model lacks are left out."""
    by_name = dict(zip(names, zip(*upserts, strict=True), strict=True))
    return {
        name: encode_column(table.columns[name].codec, values)
        for name, values in by_name.items()
        if name in table.columns
    }


def _upsert_statement(table: Table, names: Sequence[str]) -> str:
    columns = [quoted(table.columns[name].local) for name in names]
    columns.append(MARK)
    key = ", ".join(quoted(column.local) for column in table.key_columns)
    values = ", ".join("?" * len(columns))
    news = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return (
        f"INSERT INTO {quoted(table.local)} ({', '.join(columns)}) VALUES ({values})"
        f" ON CONFLICT ({key}) DO UPDATE SET {news}"
    )
