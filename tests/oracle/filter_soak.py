"""Compare the SQL of random filters with the second implementation, row by row.

`python -m tests.oracle.filter_soak --pairs 100000` says how many (filter, row) pairs
agreed, and ends with 3 at the first that does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg import sql

from project import embedded
from replication.domain import windows
from replication.domain.filter_operators import NEGATIONS, AttributeKind
from replication.domain.filter_parts import Attribute, Part, split
from replication.domain.filters import (
    FALSE,
    TRUE,
    Expr,
    FilterError,
    canonical,
    conditions,
    dumps,
    has_user_conditions,
)
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.values import CODECS
from replication.staging import columns
from replication.visibility import filter_sql
from replication.visibility.filter_check import check
from tests.oracle import filter_grammar, filters
from tests.oracle.filters import Question, User

FOUND = 3
ROWS = 100
# Filters between two looks at whether there are enough pairs.
BATCH = 60

_COLUMNS = {
    "accountid": ColumnType.GUID,
    "ownerid": ColumnType.GUID,
    "owningbusinessunit": ColumnType.GUID,
    "name": ColumnType.STRING,
    "city": ColumnType.STRING,
    "employees": ColumnType.INT,
    "views": ColumnType.BIGINT,
    "revenue": ColumnType.DECIMAL,
    "rating": ColumnType.DOUBLE,
    "donotphone": ColumnType.BOOL,
    "interests": ColumnType.CHOICES,
    "modifiedon": ColumnType.DATETIME,
    "scheduledon": ColumnType.DATETIME,
    "founded": ColumnType.DATE,
}
TABLE = TableDef(
    name="account",
    entity_set="accounts",
    key=("accountid",),
    columns=tuple(
        ColumnDef(name=name, type=kind, source_name=name)
        for name, kind in _COLUMNS.items()
    ),
    ownership="user",
)

# Ends of months and years, a leap day, Sundays and Saturdays, midnight itself.
MOMENTS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        *("2026-11-22T09:37:00.123456", "2024-02-29T23:59:59.999999"),
        *("2026-03-31T00:00:00", "2025-12-31T23:00:00", "2027-01-01T00:00:00"),
        *("2026-05-30T12:00:00", "2025-03-01T00:59:59", "2026-10-31T18:30:30"),
    )
)

_PEOPLE = filter_grammar.PEOPLE
USERS = (
    User(id=_PEOPLE[0]),
    User(id=_PEOPLE[1], teams=_PEOPLE[2:4], unit=_PEOPLE[5], language=1033),
    User(
        id=_PEOPLE[2],
        teams=_PEOPLE[4:5],
        unit=_PEOPLE[6],
        reports=_PEOPLE[0:2],
        teams_of_reports=_PEOPLE[3:4],
        language=5,
    ),
)


class DifferenceError(AssertionError):
    """SQL and the second implementation disagree."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Rows around one moment, in a temporary table of the same content."""

    relation: str
    now: datetime
    rows: Sequence[dict[str, Any]]


