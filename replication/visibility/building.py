"""How a rule comes to be, changes and ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from provisioning import failpoints
from replication.domain import filters, windows
from replication.domain.tables import TableDef
from replication.staging import clock, schema
from replication.staging.registry import SourceTable
from replication.visibility import (
    dependants,
    feed,
    key_values,
    moving,
    rules,
    stale,
    wanted,
)
from replication.visibility.planning import Edit, RuleOrder
from replication.visibility.rules import DEEP, Rule


def build(
    conn: psycopg.Connection, order: RuleOrder, *, tables: Mapping[str, SourceTable]
) -> None:
    """Make the rule and its entries, and activate it.

    A crash leaves a rule in state `building`, which is dropped and begun anew.
    """
    definitions = {name: table.definition for name, table in tables.items()}
    table = order.source.definition
    index_path(conn, order, definitions)
    rule = _begin(conn, order)
    note_key_values(conn, rule, tables)
    failpoints.reach("rule.begun")
    with conn.transaction():
        conn.execute(
            sql.SQL(
                "INSERT INTO {feed} (rule, row_id, {keys}, rev, live)"
                " SELECT {rule}, w.*, 0, true FROM ({wanted}) w"
            ).format(
                feed=rule.partition,
                rule=sql.Literal(rule.id),
                wanted=wanted.wanted_keys(rule, table, definitions),
                keys=feed.key_lists(rule)["keys"],
            )
        )
        _index(conn, rule, table)
    conn.execute(sql.SQL("ANALYZE {}").format(rule.partition))
    failpoints.reach("rule.built")
    _activate(conn, rule, table, definitions)


def edit(conn: psycopg.Connection, change: Edit) -> None:
    """Give the rule its new content; the caller holds the clock.

    Its entries follow in chunks (visibility.stale): only rows whose membership
    changed get a new rev.
    """
    spec = change.order.spec
    row = conn.execute("SELECT now()").fetchone()
    assert row is not None
    conn.execute(
        "UPDATE sync.rule SET shape = %s, spec = %s, slots = %s WHERE id = %s",
        (spec.shape, spec.text, list(change.order.slots), change.rule.id),
    )
    if change.changes_rows:
        conn.execute(
            "UPDATE sync.rule SET as_of = %s, next_tick = %s WHERE id = %s",
            (row[0], moving.next_tick(spec, row[0]), change.rule.id),
        )
        stale.mark(conn, [change.rule.id])


def retire(conn: psycopg.Connection, unwanted: Iterable[Rule]) -> None:
    """Edit the rules to "no row": their entries become tombstones, never nothing.

    Nobody is granted them from now on, hence writers leave them alone; their entries
    are buried in chunks (`bury`).
    """
    for rule in unwanted:
        with conn.transaction():
            held = clock.lock(conn)
            stale.mark(conn, [rule.id])
            conn.execute(
                "UPDATE sync.rule SET state = 'retired' WHERE id = %s", (rule.id,)
            )
            held.changed_access = True
            clock.store(conn, held)


def bury(conn: psycopg.Connection) -> None:
    """Turn the entries of retired rules into tombstones. Repeatable after a crash."""
    retired = conn.execute(
        "SELECT id FROM sync.rule WHERE state = 'retired' AND stale_after IS NOT NULL"
    )
    for (rule_id,) in retired.fetchall():
        while _bury_chunk(conn, rule_id):
            failpoints.reach("rule.chunk")
        conn.execute(
            "UPDATE sync.rule SET stale_after = NULL WHERE id = %s", (rule_id,)
        )


def _bury_chunk(conn: psycopg.Connection, rule_id: int) -> int:
    with conn.transaction():
        held = clock.lock(conn)
        buried = conn.execute(
            sql.SQL(
                "UPDATE {feed} f SET live = false, rev = n.rev FROM ("
                " SELECT ctid, %s + row_number() OVER (ORDER BY rev, row_id) AS rev"
                " FROM (SELECT ctid, rev, row_id FROM {feed} WHERE live LIMIT %s) c"
                ") n WHERE f.ctid = n.ctid"
            ).format(feed=rules.partition(rule_id)),
            (held.rev, stale.CHUNK_ROWS),
        ).rowcount
        held.take(buried)
        clock.store(conn, held)
    return buried


def drop_unfinished(conn: psycopg.Connection, rule: Rule) -> None:
    with conn.transaction():
        conn.execute("DELETE FROM sync.catchup WHERE rule = %s", (rule.id,))
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(rule.partition))
        conn.execute("DELETE FROM sync.rule WHERE id = %s", (rule.id,))


def note_key_values(
    conn: psycopg.Connection, rule: Rule, tables: Mapping[str, SourceTable]
) -> bool:
    """Give all values that the rule's keys may have their small integers; True when one
    was new.

    Nobody holds the clock for that: writers see the rule and note what they bring.
    """
    own = next(name for name, table in tables.items() if table.id == rule.source_id)
    noted = [
        key_values.note(conn, tables[name], [rule], rows=None)
        for name in sorted({own, *rule.choice.tables})
    ]
    return any(noted)


def _begin(conn: psycopg.Connection, order: RuleOrder) -> Rule:
    # Under the clock: a writer that had it before has committed its rows, and a
    # writer that gets it later sees the rule and leaves its rows for the catch-up.
    spec = order.spec
    with conn.transaction():
        clock.lock(conn)
        row = conn.execute(
            "INSERT INTO sync.rule (source_id, shape, spec, slots, as_of)"
            " VALUES (%s, %s, %s, %s, now()) RETURNING id, as_of",
            (order.source.id, spec.shape, spec.text, list(order.slots)),
        ).fetchone()
        assert row is not None
        conn.execute(
            "UPDATE sync.rule SET next_tick = %s WHERE id = %s",
            (moving.next_tick(spec, row[1]), row[0]),
        )
        rule = rules.one(conn, row[0])
        conn.execute(
            sql.SQL(
                "CREATE TABLE {feed} (LIKE sync.feed, CHECK (rule = {rule}))"
                " WITH (fillfactor = 85)"
            ).format(feed=rule.partition, rule=sql.Literal(rule.id))
        )
    return rule


def index_path(
    conn: psycopg.Connection, order: RuleOrder, definitions: Mapping[str, TableDef]
) -> None:
    """Paths are followed both ways, and shares are looked up by row."""
    line = [order.source.definition.name, *(h.table for h in order.spec.choice.hops)]
    wanted_columns: list[tuple[str, str]] = []
    for near, hop in zip(line, order.spec.choice.hops, strict=False):
        wanted_columns += [(near, hop.near), (hop.table, hop.far)]
    if "shares" in order.spec.opens:
        wanted_columns += [(wanted.SHARES, "objectid"), (wanted.SHARES, "principalid")]
    if order.spec.opens:
        table = order.source.definition
        named = (table.owner_column, table.unit_column)
        wanted_columns += [(table.name, name) for name in named if name]
    wanted_columns += _window_columns(order)
    for name, column in wanted_columns:
        table = definitions[name]
        if (column,) != table.key:
            schema.index(conn, table, column)


def _window_columns(order: RuleOrder) -> list[tuple[str, str]]:
    """Rows that cross the bound of a moving window are found by its column."""
    spec, own = order.spec, order.source.definition.name
    head = spec.choice.hops[-1].table if spec.choice.hops else own
    return [
        (name, condition.column)
        for name, text in ((own, spec.served), (head, spec.choice.predicate))
        if text
        for condition in windows.moving_conditions(filters.loads(text))
    ]


def _index(conn: psycopg.Connection, rule: Rule, table: TableDef) -> None:
    """The unique index finds a row's entries; the others answer "since which rev"."""
    conn.execute(
        sql.SQL("CREATE UNIQUE INDEX ON {} (row_id, {}) NULLS NOT DISTINCT").format(
            rule.partition, feed.key_lists(rule)["keys"]
        )
    )
    for keys in _probed_keys(rule, table):
        conn.execute(
            sql.SQL("CREATE INDEX ON {} ({}rev)").format(rule.partition, sql.SQL(keys))
        )


