"""SQL over feed entries: which rows do these grants hold, since when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from psycopg import sql

from replication.staging.install import FEED_KEYS
from replication.visibility import rules
from replication.visibility.checkpoints import Grant, sorted_grants

# Where a grant has its key values.
_PLACES = range(1, len(FEED_KEYS) + 1)


def of_each_rule(
    grants: Iterable[Grant],
    query: Callable[[sql.Identifier, sql.Composable], sql.Composed],
) -> sql.Composed:
    """UNION ALL of `query(partition, condition on entry e)` for every rule named."""
    return sql.SQL(" UNION ALL ").join(
        query(rules.partition(rule), condition) for rule, condition in _by_rule(grants)
    )


def visible(grants: Iterable[Grant], row_id: sql.Composable) -> sql.Composable:
    """A condition: the row has a live entry that matches one of the grants."""
    tests = [
        sql.SQL(
            "EXISTS (SELECT FROM {feed} e WHERE e.row_id = {row_id} AND e.live AND {c})"
        ).format(feed=rules.partition(rule), row_id=row_id, c=condition)
        for rule, condition in _by_rule(grants)
    ]
    if not tests:
        return sql.SQL("false")
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _by_rule(grants: Iterable[Grant]) -> list[tuple[int, sql.Composable]]:
    ordered = sorted_grants(grants)
    return [
        (rule, _matching(list(group)))
        for rule, group in groupby(ordered, key=lambda grant: grant[0])
    ]


def _matching(grants: list[Grant]) -> sql.Composable:
    """Which entries of one rule match any of the grants.

    Grants that fix the same keys are one probe, so that a user with many teams
    costs one index condition and not a chain of ORs.
    """
    by_fixed: dict[tuple[int, ...], list[Grant]] = {}
    for grant in grants:
        fixed = tuple(i for i in _PLACES if grant[i] is not None)
        by_fixed.setdefault(fixed, []).append(grant)
    if () in by_fixed:
        return sql.SQL("true")
    return sql.SQL("({})").format(
        sql.SQL(" OR ").join(_probe(fixed, these) for fixed, these in by_fixed.items())
    )


def _probe(fixed: tuple[int, ...], grants: list[Grant]) -> sql.Composable:
    if len(fixed) == 1:
        values = sql.SQL(", ").join(sql.Literal(grant[fixed[0]]) for grant in grants)
        return sql.SQL("e.{} IN ({})").format(_key(fixed[0]), values)
    columns = sql.SQL(", ").join(sql.SQL("e.{}").format(_key(i)) for i in fixed)
    tuples = sql.SQL(", ").join(
        sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(g[i]) for i in fixed))
        for g in grants
    )
    return sql.SQL("({}) IN ({})").format(columns, tuples)


def _key(index: int) -> sql.Identifier:
    return sql.Identifier(FEED_KEYS[index - 1])
