"""Filters with moving time windows: rows that enter or leave because time passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from replication.domain import filters, windows
from replication.domain.choices import RuleSpec
from replication.domain.tables import TableDef
from replication.staging import clock, registry
from replication.staging.clock import LockedClock
from replication.visibility import dependants, filter_sql, rules, wanted
from replication.visibility.rules import Rule


def next_tick(spec: RuleSpec, as_of: datetime) -> datetime | None:
    """When a window of the rule moves next; None if none ever does."""
    ticks = [
        tick
        for text in (spec.served, spec.choice.predicate)
        if text
        and (tick := windows.next_tick(filters.loads(text), as_of=as_of)) is not None
    ]
    return min(ticks, default=None)


IS_DUE = (
    "EXISTS (SELECT FROM sync.rule WHERE state = 'active'"
    " AND next_tick <= coalesce(%(now)s, now()))"
)


def is_due(conn: psycopg.Connection, *, now: datetime | None = None) -> bool:
    row = conn.execute(f"SELECT {IS_DUE}", {"now": now}).fetchone()
    return row == (True,)


def advance(conn: psycopg.Connection, *, now: datetime | None = None) -> None:
    """Hand out what entered the windows since they were looked at, and bury what left.

    `now` is the database's time unless it is given. The clock is held for each rule
    by itself; the rows that cross are found by an index.
    """
    dependants.prepare(conn)
    moment = now or _now(conn)
    by_id = {table.id: table.definition for table in registry.tables(conn)}
    due = conn.execute(
        "SELECT id FROM sync.rule WHERE state = 'active' AND next_tick <= %s"
        " ORDER BY id",
        (moment,),
    )
    for (rule_id,) in due.fetchall():
        with conn.transaction():
            held = clock.lock(conn)
            before = rules.one(conn, rule_id)
            if before.state == "active" and before.as_of < moment:
                _move(conn, before, by_id, moment, held=held)
            clock.store(conn, held)


def _move(
    conn: psycopg.Connection,
    before: Rule,
    by_id: Mapping[int, TableDef],
    moment: datetime,
    *,
    held: LockedClock,
) -> None:
    conn.execute(
        "UPDATE sync.rule SET as_of = %s, next_tick = %s WHERE id = %s",
        (moment, next_tick(before.spec, moment), before.id),
    )
    table = by_id[before.source_id]
    tables = {t.name: t for t in by_id.values()}
    dependants.derive(
        conn,
        rules.one(conn, before.id),
        table,
        tables,
        reached=_crossing(before, table, tables, moment),
        held=held,
    )


def _crossing(
    rule: Rule, table: TableDef, tables: Mapping[str, TableDef], moment: datetime
) -> list[sql.Composable]:
    path = wanted.path_of(rule.choice, table, tables)
    heads = len(rule.choice.hops)
    found: list[sql.Composable] = []
    for text, place in ((rule.spec.served, 0), (rule.choice.predicate, heads)):
        if text and windows.is_moving(filters.loads(text)):
            condition = filter_sql.crossing(
                filters.loads(text),
                path.tables[place],
                wanted.alias(place),
                before=rule.as_of,
                after=moment,
            )
            found.append(
                dependants.rows_towards(
                    rule.choice, place, table, tables, condition=condition
                )
            )
    return found


def _now(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT now()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)
