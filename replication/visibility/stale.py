"""Rules whose entries are out of date for many rows, and how they catch up.

The clock is held for one chunk at a time. Until the last one a device may see some
rows as they were before the change and others as they are after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from provisioning import failpoints
from replication.domain.tables import TableDef
from replication.staging import clock, columns, schema
from replication.staging.clock import LockedClock
from replication.visibility import feed, rules, wanted
from replication.visibility.rules import Rule

CHUNK_ROWS = 20_000

_BEGINNING = "00000000-0000-0000-0000-000000000000"


def mark(conn: psycopg.Connection, rules: Collection[int]) -> None:
    """Let the rules be looked through from the beginning; the caller holds the clock."""
    conn.execute(
        "UPDATE sync.rule SET stale_after = %s, stale_marks = stale_marks + 1"
        " WHERE id = ANY(%s)",
        (_BEGINNING, list(rules)),
    )


IS_ANY = "EXISTS (SELECT FROM sync.rule WHERE stale_after IS NOT NULL)"


def is_any(conn: psycopg.Connection) -> bool:
    return conn.execute(f"SELECT {IS_ANY}").fetchone() == (True,)


def catch_up(
    conn: psycopg.Connection,
    rule_id: int,
    table: TableDef,
    tables: Mapping[str, TableDef],
) -> None:
    """Compare the rule's entries with what they ought to be, chunk by chunk.

    Repeatable: it goes on where a crash ended it. Rows that change meanwhile are
    their writers' affair.
    """
    while (reached := _position(conn, rule_id)) is not None:
        end = _end_of_chunk(conn, table, reached.after)
        chunk = _Chunk(reached.after, end)
        _note_differences(conn, rules.one(conn, rule_id), table, tables, chunk)
        with conn.transaction():
            held = clock.lock(conn)
            # Whoever marked the rule meanwhile wants it looked through again.
            if _position(conn, rule_id) == reached:
                _write_chunk(conn, rule_id, table, tables, chunk, held=held)
        conn.execute("DROP TABLE different")
        failpoints.reach("rule.chunk")


_DIFFERENT = sql.Identifier("different")


@dataclass(frozen=True, slots=True)
class _Position:
    after: str
    marks: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Row ids beyond `after`, up to and with `up_to` if there is one."""

    after: str
    up_to: str | None

    def holds(self, column: sql.Composable) -> sql.Composed:
        beyond = sql.SQL("{} >= {}" if self.after == _BEGINNING else "{} > {}")
        condition = beyond.format(column, sql.Literal(self.after))
        if self.up_to is None:
            return condition
        return sql.SQL("{} AND {} <= {}").format(
            condition, column, sql.Literal(self.up_to)
        )


def _position(conn: psycopg.Connection, rule_id: int) -> _Position | None:
    row = conn.execute(
        "SELECT stale_after::text, stale_marks FROM sync.rule WHERE id = %s",
        (rule_id,),
    ).fetchone()
    return _Position(*row) if row and row[0] is not None else None


def _end_of_chunk(conn: psycopg.Connection, table: TableDef, after: str) -> str | None:
    """The last row id of the chunk; None when it is the last one."""
    row = conn.execute(
        sql.SQL(
            "SELECT {row_id}::text FROM {relation} WHERE {row_id} > %s"
            " ORDER BY {row_id} OFFSET %s LIMIT 1"
        ).format(row_id=columns.row_id(table), relation=schema.relation(table)),
        (after, CHUNK_ROWS - 1),
    ).fetchone()
    return row[0] if row else None


def _note_differences(
    conn: psycopg.Connection,
    rule: Rule,
    table: TableDef,
    tables: Mapping[str, TableDef],
    chunk: _Chunk,
) -> None:
    """Rows of the chunk whose stored entries are not the wanted ones, into a table.

    Read without the clock; what is written follows from a second look under it.
    """
    conn.execute("DROP TABLE IF EXISTS different")
    # The chunk is a range of the table's own key, in both: what joins some thousand
    # rows with a list of ids would be planned as a search of the whole table.
    here = sql.SQL("t.{}").format(columns.row_id(table))
    conn.execute(
        sql.SQL(
            "CREATE TEMP TABLE different AS"
            " WITH wanted AS MATERIALIZED (SELECT row_id, {keys} FROM ({wanted}) w),"
            " stored AS MATERIALIZED (SELECT row_id, {keys} FROM {feed}"
            " WHERE live AND {entries})"
            " SELECT DISTINCT row_id, false AS changed FROM ("
            " (SELECT * FROM wanted EXCEPT SELECT * FROM stored) UNION ALL"
            " (SELECT * FROM stored EXCEPT SELECT * FROM wanted)) d"
        ).format(
            keys=feed.key_lists(rule)["keys"],
            wanted=wanted.wanted_keys(rule, table, tables, where=chunk.holds(here)),
            feed=rule.partition,
            entries=chunk.holds(sql.Identifier("row_id")),
        )
    )


def _write_chunk(
    conn: psycopg.Connection,
    rule_id: int,
    table: TableDef,
    tables: Mapping[str, TableDef],
    chunk: _Chunk,
    *,
    held: LockedClock,
) -> None:
    rule = rules.one(conn, rule_id)
    feed.write_entries(conn, table, [rule], tables=tables, held=held, rows=_DIFFERENT)
    conn.execute(
        "UPDATE sync.rule SET stale_after = %s WHERE id = %s", (chunk.up_to, rule_id)
    )
    clock.store(conn, held)
