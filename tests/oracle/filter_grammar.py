"""Random filters over the columns of a table, and random values for its rows.

Literals and values come from the same small pools, so that they meet; among them are
the extremes of each type, and the moments around which date operators change.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from replication.domain.filter_operators import (
    COMPARISONS,
    DAYS,
    PATTERNS,
    PERIODS,
    Arity,
    Operator,
    arity,
    is_about_user,
)
from replication.domain.filters import And, Condition, Expr, Not, Or
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.visibility.filter_check import operators_of

TEXTS = (
    *("", " ", "a", "A", "b", "abc", "ABC", "abcd", "zz", "O'Brien", "ab ", "a\nb"),
    *("50%", "a_b", "a\\b", "[x]", "%", "_", "\\", '"q"', "\u65e5\u672c", "\U0001f600"),
    *("\u00c4", "\u00e4", "Stra\u00dfe", "STRASSE", "\u1e9e", "\u0391\u03a3"),
    *(
        "\u03b1\u03c2",
        "\u03b1\u03c3",
        "\u0130stanbul",
        "istanbul",
        "i\u0307",
        "e\u0301",
    ),
)
PATTERN_TEXTS = (
    *("%", "_", "a%", "%B%", "_b_", "a[_]b", "50[%]", "[[]x]", "%\\%", "A%D", "%%c"),
    *("\u0130%", "stra_e", "", "a_b", "\u00e4", "_", "%\n%", "o'%", "[a]bc", "___"),
)
PEOPLE = tuple(f"0000000{n}-000a-4000-8000-00000000000{n}" for n in range(8))
NUMBERS = {
    ColumnType.INT: ("-2147483648", "-1", "0", "1", "5", "10", "1033", "2147483647"),
    ColumnType.BIGINT: ("-9223372036854775808", "0", "7", "9223372036854775807"),
    ColumnType.DECIMAL: (
        *("0", "0.1", "-0.1", "1.0000000000", "12345678901234567890.12", "-7"),
        *("0.0000000001", "99999999999999999999999999"),
    ),
    ColumnType.DOUBLE: ("0.1", "1.5", "-0.0", "0", "1e308", "5e-324", "-3", "1e22"),
}
ODD_NUMBERS = ("0.5", "-1.5", "9223372036854775808", "1e30", "4.9999999999999999999")
CHOICES = ("1", "9", "1,9", "-3,9", "")
COUNTS = (1, 2, 3, 5, 7, 12, 30, 100)

_DAYS = (0, 1, 2, 3, 5, 6, 7, 8, 12, 13, 14, 21, 27, 28, 29, 30, 31, 59, 60, 61, 62)
_LONG = (89, 90, 92, 100, 183, 365, 366, 367, 700, 731, 1096, 3650, 36525)
_INSTANT = timedelta(microseconds=1)


@functools.cache
def moments_around(now: datetime) -> list[datetime]:
    """Beginnings of minutes, hours, days, months and years, and just before them."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    midnight = hour.replace(hour=0)
    minute = now.replace(second=0, microsecond=0)
    beginnings = [now, minute, hour, midnight.replace(month=1, day=1)]
    for sign in (-1, 1):
        beginnings += [midnight + sign * timedelta(days=n) for n in _DAYS + _LONG]
        beginnings += [hour + sign * timedelta(hours=n) for n in (1, 2, 3, 5, 12, 100)]
        beginnings += [minute + sign * timedelta(minutes=n) for n in (1, 2, 5, 30)]
        beginnings += [
            midnight.replace(year=now.year + sign * n, month=month, day=1)
            for n in (0, 1, 2, 5)
            for month in (1, 2, 3, 12)
        ]
    return sorted({b - shift for b in beginnings for shift in (_INSTANT, 0 * _INSTANT)})


