"""Finds the row that is to be explained, by the key that people know."""

from __future__ import annotations

from uuid import UUID

import psycopg
from psycopg import sql

from replication.staging import columns, schema
from replication.staging.registry import SourceTable
from replication.visibility import wanted
from replication.visibility.explained import title_column


def find_row(
    conn: psycopg.Connection, source: SourceTable, key: str
) -> tuple[UUID, str | None, UUID | None, UUID | None] | None:
    """Row id, name, owner and business unit of the row with this key."""
    table = source.definition
    row_id = _guid(key) if table.has_guid_key else _row_id(conn, source, key)
    if row_id is None:
        return None
    named = (title_column(table), table.owner_column, table.unit_column)
    query = sql.SQL("SELECT {}, {} FROM {} t WHERE t.{} = %s").format(
        sql.SQL("t.{}").format(columns.row_id(table)),
        sql.SQL(", ").join(
            wanted.column("t", name) if name else sql.SQL("NULL") for name in named
        ),
        schema.relation(table),
        columns.row_id(table),
    )
    row = conn.execute(query, (row_id,)).fetchone()
    return (row[0], None if row[1] is None else str(row[1]), *row[2:4]) if row else None


def _row_id(conn: psycopg.Connection, source: SourceTable, key: str) -> UUID | None:
    row = conn.execute(
        "SELECT row_id FROM sync.row_key WHERE source_id = %s AND row_key = %s",
        (source.id, key),
    ).fetchone()
    return row[0] if row else None


def _guid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
