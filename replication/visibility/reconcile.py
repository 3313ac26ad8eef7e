"""Bring the rules in line with what is published, loaded and granted.

A new rule is built without holding the clock, while writers leave the rows that
they touch for a catch-up; a short transaction then activates it. Entries of a
build carry rev 0: no checkpoint can name the rule yet, so whoever gains it scans
all of it.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from provisioning import failpoints
from replication.staging import clock, merge, registry
from replication.staging.registry import SourceTable
from replication.visibility import feed, policy, rules
from replication.visibility.rules import Rule

# Any number will do: it is the one advisory lock of a staging database.
_LOCK = 4_711


def reconcile(conn: psycopg.Connection) -> None:
    """Build the rules that are missing and retire those that nobody needs.

    One worker at a time per organization, and nobody waits for him: he goes on until
    nothing is missing, and what comes later is left to the next pull. Repeatable
    after a crash at any point, which leaves at most a half-built rule that is begun
    anew.
    """
    merge.prepare_touched(conn)
    locked = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    if locked != (True,):
        return
    try:
        while not _is_settled(conn):
            pass
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def is_due(conn: psycopg.Connection) -> bool:
    row = conn.execute("SELECT rules_rev < access_rev FROM sync.clock").fetchone()
    assert row is not None
    return bool(row[0])


def _is_settled(conn: psycopg.Connection) -> bool:
    """Do what is to be done; True when there was nothing."""
    row = conn.execute("SELECT access_rev FROM sync.clock").fetchone()
    assert row is not None
    seen_access_rev = row[0]
    tables = {table.id: table for table in registry.tables(conn)}
    wanted = rules.wanted_shapes(
        tables.values(),
        published=policy.published(conn).tables,
        held_deep=_held_deep(conn, {t.definition.name for t in tables.values()}),
    )
    existing = rules.living(conn)
    active = {(r.source_id, r.shape) for r in existing if r.state == "active"}
    for rule in existing:
        if rule.state == "building":
            _drop_unfinished(conn, rule)
    for source_id, shape in sorted(wanted - active):
        _build(conn, tables[source_id], shape)
    for rule in existing:
        if rule.state == "active" and (rule.source_id, rule.shape) not in wanted:
            _retire(conn, rule)
    if wanted == active:
        conn.execute(
            "UPDATE sync.clock SET rules_rev = greatest(rules_rev, %s)",
            (seen_access_rev,),
        )
    return wanted == active


def _held_deep(conn: psycopg.Connection, replicated: set[str]) -> frozenset[str]:
    """Read privileges, in lower case, that some role holds at parent:child depth."""
    if not {"roleprivileges", "privilege"} <= replicated:
        return frozenset()
    rows = conn.execute(
        "SELECT DISTINCT lower(p.name) FROM data.roleprivileges rp"
        " JOIN data.privilege p ON p.privilegeid = rp.privilegeid"
        " WHERE rp.privilegedepthmask & 4 <> 0"
    )
    return frozenset(name for (name,) in rows)


def _build(conn: psycopg.Connection, table: SourceTable, shape: str) -> None:
    rule = _begin(conn, table, shape)
    failpoints.reach("rule.begun")
    with conn.transaction():
        conn.execute(
            sql.SQL(
                "INSERT INTO {feed} (rule, row_id, k1, k2, k3, rev, live)"
                " SELECT {rule}, w.*, 0, true FROM ({wanted}) w"
            ).format(
                feed=rule.partition,
                rule=sql.Literal(rule.id),
                wanted=rules.all_keys(rule, table.definition),
            )
        )
        _index(conn, rule, table)
    conn.execute(sql.SQL("ANALYZE {}").format(rule.partition))
    failpoints.reach("rule.built")
    _activate(conn, rule, table)


def _begin(conn: psycopg.Connection, table: SourceTable, shape: str) -> Rule:
    # Under the clock: a writer that had it before has committed its rows, and a
    # writer that gets it later sees the rule and leaves its rows for the catch-up.
    with conn.transaction():
        clock.lock(conn)
        feed.note_keys(conn, table.definition, None)
        row = conn.execute(
            "INSERT INTO sync.rule (source_id, shape) VALUES (%s, %s) RETURNING id",
            (table.id, shape),
        ).fetchone()
        assert row is not None
        rule = Rule(id=row[0], source_id=table.id, shape=shape, state="building")
        conn.execute(
            sql.SQL(
                "CREATE TABLE {feed} (LIKE sync.feed, CHECK (rule = {rule}))"
                " WITH (fillfactor = 85)"
            ).format(feed=rule.partition, rule=sql.Literal(rule.id))
        )
    return rule


def _index(conn: psycopg.Connection, rule: Rule, table: SourceTable) -> None:
    """The unique index finds a row's entries; the others answer "since which rev"."""
    conn.execute(
        sql.SQL(
            "CREATE UNIQUE INDEX ON {} (row_id, k1, k2, k3) NULLS NOT DISTINCT"
        ).format(rule.partition)
    )
    for keys in _probed_keys(rule, table):
        conn.execute(
            sql.SQL("CREATE INDEX ON {} ({}rev)").format(rule.partition, sql.SQL(keys))
        )


def _probed_keys(rule: Rule, table: SourceTable) -> tuple[str, ...]:
    if rule.shape == rules.DEEP:
        return ("k3, ",)
    keys = [""]
    if table.definition.owner_column:
        keys.append("k1, ")
    if table.definition.unit_column:
        keys.append("k2, ")
    return tuple(keys)


def _activate(conn: psycopg.Connection, rule: Rule, table: SourceTable) -> None:
    with conn.transaction():
        held = clock.lock(conn)
        conn.execute("DELETE FROM touched")
        conn.execute(
            "INSERT INTO touched SELECT row_id, true FROM sync.catchup WHERE rule = %s",
            (rule.id,),
        )
        built = Rule(
            id=rule.id, source_id=rule.source_id, shape=rule.shape, state="active"
        )
        feed.write_entries(conn, table.definition, [built], held=held)
        conn.execute("DELETE FROM sync.catchup WHERE rule = %s", (rule.id,))
        conn.execute(
            sql.SQL(
                "ALTER TABLE sync.feed ATTACH PARTITION {} FOR VALUES IN ({})"
            ).format(rule.partition, sql.Literal(rule.id))
        )
        conn.execute("UPDATE sync.rule SET state = 'active' WHERE id = %s", (rule.id,))
        held.changed_access = True
        clock.store(conn, held)


def _retire(conn: psycopg.Connection, rule: Rule) -> None:
    """Edit the rule to "no row": its entries become tombstones, never nothing."""
    with conn.transaction():
        held = clock.lock(conn)
        buried = conn.execute(
            sql.SQL(
                "UPDATE {feed} f SET live = false, rev = n.rev FROM ("
                " SELECT ctid, %s + row_number() OVER (ORDER BY rev, row_id) AS rev"
                " FROM {feed} WHERE live) n WHERE f.ctid = n.ctid"
            ).format(feed=rule.partition),
            (held.rev,),
        )
        held.take(buried.rowcount)
        conn.execute("UPDATE sync.rule SET state = 'retired' WHERE id = %s", (rule.id,))
        held.changed_access = True
        clock.store(conn, held)


def _drop_unfinished(conn: psycopg.Connection, rule: Rule) -> None:
    with conn.transaction():
        conn.execute("DELETE FROM sync.catchup WHERE rule = %s", (rule.id,))
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(rule.partition))
        conn.execute("DELETE FROM sync.rule WHERE id = %s", (rule.id,))
