"""Create the staging tables that the source's metadata asks for."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, names, registry

# Pages rewrite scattered rows; room in each block keeps the new versions there.
_FILLFACTOR = 85


def create_missing(
    conn: psycopg.Connection, definitions: Iterable[TableDef]
) -> tuple[str, ...]:
    """Create and register the tables that staging lacks; return their names.

    Each table is one transaction, so that it may be repeated after a crash.
    """
    created = []
    for definition in definitions:
        with conn.transaction():
            if _register(conn, definition):
                conn.execute(_create_table(definition))
                created.append(definition.name)
    return tuple(created)


def relation(table: TableDef) -> sql.Identifier:
    return sql.Identifier("data", names.identifier(table.name))


def copied_names(table: TableDef) -> list[sql.Identifier]:
    """The columns of a COPY, in the order of `RowCodec.copy_lines`."""
    named = [columns.quoted(column.name) for column in table.columns]
    named.append(sql.Identifier(columns.VERSION))
    if not table.has_guid_key:
        named.append(sql.Identifier(columns.ROW_KEY))
    return named


def copied_columns(table: TableDef) -> sql.Composed:
    return sql.SQL(", ").join(copied_names(table))


def column_definitions(table: TableDef) -> sql.Composed:
    parts: list[sql.Composable] = [
        sql.SQL("{} {}").format(columns.quoted(c.name), columns.stored_type(c))
        for c in table.columns
    ]
    parts.append(
        sql.SQL("{} {} NOT NULL").format(
            sql.Identifier(columns.VERSION), columns.version_type(table)
        )
    )
    if not table.has_guid_key:
        parts.append(
            sql.SQL(
                "{key} text NOT NULL,"
                " {row} uuid GENERATED ALWAYS AS (md5({key})::uuid) STORED"
            ).format(
                key=sql.Identifier(columns.ROW_KEY), row=sql.Identifier(columns.ROW_ID)
            )
        )
    return sql.SQL(", ").join(parts)


def _register(conn: psycopg.Connection, definition: TableDef) -> bool:
    inserted = conn.execute(
        "INSERT INTO sync.source (name, relation, definition) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING",
        (
            definition.name,
            names.identifier(definition.name),
            registry.encode(definition),
        ),
    )
    return inserted.rowcount == 1


def _create_table(table: TableDef) -> sql.Composed:
    return sql.SQL(
        "CREATE TABLE {relation} ({columns}, PRIMARY KEY ({row_id}))"
        " WITH (fillfactor = " + str(_FILLFACTOR) + ")"
    ).format(
        relation=relation(table),
        columns=column_definitions(table),
        row_id=columns.row_id(table),
    )
