"""Rows that cannot be stored are set aside with the reason; the page goes on."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import psycopg
from psycopg import sql

from replication.domain.pages import SetAside
from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.staging.registry import SourceTable

_ARRIVED = sql.Identifier("arrived")


# How PostgreSQL refuses rows: a value, a repeated key, a row that fits no block.
REFUSALS = (
    psycopg.DataError,
    psycopg.errors.UniqueViolation,
    psycopg.errors.ProgramLimitExceeded,
)


def copy_what_fits(
    conn: psycopg.Connection, target: sql.Identifier, table: TableDef, lines: bytes
) -> Sequence[SetAside]:
    """COPY the lines that PostgreSQL accepts; return the other rows.

    Slow on purpose: it runs only for a page that a plain COPY has refused.
    """
    try:
        with conn.transaction():
            return _copy_valid(conn, target, table, lines)
    except psycopg.errors.ProgramLimitExceeded:
        return _copy_halves(conn, target, table, lines)


def _copy_halves(
    conn: psycopg.Connection, target: sql.Identifier, table: TableDef, lines: bytes
) -> Sequence[SetAside]:
    """Find the rows that are too wide for a block by halving the page."""
    rows = lines.splitlines(keepends=True)
    if len(rows) == 1:
        return [_too_wide(table, rows[0])]
    middle = len(rows) // 2
    refused: list[SetAside] = []
    for half in (rows[:middle], rows[middle:]):
        refused += copy_what_fits(conn, target, table, b"".join(half))
    return refused


def _too_wide(table: TableDef, line: bytes) -> SetAside:
    names = [name.as_string() for name in schema.copied_names(table)]
    key_column = columns.quoted(table.key[0]) if table.has_guid_key else _key_column()
    place = names.index(key_column.as_string())
    key = line.rstrip(b"\n").split(b"\t")[place].decode().lower()
    reason = "The row is larger than PostgreSQL can store."
    return SetAside(key=key, column=None, reason=reason)


def _copy_valid(
    conn: psycopg.Connection, target: sql.Identifier, table: TableDef, lines: bytes
) -> Sequence[SetAside]:
    untyped = sql.SQL(", ").join(
        sql.SQL("{} text").format(name) for name in schema.copied_names(table)
    )
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_ARRIVED))
    conn.execute(sql.SQL("CREATE TEMP TABLE {} ({})").format(_ARRIVED, untyped))
    copy = sql.SQL("COPY {} FROM STDIN").format(_ARRIVED)
    with conn.cursor() as cursor, cursor.copy(copy) as stream:
        stream.write(lines)
    refused = _refused(conn, table)
    casts = sql.SQL(", ").join(_cast(name, kind) for _, name, kind in _typed(table))
    conn.execute(
        sql.SQL(
            "INSERT INTO {target} ({columns}) SELECT {casts} FROM {arrived}"
        ).format(
            target=target,
            columns=schema.copied_columns(table),
            casts=casts,
            arrived=_ARRIVED,
        )
    )
    conn.execute(sql.SQL("DROP TABLE {}").format(_ARRIVED))
    return refused


def note(
    conn: psycopg.Connection,
    source_id: int,
    *,
    refused: Iterable[SetAside],
    stored: Container[str],
    nuls: int,
) -> None:
    """Remember what was set aside, and forget what has arrived well since."""
    now_refused = list(refused)
    kept_aside = {row.key for row in now_refused}
    earlier = conn.execute(
        "SELECT row_key FROM sync.set_aside WHERE source_id = %s", (source_id,)
    )
    arrived = [k for (k,) in earlier if k in stored and k not in kept_aside]
    if arrived:
        forget(conn, source_id, arrived)
    for row in now_refused:
        conn.execute(
            "INSERT INTO sync.set_aside (source_id, row_key, column_name, reason)"
            " VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (source_id, row_key) DO UPDATE SET"
            " column_name = excluded.column_name, reason = excluded.reason,"
            " times = set_aside.times + 1, last_at = now()",
            (source_id, row.key, row.column, row.reason),
        )
    if nuls:
        conn.execute(
            "UPDATE sync.source SET stripped_nuls = stripped_nuls + %s WHERE id = %s",
            (nuls, source_id),
        )


def forget(conn: psycopg.Connection, source_id: int, keys: Sequence[str]) -> None:
    conn.execute(
        "DELETE FROM sync.set_aside WHERE source_id = %s AND row_key = ANY(%s)",
        (source_id, list(keys)),
    )


def forget_unseen(conn: psycopg.Connection, source: SourceTable) -> None:
    """Forget rows that the full load which ends here has not met."""
    row_id = "row_key::uuid" if source.definition.has_guid_key else "md5(row_key)::uuid"
    conn.execute(
        sql.SQL(
            "DELETE FROM sync.set_aside WHERE source_id = {id} AND row_key IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM {seen} s WHERE s.row_id = " + row_id + ")"
        ).format(id=source.id, seen=schema.seen(source.id))
    )


def _refused(conn: psycopg.Connection, table: TableDef) -> list[SetAside]:
    refused = []
    key = _arrived_key(table)
    for label, name, kind in _typed(table):
        rows = conn.execute(
            sql.SQL(
                "DELETE FROM {arrived} WHERE NOT pg_input_is_valid({name}, {kind})"
                " RETURNING {key}"
            ).format(arrived=_ARRIVED, name=name, kind=sql.Literal(kind), key=key)
        ).fetchall()
        refused += [
            SetAside(key=row_key, column=label, reason=f"The value fits no {kind}.")
            for (row_key,) in rows
        ]
    return refused


def _typed(table: TableDef) -> list[tuple[str, sql.Identifier, str]]:
    """Each copied column: as the operator knows it, in PostgreSQL, and its type."""
    typed = [
        (c.name, columns.quoted(c.name), columns.stored_type(c).as_string())
        for c in table.columns
    ]
    version = columns.version_type(table).as_string()
    typed.append((columns.VERSION, sql.Identifier(columns.VERSION), version))
    if not table.has_guid_key:
        typed.append((columns.ROW_KEY, _key_column(), "text"))
    return typed


def _cast(name: sql.Identifier, kind: str) -> sql.Composed:
    return sql.SQL("{}::{}").format(name, sql.SQL(kind))


def _arrived_key(table: TableDef) -> sql.Composable:
    """The key in the form of PROTOCOL §5; sources may write GUIDs in capitals."""
    if table.has_guid_key:
        return sql.SQL("lower({})").format(columns.quoted(table.key[0]))
    return _key_column()


def _key_column() -> sql.Identifier:
    return sql.Identifier(columns.ROW_KEY)
