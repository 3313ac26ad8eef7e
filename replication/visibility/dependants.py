"""Rows whose keys follow from rows of other tables: which ones does a page concern?

They are reached along the rules' paths from the rows that the page touched, by the
present values of their lookups and by the former ones (staging.former).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from replication.domain.choices import Choice
from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.staging.clock import LockedClock
from replication.staging.registry import SourceTable
from replication.visibility import feed, stale, wanted
from replication.visibility.rules import DEEP, Rule

AFFECTED = sql.Identifier("affected")

# More rows than these are not derived while the clock is held: their rule becomes
# stale, and is brought up to date in chunks.
MOST_AT_ONCE = 20_000


def prepare(conn: psycopg.Connection) -> None:
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS affected (row_id uuid NOT NULL,"
        " changed boolean NOT NULL DEFAULT false) ON COMMIT DELETE ROWS"
    )


def watched(table: TableDef, living: Iterable[Rule]) -> frozenset[str]:
    """Lookups of the table by which other tables' rows are reached."""
    names = {
        hop.far
        for rule in living
        for hop in rule.choice.hops
        if hop.table == table.name and not _is_row_id(table, hop.far)
    }
    if table.name == wanted.SHARES and any(_opens_shares(rule) for rule in living):
        names.add("objectid")
    return frozenset(names)


def write_entries(
    conn: psycopg.Connection,
    source: SourceTable,
    living: Iterable[Rule],
    *,
    by_id: Mapping[int, TableDef],
    held: LockedClock,
) -> None:
    """Derive the rows of other tables that depend on those in `touched`."""
    tables = {table.name: table for table in by_id.values()}
    ways = [
        (rule, reached)
        for rule in living
        if (reached := _ways(rule, source.definition, by_id[rule.source_id], tables))
    ]
    if ways:
        # Paths are followed by indexes where the planner knows how few rows they
        # begin with.
        conn.execute("ANALYZE touched, former")
    for rule, reached in ways:
        table = by_id[rule.source_id]
        derive(conn, rule, table, tables, reached=reached, held=held)


def _ways(
    rule: Rule, source: TableDef, table: TableDef, tables: Mapping[str, TableDef]
) -> list[sql.Composable]:
    """Queries for the rule's rows that depend on rows of `source`."""
    ways: list[sql.Composable] = [
        _reached(rule.choice, place, table, tables)
        for place, hop in enumerate(rule.choice.hops, start=1)
        if hop.table == source.name
    ]
    if source.name == wanted.SHARES and _opens_shares(rule):
        ways.append(_shared_rows(table, source))
    return ways


def derive(
    conn: psycopg.Connection,
    rule: Rule,
    table: TableDef,
    tables: Mapping[str, TableDef],
    *,
    reached: Iterable[sql.Composable],
    held: LockedClock,
) -> None:
    """Bring the rows that the queries name up to date, now or in chunks."""
    is_active = rule.state == "active"
    conn.execute("DELETE FROM affected")
    found = conn.execute(
        sql.SQL(
            "INSERT INTO affected (row_id) SELECT row_id FROM ({rows}) q LIMIT {most}"
        ).format(
            rows=sql.SQL(" UNION ").join(reached),
            most=sql.Literal(MOST_AT_ONCE + 1 if is_active else None),
        )
    ).rowcount
    if not found:
        return
    if found > MOST_AT_ONCE and is_active:
        stale.mark(conn, [rule.id])
        return
    feed.write_entries(conn, table, [rule], tables=tables, held=held, rows=AFFECTED)


def rows_towards(
    choice: Choice,
    place: int,
    table: TableDef,
    tables: Mapping[str, TableDef],
    *,
    condition: sql.Composable,
) -> sql.Composed:
    """Ids of the rows from which the path leads to rows at `place` (aliased `h…`)
    that satisfy the condition."""
    path = wanted.path_of(choice, table, tables)
    return sql.SQL(
        "SELECT DISTINCT t.{row_id} AS row_id FROM {relation} t {joins}"
        " WHERE {condition}"
    ).format(
        row_id=columns.row_id(table),
        relation=schema.relation(table),
        joins=sql.SQL(" ").join(path.joins[:place]),
        condition=condition,
    )


def _opens_shares(rule: Rule) -> bool:
    return rule.shape == DEEP and "shares" in rule.spec.opens


def _reached(
    choice: Choice, place: int, table: TableDef, tables: Mapping[str, TableDef]
) -> sql.Composed:
    """Rows before the hop to `place` that name a value which the page touched."""
    hop = choice.hops[place - 1]
    line = wanted.path_of(choice, table, tables).tables
    near = line[place - 1].column(hop.near)
    return rows_towards(
        choice,
        place - 1,
        table,
        tables,
        condition=sql.SQL("{near} IN ({values})").format(
            near=wanted.column(wanted.alias(place - 1), hop.near),
            values=_touched_values(line[place], hop.far, columns.stored_type(near)),
        ),
    )


def _touched_values(table: TableDef, name: str, kind: sql.SQL) -> sql.Composed:
    """Values of a column in the touched rows, as they are and as they were."""
    if _is_row_id(table, name):
        return sql.SQL("SELECT row_id FROM touched").format()
    former = sql.SQL(
        "SELECT value::{kind} FROM former WHERE column_name = {name}"
    ).format(kind=kind, name=sql.Literal(name))
    present = sql.SQL(
        "SELECT x.{column}::{kind} FROM {relation} x"
        " JOIN touched ON touched.row_id = x.{row_id}"
    ).format(
        column=columns.quoted(name),
        kind=kind,
        relation=schema.relation(table),
        row_id=columns.row_id(table),
    )
    return sql.SQL("{} UNION {}").format(former, present)


def _is_row_id(table: TableDef, name: str) -> bool:
    """The touched rows say themselves which values of this column they have."""
    return table.has_guid_key and name == table.key[0]


def _shared_rows(table: TableDef, shares: TableDef) -> sql.Composed:
    return sql.SQL(
        "SELECT t.{row_id} AS row_id FROM {relation} t WHERE t.{row_id} IN ({values})"
    ).format(
        row_id=columns.row_id(table),
        relation=schema.relation(table),
        values=_touched_values(shares, "objectid", sql.SQL("uuid")),
    )
