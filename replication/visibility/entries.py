"""SQL over feed entries: which rows do these grants hold, since when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from psycopg import sql

from replication.staging.install import FEED_KEYS
from replication.visibility import rules
from replication.visibility.checkpoints import Grant, sorted_grants

# Where a grant has its key values.
_PLACES = range(1, len(FEED_KEYS) + 1)
_CACHED_SETS = 5_000


@dataclass(frozen=True, slots=True)
class Probe:
    """Grants of one rule that fix the same keys: one look into an index for all.

    So that a user with many teams costs one condition and not a chain of ORs.
    """

    rule: int
    # Places of the keys that are fixed, and for each the values, as the text of a
    # PostgreSQL array; the n-th values of all of them belong together.
    fixed: tuple[int, ...]
    values: tuple[str, ...]


# How a statement has the values of a probe: one expression for each fixed key.
Arrays = Callable[[Probe], Sequence[sql.Composable]]


@lru_cache(maxsize=_CACHED_SETS)
def probes(grants: frozenset[Grant]) -> tuple[Probe, ...]:
    """What to look for, in an order that only depends on the grants."""
    found: list[Probe] = []
    for rule, group in groupby(sorted_grants(grants), key=lambda grant: grant[0]):
        by_fixed: dict[tuple[int, ...], list[Grant]] = {}
        for grant in group:
            fixed = tuple(i for i in _PLACES if grant[i] is not None)
            by_fixed.setdefault(fixed, []).append(grant)
        if () in by_fixed:
            # One of the grants holds everything that the others could.
            by_fixed = {(): []}
        found += [
            Probe(rule, fixed, tuple(_array(g[i] for g in these) for i in fixed))
            for fixed, these in sorted(by_fixed.items())
        ]
    return tuple(found)


def literals(probe: Probe) -> list[sql.Composable]:
    """The values as constants of the statement."""
    return [
        sql.SQL("{}::integer[]").format(sql.Literal(values)) for values in probe.values
    ]


def of_each_rule(
    grants: Iterable[Grant],
    query: Callable[[sql.Identifier, sql.Composable], sql.Composed],
) -> sql.Composed:
    """UNION ALL of `query(partition, condition on entry e)` for every rule named."""
    return sql.SQL(" UNION ALL ").join(
        query(rules.partition(rule), _matching(list(group), literals))
        for rule, group in _by_rule(probes(frozenset(grants)))
    )


def visible(
    wanted: Iterable[Probe], row_id: sql.Composable, *, arrays: Arrays
) -> sql.Composable:
    """An expression: the row has a live entry that matches one of the probes.

    Queries for one value and not EXISTS: a planner that expects many rows would
    read the whole feed for these.
    """
    tests = [
        sql.SQL(
            "(SELECT true FROM {feed} e WHERE e.row_id = {row_id} AND e.live AND {c}"
            " LIMIT 1)"
        ).format(
            feed=rules.partition(rule),
            row_id=row_id,
            c=_matching(list(group), arrays),
        )
        for rule, group in _by_rule(wanted)
    ]
    return sql.SQL("coalesce({})").format(
        sql.SQL(", ").join([*tests, sql.SQL("false")])
    )


def moved(
    wanted: Iterable[Probe],
    *,
    since: sql.Composable,
    limit: sql.Composable,
    arrays: Arrays,
) -> sql.Composed:
    """A query for (row_id, rev) of the entries that moved since, in rev order.

    Each key's entries are read from the index by (key, rev), and no further than
    the limit, whatever the planner believes of the number of rows. An entry that
    matches twice is there twice.
    """
    branches = sql.SQL(" UNION ALL ").join(
        sql.SQL("({})").format(_moved(probe, since, limit, arrays)) for probe in wanted
    )
    return sql.SQL("SELECT * FROM ({}) u ORDER BY rev LIMIT {}").format(branches, limit)


def _moved(
    probe: Probe, since: sql.Composable, limit: sql.Composable, arrays: Arrays
) -> sql.Composed:
    keys = [_key(place) for place in probe.fixed]
    newest = sql.SQL(
        "SELECT e.row_id, e.rev FROM {} e WHERE e.rev > {} {} ORDER BY e.rev LIMIT {}"
    ).format(
        rules.partition(probe.rule),
        since,
        sql.SQL(" ").join(sql.SQL("AND e.{0} = p.{0}").format(key) for key in keys),
        limit,
    )
    if not keys:
        return newest
    return sql.SQL(
        "SELECT x.row_id, x.rev FROM unnest({}) p({}) CROSS JOIN LATERAL ({}) x"
    ).format(sql.SQL(", ").join(arrays(probe)), sql.SQL(", ").join(keys), newest)


def _by_rule(wanted: Iterable[Probe]) -> Iterable[tuple[int, Iterable[Probe]]]:
    return groupby(wanted, key=lambda probe: probe.rule)


def _matching(wanted: Iterable[Probe], arrays: Arrays) -> sql.Composable:
    """Which entries `e` of one rule match any of the probes."""
    return sql.SQL("({})").format(
        sql.SQL(" OR ").join(_matches(probe, arrays) for probe in wanted)
    )


def _matches(probe: Probe, arrays: Arrays) -> sql.Composable:
    if not probe.fixed:
        return sql.SQL("true")
    values = arrays(probe)
    keys = [sql.SQL("e.{}").format(_key(place)) for place in probe.fixed]
    if len(keys) == 1:
        # The cast tells PostgreSQL that it is an array, and not a query for rows.
        return sql.SQL("{} = ANY ({}::integer[])").format(keys[0], values[0])
    # As a condition of its own it is no join, whose order could be chosen badly.
    return sql.SQL("(({}) IN (SELECT * FROM unnest({}))) IS TRUE").format(
        sql.SQL(", ").join(keys), sql.SQL(", ").join(values)
    )


def _array(numbers: Iterable[int | None]) -> str:
    return "{" + ",".join(str(number) for number in numbers) + "}"


def _key(place: int) -> sql.Identifier:
    return sql.Identifier(FEED_KEYS[place - 1])
