"""Bring the rules in line with what is published, loaded and granted.

A new rule is built without holding the clock, while writers leave the rows that
they touch for a catch-up; a short transaction then activates it. Entries of a
build carry rev 0: no checkpoint can name the rule yet, so whoever gains it scans
all of it. Once every rule that the published profiles need is active, they take
effect, and rules whose filter was edited are changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg

from replication.staging import clock, former, merge
from replication.staging.registry import SourceTable
from replication.visibility import (
    building,
    closure,
    dependants,
    failures,
    moving,
    planning,
    policy,
    rules,
    stale,
    token_users,
)
from replication.visibility.planning import Plan, RuleOrder
from replication.visibility.rules import Rule

# Any number will do: it is the one advisory lock of a staging database.
_LOCK = 4_711


def prepare(conn: psycopg.Connection) -> None:
    """Create the connection's temporary tables for writing the feed."""
    merge.prepare_touched(conn)
    former.prepare(conn)
    dependants.prepare(conn)


def reconcile(conn: psycopg.Connection) -> None:
    """Build the rules that are missing and retire those that nobody needs.

    One worker at a time per organization, and nobody waits for him: he goes on until
    nothing is missing, and what comes later is left to the next pull. Repeatable
    after a crash at any point, which leaves at most a half-built rule that is begun
    anew.
    """
    prepare(conn)
    locked = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    if locked != (True,):
        return
    try:
        while not _is_settled(conn):
            pass
        _catch_up(conn)
    finally:
        if not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def keep_off(conn: psycopg.Connection) -> None:
    """Let nobody build or change rules until this transaction ends.

    :raises LockNotAvailable: somebody has been at it for too long.
    """
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def is_due(conn: psycopg.Connection) -> bool:
    # Every pull asks twice, so this is one statement.
    row = conn.execute(
        f"SELECT rules_rev < access_rev OR {stale.IS_ANY} OR {moving.IS_DUE}"
        " FROM sync.clock",
        {"now": None},
    ).fetchone()
    return row == (True,)


def _is_settled(conn: psycopg.Connection) -> bool:
    """Do what is to be done; True when there was nothing."""
    row = conn.execute("SELECT access_rev FROM sync.clock").fetchone()
    assert row is not None
    seen_access_rev = row[0]
    for rule in rules.living(conn):
        if rule.state == "building":
            building.drop_unfinished(conn, rule)
    plan = planning.plan(conn)
    if plan.superseded:
        # First, for no rule can be built that equals one of them.
        building.retire(conn, plan.superseded)
        return False
    failed = failures.recent(conn)
    missing = [o for o in plan.missing if (o.source.id, o.spec.text) not in failed]
    for order in missing:
        _build(conn, order, plan)
    if missing:
        # Nobody is served by a new rule before it is up to date.
        _catch_up(conn)
        return False
    if plan.edits or not policy.is_in_effect(conn):
        # Nor is anybody new served by a rule that still catches up with an edit.
        _catch_up(conn)
        _take_effect(conn, plan)
        return False
    unwanted = (*plan.unwanted, *_outdated(conn, plan))
    building.retire(conn, unwanted)
    if unwanted:
        return False
    conn.execute(
        "UPDATE sync.clock SET rules_rev = greatest(rules_rev, %s)",
        (seen_access_rev,),
    )
    return True


def _outdated(conn: psycopg.Connection, plan: Plan) -> list[Rule]:
    """Rules whose successors could not be built: rather no rows than those that a
    former organization filter let through."""
    unbuilt = {order.identity: order.spec for order in plan.missing}
    return [
        rule
        for rule in rules.living(conn)
        if rule.state == "active"
        and (spec := unbuilt.get(rule.identity)) is not None
        and spec.served != rule.spec.served
    ]


def _build(conn: psycopg.Connection, order: RuleOrder, plan: Plan) -> None:
    """Build the rule, or note why that cannot be: the others must not wait for it."""
    try:
        building.build(conn, order, tables=plan.tables)
    except psycopg.Error as error:
        if conn.broken or isinstance(error, _PASSING):
            raise
        failures.note(conn, order, error)
    else:
        failures.forget(conn, order)


# What another attempt may cure.
_PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.TransactionRollback,
    psycopg.errors.OperatorIntervention,
)


def _take_effect(conn: psycopg.Connection, plan: Plan) -> None:
    """Edit rules in place and serve users by the profiles that were planned for."""
    by_id = {table.id: table.definition for table in plan.tables.values()}
    for edit in plan.edits:
        building.index_path(conn, edit.order, {t.name: t for t in by_id.values()})
    with conn.transaction():
        held = clock.lock(conn)
        if policy.published(conn) != plan.compiled.policy:
            return
        hierarchy = plan.compiled.policy.hierarchy
        has_changed = policy.effective(conn).hierarchy != hierarchy
        for edit in plan.edits:
            building.edit(conn, edit)
        policy.take_effect(conn, plan.compiled.policy, held=held)
        token_users.forget_unnamed(conn)
        if has_changed:
            closure.refresh_superiors(
                conn, rules.living(conn), hierarchy=hierarchy, by_id=by_id, held=held
            )
        held.changed_access = True
        clock.store(conn, held)


def _catch_up(conn: psycopg.Connection) -> None:
    """Bring stale rules up to date, and windows to the present moment."""
    if moving.is_due(conn):
        moving.advance(conn)
    building.bury(conn)
    for rule in _stale(rules.living(conn)):
        tables = planning.definitions(conn)
        table = next(t for t in tables.values() if t.id == rule.source_id)
        _note_key_values(conn, rule, tables)
        stale.catch_up(
            conn,
            rule.id,
            table.definition,
            {name: t.definition for name, t in tables.items()},
        )


def _note_key_values(
    conn: psycopg.Connection, rule: Rule, tables: Mapping[str, SourceTable]
) -> None:
    """An edited rule may hand rows out by values that had no number before."""
    if not rule.choice.attributes:
        return
    is_new = building.note_key_values(conn, rule, tables)
    if is_new and rule.choice.is_negated:
        with conn.transaction():
            held = clock.lock(conn)
            held.changed_access = True
            clock.store(conn, held)


def _stale(living: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in living if rule.is_stale and rule.state == "active"]
