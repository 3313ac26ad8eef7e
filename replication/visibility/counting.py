"""Counts the rows of rules and grants, also of rules that do not exist yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.visibility import entries, wanted
from replication.visibility.checkpoints import Grant
from replication.visibility.rules import Rule

# Entries that are looked at for one figure; where there are more, it says "at least".
MOST_ENTRIES = 1_000_000
_LONGEST_QUERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Numbers of rows. Not exact: there are at least so many."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    is_exact: bool = True


def total(one: Figures | None, other: Figures | None) -> Figures | None:
    """None where one of them could not be counted."""
    if one is None or other is None:
        return None
    return Figures(
        before=one.before + other.before,
        after=one.after + other.after,
        gained=one.gained + other.gained,
        lost=one.lost + other.lost,
        is_exact=one.is_exact and other.is_exact,
    )


_COMPARED = sql.SQL(
    "WITH u AS MATERIALIZED ((SELECT row_id, true AS is_old FROM ({old}) o LIMIT {most})"
    " UNION ALL (SELECT row_id, false FROM ({new}) n LIMIT {most})),"
    " g AS (SELECT bool_or(is_old) AS was, bool_or(NOT is_old) AS will"
    " FROM u GROUP BY row_id)"
    " SELECT count(*) FILTER (WHERE was), count(*) FILTER (WHERE will),"
    " count(*) FILTER (WHERE will AND NOT was),"
    " count(*) FILTER (WHERE was AND NOT will),"
    " (SELECT greatest(count(*) FILTER (WHERE is_old),"
    " count(*) FILTER (WHERE NOT is_old)) FROM u) FROM g"
)
_NOTHING = sql.SQL("SELECT NULL::uuid AS row_id WHERE false")


class Counter:
    """Counts until its time is over; the same question is asked once."""

    def __init__(
        self,
        conn: psycopg.Connection,
        *,
        definitions: Mapping[str, TableDef],
        by_id: Mapping[int, TableDef],
        rules: Mapping[int, Rule],
        ends_at: float,
    ) -> None:
        self._conn = conn
        self._definitions = definitions
        self._by_id = by_id
        self._rules = rules
        self._ends_at = ends_at
        self._known: dict[object, Figures | None] = {}

    def of_grants(
        self, before: frozenset[Grant], after: frozenset[Grant]
    ) -> Figures | None:
        """How the rows of these sets of grants to one table differ."""
        return self._once(
            (before, after), lambda: (self._granted(before), self._granted(after))
        )

    def of_rules(self, before: frozenset[int], after: frozenset[int]) -> Figures | None:
        """How the rows of these rules differ, whatever their keys."""
        return self._once(
            (before, after), lambda: (self._handed(before), self._handed(after))
        )

    def _once(
        self,
        question: object,
        queries: Callable[[], tuple[sql.Composable, sql.Composable]],
    ) -> Figures | None:
        if question not in self._known:
            self._known[question] = self._compared(*queries())
        return self._known[question]

    def _granted(self, grants: frozenset[Grant]) -> sql.Composable:
        return _any(
            self._of_rule(rule, [grant for grant in grants if grant[0] == rule])
            for rule in sorted({grant[0] for grant in grants})
        )

    def _of_rule(self, rule: int, grants: Iterable[Grant]) -> sql.Composable:
        return entries.of_each_rule(
            grants, lambda _, condition: self._entries(rule, condition)
        )

    def _handed(self, rules: frozenset[int]) -> sql.Composable:
        return _any(self._entries(rule, sql.SQL("true")) for rule in sorted(rules))

    def _entries(self, rule_id: int, condition: sql.Composable) -> sql.Composed:
        """A query for the rows with entries `e` that satisfy the condition."""
        rule = self._rules[rule_id]
        if rule.id > 0:
            return sql.SQL("SELECT e.row_id FROM {} e WHERE e.live AND {}").format(
                rule.partition, condition
            )
        table = self._by_id[rule.source_id]
        return sql.SQL("SELECT e.row_id FROM ({}) e WHERE {}").format(
            wanted.wanted_keys(rule, table, self._definitions), condition
        )

    def _compared(
        self, before: sql.Composable, after: sql.Composable
    ) -> Figures | None:
        """None when there is no time left."""
        seconds = min(self._ends_at - time.monotonic(), _LONGEST_QUERY_SECONDS)
        if seconds <= 0:
            return None
        query = _COMPARED.format(old=before, new=after, most=MOST_ENTRIES + 1)
        try:
            # Rolled back, so that the limit ends with the statement.
            with self._conn.transaction(force_rollback=True):
                self._conn.execute(
                    sql.SQL("SET LOCAL statement_timeout = {}").format(
                        max(1, int(seconds * 1000))
                    )
                )
                row = self._conn.execute(query).fetchone()
        except psycopg.errors.QueryCanceled:
            return None
        assert row is not None
        return Figures(
            before=row[0],
            after=row[1],
            gained=row[2],
            lost=row[3],
            is_exact=row[4] <= MOST_ENTRIES,
        )


def _any(queries: Iterable[sql.Composable]) -> sql.Composable:
    found = list(queries)
    return sql.SQL(" UNION ALL ").join(found) if found else _NOTHING
