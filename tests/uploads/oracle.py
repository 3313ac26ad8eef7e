"""What may become of an edit by PROTOCOL §7, given a state of its row. Naive and pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.uploads.world import BY_NAME, SECRET, WORDS_REFUSED

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """`written`: the columns that the source gets; None: it gets nothing."""

    status: str
    reason: str | None = None
    written: frozenset[str] | None = None
    lost: frozenset[str] = frozenset()
    merged: bool = False


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An edit as its device made it."""

    op: str
    table: str
    values: Values
    base_values: Values


_GONE = Expected(status="rejected", reason="not_found")


def refused_at_once(wish: Wish) -> str | None:
    """Why nobody may make such an edit, whatever the row is."""
    if wish.table not in BY_NAME:
        return "not_permitted"
    if wish.table == "task" or SECRET in wish.values:
        return "not_writable"
    return None


def expected(
    wish: Wish, row: Values | None, *, policy: str, is_as_seen: bool
) -> Expected:
    """By the table of PROTOCOL §7, if the source takes what it is sent."""
    if wish.op == "void":
        return Expected(status="applied")
    if wish.op == "create":
        if row is not None:
            return Expected(status="rejected", reason="exists")
        return _whole(wish)
    if row is None:
        return Expected(status="applied") if wish.op == "delete" else _GONE
    if is_as_seen or policy == "client_wins":
        return _whole(wish)
    if policy == "server_wins" or wish.op == "delete":
        return Expected(status="conflict", lost=frozenset(wish.values))
    return _merged(wish, row)


def _whole(wish: Wish) -> Expected:
    return Expected(status="applied", written=frozenset(wish.values))


def _merged(wish: Wish, row: Values) -> Expected:
    written: set[str] = set()
    lost: set[str] = set()
    for column, value in wish.values.items():
        now = as_told(row.get(column))
        if now == value:
            continue
        base = wish.base_values.get(column, ())
        (written if now == base else lost).add(column)
    return Expected(
        status="conflict" if lost else "applied",
        written=frozenset(written) if written else None,
        lost=frozenset(lost),
        merged=not lost,
    )


def is_hopeless(wish: Wish) -> bool:
    """Whether a plug-in of the source refuses it each time."""
    return any(WORDS_REFUSED in str(value) for value in wish.values.values())


def as_told(value: Any) -> str | None:
    """A value of the source as devices get it: names, decimals, versions, keys."""
    return None if value is None else str(value)
