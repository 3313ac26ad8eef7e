"""The replicated tables of one staging database, and where each pull stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from project.errors import TransientError
from replication.domain.pages import Cursor
from replication.domain.tables import TableDef


class FencedError(TransientError):
    """Another worker took the table over while this one was away.

    `epoch` is the one that staging knows.
    """

    code = "lease_lost"

    def __init__(self, message: str, *, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A row of `sync.source`."""

    id: int
    relation: str
    definition: TableDef
    cursor: Cursor | None
    generation: int
    loading: str
    is_complete: bool


_COLUMNS = (
    "id, relation, definition::text, cursor_kind, cursor_link, generation,"
    " loading, is_complete"
)


def table(conn: psycopg.Connection, name: str) -> SourceTable | None:
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.source WHERE name = %s", (name,)
    ).fetchone()
    return _source_table(row) if row else None


def tables(conn: psycopg.Connection) -> tuple[SourceTable, ...]:
    """All tables, by name."""
    rows = conn.execute(f'SELECT {_COLUMNS} FROM sync.source ORDER BY name COLLATE "C"')
    return tuple(_source_table(row) for row in rows)


def encode(definition: TableDef) -> str:
    return msgspec.json.encode(definition).decode()


def fence(conn: psycopg.Connection, name: str, *, epoch: int) -> None:
    """Copy the lease's epoch into staging, unless a newer one is there.

    :raises FencedError: another worker took over.
    """
    updated = conn.execute(
        "UPDATE sync.source SET fencing_epoch = %s"
        " WHERE name = %s AND fencing_epoch <= %s",
        (epoch, name, epoch),
    )
    if updated.rowcount == 0:
        raise _fenced(conn, name)


def hold_fence(conn: psycopg.Connection, name: str, *, epoch: int) -> None:
    """First statement of every page: lock the table's row, or stop.

    :raises FencedError: another worker took over.
    """
    updated = conn.execute(
        "UPDATE sync.source SET last_page_at = now()"
        " WHERE name = %s AND fencing_epoch = %s",
        (name, epoch),
    )
    if updated.rowcount == 0:
        raise _fenced(conn, name)


def _fenced(conn: psycopg.Connection, name: str) -> FencedError:
    row = conn.execute(
        "SELECT fencing_epoch FROM sync.source WHERE name = %s", (name,)
    ).fetchone()
    message = f"Table {name} was taken over by another worker."
    return FencedError(message, epoch=row[0] if row else 0)


def store_cursor(conn: psycopg.Connection, name: str, cursor: Cursor | None) -> None:
    conn.execute(
        "UPDATE sync.source SET cursor_kind = %s, cursor_link = %s WHERE name = %s",
        (cursor.kind if cursor else None, cursor.link if cursor else None, name),
    )


def count_rows(conn: psycopg.Connection, name: str, more: int) -> None:
    conn.execute(
        "UPDATE sync.source SET row_count = row_count + %s WHERE name = %s",
        (more, name),
    )


def note_complete(conn: psycopg.Connection, name: str) -> None:
    """The last page of a pull is in: the table is as the source was."""
    conn.execute(
        "UPDATE sync.source SET loading = 'none', is_complete = true,"
        " last_complete_at = now() WHERE name = %s",
        (name,),
    )


def _source_table(row: tuple[Any, ...]) -> SourceTable:
    source_id, relation, definition, kind, link, generation, loading, complete = row
    return SourceTable(
        id=source_id,
        relation=relation,
        definition=msgspec.json.decode(definition, type=TableDef),
        cursor=Cursor(kind=kind, link=link) if kind else None,
        generation=generation,
        loading=loading,
        is_complete=complete,
    )
