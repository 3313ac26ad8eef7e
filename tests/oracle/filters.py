"""Says whether a row matches a filter, one row at a time: the second implementation.

Written from docs/filters.md alone. The filter is the JSON tree, and a row holds what
the source sends. It shares no line with the product.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

Tree = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class User:
    id: str
    teams: Sequence[str] = ()
    unit: str | None = None
    # Whoever reports to the user, and the teams of these.
    reports: Sequence[str] = ()
    teams_of_reports: Sequence[str] = ()
    language: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row and all that its answer depends on; `types` is by column."""

    row: Mapping[str, Any]
    types: Mapping[str, str]
    now: datetime
    user: User | None = None


def matches(tree: Tree, question: Question) -> bool:
    if tree["type"] == "and":
        return all(matches(child, question) for child in tree["children"])
    if tree["type"] == "or":
        return any(matches(child, question) for child in tree["children"])
    if tree["type"] == "not":
        return not matches(tree["child"], question)
    return _condition(tree, question)


NEGATIVE = {
    "ne": "eq",
    "not-in": "in",
    "not-between": "between",
    "not-null": "null",
    "not-like": "like",
    "not-begin-with": "begins-with",
    "not-end-with": "ends-with",
    "not-contain-values": "contain-values",
    "ne-userid": "eq-userid",
    "ne-businessid": "eq-businessid",
}


def _condition(tree: Tree, question: Question) -> bool:
    operator, values = tree["operator"], tree.get("values", [])
    if operator in NEGATIVE:
        return not _positive(NEGATIVE[operator], tree["column"], values, question)
    return _positive(operator, tree["column"], values, question)


def _positive(
    operator: str, column: str, values: Sequence[Any], question: Question
) -> bool:
    sent = question.row.get(column)
    if operator == "null":
        return sent is None
    if sent is None:
        return False
    kind = question.types[column]
    value = _read(kind, sent)
    if operator in USERS:
        return value in _of_user(operator, question.user)
    if operator in ("like", "begins-with", "ends-with"):
        before = "%" if operator == "ends-with" else ""
        after = "%" if operator == "begins-with" else ""
        return _like(value, before + values[0] + after)
    if operator == "contain-values":
        return bool(value & set(values))
    if operator in COMPARISONS:
        return _compare(operator, value, [_read(kind, literal) for literal in values])
    day = value if kind == "date" else value.date()
    if operator.endswith(("hours", "minutes")):
        return _by_clock(operator, value, values[0], question.now)
    return _by_calendar(operator, day, values, question.now.astimezone(UTC).date())


COMPARISONS = ("eq", "in", "gt", "ge", "lt", "le", "between")


def _compare(operator: str, value: Any, literals: Sequence[Any]) -> bool:
    first = literals[0]
    if operator in ("eq", "in"):
        return value in literals
    if operator == "between":
        return bool(first <= value <= literals[1])
    if operator == "gt":
        return bool(value > first)
    if operator == "ge":
        return bool(value >= first)
    return bool(value < first if operator == "lt" else value <= first)


# Values


def _read(kind: str, sent: Any) -> Any:
    if kind == "string":
        return small(sent)
    if kind == "guid":
        return sent.lower()
    if kind in ("int", "bigint", "decimal"):
        return Decimal(str(sent))
    if kind == "double":
        number = float(str(sent).replace("INF", "inf"))
        # Not a number comes after infinity, and is itself.
        return (1, 0.0) if math.isnan(number) else (0, number)
    if kind == "datetime":
        return _moment(sent)
    if kind == "date":
        return date.fromisoformat(sent)
    if kind == "choices":
        return {int(choice) for choice in sent.split(",") if choice}
    assert kind == "bool", kind
    return sent


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def small(text: str) -> str:
    """Letter by letter: only İ would become two, and its simple mapping is i."""
    return "".join("i" if one == "\u0130" else one.lower() for one in text)


def _like(value: str, pattern: str) -> bool:
    expression, rest = "", small(pattern)
    while rest:
        if re.match(r"\[.\]", rest, re.DOTALL):
            expression, rest = expression + re.escape(rest[1]), rest[3:]
            continue
        one, rest = rest[0], rest[1:]
        expression += {"%": ".*", "_": "."}.get(one, re.escape(one))
    return re.fullmatch(expression, value, re.DOTALL) is not None


# Users

USERS = (
    "eq-userid",
    "eq-userteams",
    "eq-useroruserteams",
    "eq-useroruserhierarchy",
    "eq-useroruserhierarchyandteams",
    "eq-businessid",
    "eq-userlanguage",
)


def _of_user(operator: str, user: User | None) -> list[Any]:
    assert user is not None, "the filter mentions the user"
    if operator == "eq-businessid":
        return [] if user.unit is None else [user.unit]
    if operator == "eq-userlanguage":
        return [] if user.language is None else [Decimal(user.language)]
    if operator == "eq-userid":
        return [user.id]
    if operator == "eq-userteams":
        return [*user.teams]
    if operator == "eq-useroruserteams":
        return [user.id, *user.teams]
    people = [user.id, *user.reports]
    if operator == "eq-useroruserhierarchy":
        return people
    return [*people, *user.teams, *user.teams_of_reports]


# Dates


def _by_clock(operator: str, value: datetime, count: int, now: datetime) -> bool:
    """Count whole hours or minutes since some beginning."""
    beginning = datetime(1, 1, 1, tzinfo=UTC)
    unit = timedelta(minutes=1) if "minutes" in operator else timedelta(hours=1)
    present, its = (now - beginning) // unit, (value - beginning) // unit
    if operator.startswith("last"):
        return present - count <= its <= present
    if operator.startswith("next"):
        return present <= its <= present + count
    return its < present - count


def _by_calendar(operator: str, day: date, values: Sequence[Any], today: date) -> bool:
    if operator.startswith("on"):
        wanted = date.fromisoformat(values[0])
        if operator == "on":
            return day == wanted
        return day <= wanted if operator == "on-or-before" else day >= wanted
    distance = (day - today).days
    if operator in ("yesterday", "today", "tomorrow"):
        return distance == ("yesterday", "today", "tomorrow").index(operator) - 1
    if operator.endswith("seven-days"):
        return 0 <= (distance if operator.startswith("next") else -distance) <= 7
    if "-x-" in operator:
        return _counted(operator, day, values[0], today)
    word, unit = operator.split("-")
    return _number(unit, day) == _number(unit, today) + WORDS.index(word) - 1


WORDS = ("last", "this", "next")


def _number(unit: str, day: date) -> int:
    """Weeks, months or years, numbered one after the other."""
    if unit == "year":
        return day.year
    if unit == "month":
        return day.year * 12 + day.month
    # Day 7 of the calendar was a Sunday.
    return day.toordinal() // 7


def _counted(operator: str, day: date, count: int, today: date) -> bool:
    unit = operator.split("-")[-1]
    if operator.startswith("next"):
        return today <= day <= _moved(today, count, unit)
    first = _moved(today, -count, unit)
    return day < first if operator.startswith("olderthan") else first <= day <= today


def _moved(day: date, count: int, unit: str) -> date:
    if unit in ("days", "weeks"):
        return day + timedelta(days=count * (7 if unit == "weeks" else 1))
    months = day.year * 12 + day.month - 1 + count * (12 if unit == "years" else 1)
    for number in range(day.day, 0, -1):
        try:
            return date(months // 12, months % 12 + 1, number)
        except ValueError:
            continue
    raise AssertionError(day)