class Comparison:
    """Counts what agreed; `pairs` is the number of (filter, row) pairs."""

    def __init__(self, conn: psycopg.Connection, *, start: int) -> None:
        self.counted: Counter[str] = Counter()
        self._conn = conn
        self._stages = [
            # Chance that can be repeated, and no secret.
            _stage(conn, number, now, Random(start + number))  # noqa: S311
            for number, now in enumerate(MOMENTS)
        ]

    def run(self, *, pairs: int, start: int) -> None:
        """:raises DifferenceError: something did not agree."""
        while self.counted["pairs"] < pairs:
            start += 1
            stage = self._stages[start % len(self._stages)]
            self._batch(stage, start=start, filters_=min(BATCH, -(-pairs // ROWS)))

    def _batch(self, stage: Stage, *, start: int, filters_: int) -> None:
        @seed(start)
        @settings(
            max_examples=filters_,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            expr=filter_grammar.expressions(TABLE, now=stage.now),
            user=st.sampled_from(USERS),
            later=st.timedeltas(timedelta(microseconds=1), timedelta(days=400)),
        )
        def compare(expr: Expr, user: User, later: timedelta) -> None:
            self.compare(check(expr, table=TABLE), stage, user, stage.now + later)

        compare()

    def compare(self, expr: Expr, stage: Stage, user: User, later: datetime) -> None:
        try:
            parts = split(expr)
        except FilterError:
            self.counted["filters refused"] += 1
            return
        self._note(expr)
        answered = self._ask(stage, _of_parts(parts, user, as_of=stage.now))
        expected = _expected(expr, stage, user)
        if answered != expected:
            raise DifferenceError(_difference(expr, stage, answered, expected))
        self.counted["pairs"] += len(expected)
        self.counted["pairs that match"] += sum(expected)
        if not has_user_conditions(expr):
            self._compare_moments(expr, stage, later)

    def _compare_moments(self, expr: Expr, stage: Stage, later: datetime) -> None:
        """Nothing changes before the next tick, and only where `crossing` says so."""
        now = _predicate(expr, as_of=stage.now)
        if self._ask(stage, now) != _expected(expr, stage, USERS[0]):
            raise DifferenceError(f"Split, it says something else: {dumps(expr)}")
        for moment in (later, windows.next_tick(expr, as_of=stage.now)):
            if moment is not None:
                crossing = filter_sql.crossing(
                    canonical(expr), TABLE, "t", before=stage.now, after=moment
                )
                then = _predicate(expr, as_of=moment)
                missed = sql.SQL("{} <> {} AND NOT {}").format(now, then, crossing)
                self._expect_none(stage, missed, expr)
                self.counted["crossings"] += 1
        tick = windows.next_tick(expr, as_of=stage.now)
        until = later if tick is None else tick - timedelta(microseconds=1)
        then = _predicate(expr, as_of=until)
        self._expect_none(stage, sql.SQL("{} <> {}").format(now, then), expr)

    def _expect_none(self, stage: Stage, test: sql.Composable, expr: Expr) -> None:
        if any(self._ask(stage, test)):
            raise DifferenceError(f"Time passed over {dumps(expr)} at {stage.now}.")

    def _ask(self, stage: Stage, test: sql.Composable) -> list[bool]:
        query = sql.SQL("SELECT {} FROM {} t ORDER BY n").format(
            test, sql.Identifier(stage.relation)
        )
        answered = [answer for (answer,) in self._conn.execute(query)]
        if None in answered:
            raise DifferenceError(f"NULL is no answer: {query.as_string(self._conn)}")
        return answered

    def _note(self, expr: Expr) -> None:
        self.counted["filters"] += 1
        for operator in {condition.operator for condition in conditions(expr)}:
            self.counted[f"with {NEGATIONS.get(operator, operator)}"] += 1


def _stage(
    conn: psycopg.Connection, number: int, now: datetime, chance: Random
) -> Stage:
    rows = [
        {
            column.name: filter_grammar.value(column, now=now, random=chance)
            for column in TABLE.columns
        }
        for _ in range(ROWS)
    ]
    relation = f"rows_{number}"
    definitions = [
        sql.SQL("{} {}").format(columns.quoted(c.name), columns.stored_type(c))
        for c in TABLE.columns
    ]
    conn.execute(
        sql.SQL("CREATE TEMP TABLE {} (n integer, {})").format(
            sql.Identifier(relation), sql.SQL(", ").join(definitions)
        )
    )
    fields = [CODECS[c.type].copy([row[c.name] for row in rows]) for c in TABLE.columns]
    copy = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(relation))
    with conn.cursor() as cursor, cursor.copy(copy) as writer:
        for n, line in enumerate(zip(*fields, strict=True)):
            writer.write("\t".join((str(n), *line)) + "\n")
    return Stage(relation=relation, now=now, rows=rows)


def _expected(expr: Expr, stage: Stage, user: User) -> list[bool]:
    tree = json.loads(dumps(expr))
    types = {name: str(kind) for name, kind in _COLUMNS.items()}
    return [
        filters.matches(tree, Question(row=row, types=types, now=stage.now, user=user))
        for row in stage.rows
    ]


def _predicate(expr: Expr, *, as_of: datetime) -> sql.Composable:
    return filter_sql.predicate(expr, "t", TABLE, as_of=as_of)


def _of_parts(parts: Sequence[Part], user: User, *, as_of: datetime) -> sql.Composable:
    """What the feed does with keys, as one condition for one user."""
    alternatives: list[sql.Composable] = [
        sql.SQL(" AND ").join(
            [
                _predicate(part.static or TRUE, as_of=as_of),
                *(_attribute(one, user) for one in part.attributes),
            ]
        )
        for part in parts
    ]
    return sql.SQL(" OR ").join(alternatives or [_predicate(FALSE, as_of=as_of)])


def _attribute(attribute: Attribute, user: User) -> sql.Composable:
    values = [value for value in _values(user)[attribute.kind] if value is not None]
    kind = "bigint" if attribute.kind is AttributeKind.LANGUAGE else "uuid"
    test = sql.SQL("coalesce(t.{} = ANY({}::text[]::{}[]), false)").format(
        sql.Identifier(attribute.column),
        sql.Literal([str(value) for value in values]),
        sql.SQL(kind),
    )
    return sql.SQL("NOT {}").format(test) if attribute.negated else test


def _values(user: User) -> dict[AttributeKind, list[Any]]:
    people = [user.id, *user.reports]
    return {
        AttributeKind.USER: [user.id],
        AttributeKind.TEAMS: [*user.teams],
        AttributeKind.USER_OR_TEAMS: [user.id, *user.teams],
        AttributeKind.HIERARCHY: people,
        AttributeKind.HIERARCHY_AND_TEAMS: [
            *people,
            *user.teams,
            *user.teams_of_reports,
        ],
        AttributeKind.UNIT: [user.unit],
        AttributeKind.LANGUAGE: [user.language],
    }


def _difference(
    expr: Expr, stage: Stage, answered: Sequence[bool], expected: Sequence[bool]
) -> str:
    row = next(
        n
        for n, pair in enumerate(zip(answered, expected, strict=True))
        if len(set(pair)) > 1
    )
    used = {condition.column for condition in conditions(expr)}
    shown = {name: stage.rows[row][name] for name in sorted(used)}
    return f"SQL says {answered[row]} of {shown} at {stage.now}: {dumps(expr)}"


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    with (
        tempfile.TemporaryDirectory(prefix="waystation-filters-") as folder,
        embedded.servers(Path(folder), options=embedded.UNSAFE_BUT_FAST) as urls,
        psycopg.connect(urls.database, autocommit=True) as conn,
    ):
        yield conn


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began_at = time.monotonic()
    with _connection() as conn:
        comparison = Comparison(conn, start=options.seed)
        try:
            comparison.run(pairs=options.pairs, start=options.seed)
        except DifferenceError as error:
            print(f"Difference: {error}")  # noqa: T201
            return FOUND
        finally:
            for name, count in sorted(comparison.counted.items()):
                print(f"{name:34} {count:9}")  # noqa: T201
    print(f"{time.monotonic() - began_at:.1f} s")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
