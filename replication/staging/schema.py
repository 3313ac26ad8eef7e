"""Create the staging tables that the source's metadata asks for."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from replication.domain.tables import ColumnType, TableDef
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
            source_id = _register(conn, definition)
            if source_id is not None:
                conn.execute(create_table(definition))
                conn.execute(_create_seen(source_id))
                created.append(definition.name)
    return tuple(created)


def relation(table: TableDef) -> sql.Identifier:
    return sql.Identifier("data", relation_name(table))


def relation_name(table: TableDef) -> str:
    return table.relation or names.identifier(table.name)


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
        for c in (*table.columns, *table.retired)
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


def index(conn: psycopg.Connection, table: TableDef, column: str) -> None:
    """Let rows be found by a column; nothing happens when they already can."""
    name = names.identifier(f"{table.relation or table.name}_by_{column}")
    # A tree refuses values of more than a third of a block; texts may be longer.
    is_text = table.column(column).type is ColumnType.STRING
    conn.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {} ({})").format(
            sql.Identifier(name),
            relation(table),
            sql.SQL("hash" if is_text else "btree"),
            columns.quoted(column),
        )
    )


def seen(source_id: int) -> sql.Identifier:
    """Keys met in the running generation, or in a delta of several pages."""
    return sql.Identifier("sync", f"seen_{source_id}")


def _register(conn: psycopg.Connection, definition: TableDef) -> int | None:
    """Return the new table's id; None when it is registered already."""
    row = conn.execute(
        "INSERT INTO sync.source (name, relation, definition) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING RETURNING id",
        (
            definition.name,
            names.identifier(definition.name),
            registry.encode(definition),
        ),
    ).fetchone()
    return row[0] if row else None


def _create_seen(source_id: int) -> sql.Composed:
    # Logged: a crash empties an unlogged table, and the sweep would delete every
    # row. Without an index, because it is only appended to and joined whole.
    return sql.SQL("CREATE TABLE {} (row_id uuid NOT NULL)").format(seen(source_id))


def create_table(table: TableDef) -> sql.Composed:
    return sql.SQL(
        "CREATE TABLE {relation} ({columns}, PRIMARY KEY ({row_id}))"
        " WITH (fillfactor = " + str(_FILLFACTOR) + ")"
    ).format(
        relation=relation(table),
        columns=column_definitions(table),
        row_id=columns.row_id(table),
    )