@functools.cache
def pool(kind: ColumnType, *, now: datetime) -> Sequence[str]:
    """Literals of one type."""
    if kind in NUMBERS:
        return NUMBERS[kind]
    if kind is ColumnType.DATETIME:
        return [_written(moment) for moment in moments_around(now)]
    if kind is ColumnType.DATE:
        return sorted({m.date().isoformat() for m in moments_around(now)})
    return {
        ColumnType.STRING: TEXTS,
        ColumnType.GUID: PEOPLE,
        ColumnType.BOOL: ("true", "false"),
        ColumnType.CHOICES: ("1", "9", "-3", "4"),
    }[kind]


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# Rows


def value(column: ColumnDef, *, now: datetime, random: Random) -> Any:
    """What the source might send for a column."""
    if random.random() < 0.15:
        return None
    kind = column.type
    if kind is ColumnType.CHOICES:
        return random.choice(CHOICES)
    if kind is ColumnType.DOUBLE and random.random() < 0.25:
        return random.choice(("NaN", "INF", "-INF"))
    text = random.choice(pool(kind, now=now))
    if kind is ColumnType.GUID:
        return random.choice((text, text.upper()))
    if kind is ColumnType.BOOL:
        return text == "true"
    reading = {ColumnType.INT: int, ColumnType.BIGINT: int, ColumnType.DOUBLE: float}
    return reading.get(kind, str)(text)


# Filters


def expressions(
    table: TableDef, *, now: datetime, about_users: bool = True, leaves: int = 8
) -> st.SearchStrategy[Expr]:
    """Filters that fit the table, as a parser would hand them over."""
    return st.recursive(
        conditions(table, now=now, about_users=about_users),
        lambda inner: st.one_of(
            st.lists(inner, min_size=0, max_size=4).map(lambda c: And(tuple(c))),
            st.lists(inner, min_size=0, max_size=4).map(lambda c: Or(tuple(c))),
            inner.map(Not),
        ),
        max_leaves=leaves,
    )


@st.composite
def conditions(
    draw: st.DrawFn, table: TableDef, *, now: datetime, about_users: bool = True
) -> Condition:
    column, operator = draw(_subjects(table, about_users=about_users))
    least, most = _HOW_MANY[arity(operator)]
    literals = st.sampled_from(_literals(column, operator, now))
    values = draw(st.lists(literals, min_size=least, max_size=most))
    return Condition(column.name, operator, tuple(values))


@functools.cache
def _subjects(
    table: TableDef, *, about_users: bool
) -> st.SearchStrategy[tuple[ColumnDef, Operator]]:
    """By column or by operator: dates have many, and text must not starve."""
    by_column: dict[str, list[tuple[ColumnDef, Operator]]] = {}
    by_operator: dict[str, list[tuple[ColumnDef, Operator]]] = {}
    for column in table.columns:
        if column.type in _KINDS:
            for operator in sorted(operators_of(column.type)):
                if about_users or not is_about_user(operator):
                    by_column.setdefault(column.name, []).append((column, operator))
                    by_operator.setdefault(operator, []).append((column, operator))
    return (
        st.booleans()
        .flatmap(
            lambda o: st.sampled_from([*(by_operator if o else by_column).values()])
        )
        .flatmap(st.sampled_from)
    )


_KINDS = frozenset(
    {*NUMBERS, ColumnType.STRING, ColumnType.GUID, ColumnType.BOOL, ColumnType.CHOICES}
    | {ColumnType.DATETIME, ColumnType.DATE}
)
_HOW_MANY = {
    Arity.NONE: (0, 0),
    Arity.ONE: (1, 1),
    Arity.PERIODS: (1, 1),
    Arity.TWO: (2, 2),
    Arity.SOME: (1, 4),
}


def _literals(
    column: ColumnDef, operator: Operator, now: datetime
) -> Sequence[str | int]:
    if operator in PERIODS:
        return COUNTS
    if operator in PATTERNS:
        return PATTERN_TEXTS
    if operator in DAYS:
        return pool(ColumnType.DATE, now=now)
    literals = pool(column.type, now=now)
    if column.type in NUMBERS and operator in COMPARISONS:
        return (*literals, *ODD_NUMBERS)
    return literals