def _probed_keys(rule: Rule, table: TableDef) -> tuple[str, ...]:
    attributes = tuple(f"k{4 + n}, " for n in range(len(rule.choice.attributes)))
    if rule.shape == DEEP:
        return ("k3, ", *attributes)
    keys = [""]
    if table.owner_column:
        keys.append("k1, ")
    if table.unit_column:
        keys.append("k2, ")
    return (*keys, *attributes)


def _activate(
    conn: psycopg.Connection,
    rule: Rule,
    table: TableDef,
    definitions: Mapping[str, TableDef],
) -> None:
    with conn.transaction():
        held = clock.lock(conn)
        conn.execute("DELETE FROM touched")
        waiting = conn.execute(
            "INSERT INTO touched SELECT row_id, true FROM sync.catchup WHERE rule = %s",
            (rule.id,),
        ).rowcount
        conn.execute("UPDATE sync.rule SET state = 'active' WHERE id = %s", (rule.id,))
        if waiting > dependants.MOST_AT_ONCE:
            stale.mark(conn, [rule.id])
        else:
            built = rules.one(conn, rule.id)
            feed.write_entries(conn, table, [built], tables=definitions, held=held)
        conn.execute("DELETE FROM sync.catchup WHERE rule = %s", (rule.id,))
        conn.execute(
            sql.SQL(
                "ALTER TABLE sync.feed ATTACH PARTITION {} FOR VALUES IN ({})"
            ).format(rule.partition, sql.Literal(rule.id))
        )
        held.changed_access = True
        clock.store(conn, held)
