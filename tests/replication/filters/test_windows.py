"""When date operators begin and end to hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.domain import windows
from replication.domain.filter_operators import MOVING, PERIODS, Operator
from replication.domain.filters import And, Not
from tests.replication.filters.tables import condition

# A Sunday.
NOON = datetime(2026, 11, 22, 12, 34, 56, 789, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

WINDOWS: dict[tuple[str | int, ...], tuple[str | None, str | None]] = {
    ("yesterday",): ("2026-11-21", "2026-11-22"),
    ("today",): ("2026-11-22", "2026-11-23"),
    ("tomorrow",): ("2026-11-23", "2026-11-24"),
    ("last-week",): ("2026-11-15", "2026-11-22"),
    ("this-week",): ("2026-11-22", "2026-11-29"),
    ("next-week",): ("2026-11-29", "2026-12-06"),
    ("last-month",): ("2026-10-01", "2026-11-01"),
    ("this-month",): ("2026-11-01", "2026-12-01"),
    ("next-month",): ("2026-12-01", "2027-01-01"),
    ("last-year",): ("2025-01-01", "2026-01-01"),
    ("this-year",): ("2026-01-01", "2027-01-01"),
    ("next-year",): ("2027-01-01", "2028-01-01"),
    ("last-seven-days",): ("2026-11-15", "2026-11-23"),
    ("next-seven-days",): ("2026-11-22", "2026-11-30"),
    ("last-x-hours", 2): ("2026-11-22T10:00", "2026-11-22T13:00"),
    ("last-x-days", 1): ("2026-11-21", "2026-11-23"),
    ("last-x-weeks", 2): ("2026-11-08", "2026-11-23"),
    ("last-x-months", 9): ("2026-02-22", "2026-11-23"),
    ("last-x-years", 3): ("2023-11-22", "2026-11-23"),
    ("next-x-hours", 12): ("2026-11-22T12:00", "2026-11-23T01:00"),
    ("next-x-days", 9): ("2026-11-22", "2026-12-02"),
    ("next-x-weeks", 1): ("2026-11-22", "2026-11-30"),
    ("next-x-months", 3): ("2026-11-22", "2027-02-23"),
    ("next-x-years", 1): ("2026-11-22", "2027-11-23"),
    ("olderthan-x-minutes", 35): (None, "2026-11-22T11:59"),
    ("olderthan-x-hours", 12): (None, "2026-11-22T00:00"),
    ("olderthan-x-days", 22): (None, "2026-10-31"),
    ("olderthan-x-weeks", 1): (None, "2026-11-15"),
    ("olderthan-x-months", 1): (None, "2026-10-22"),
    ("olderthan-x-years", 10): (None, "2016-11-22"),
    ("on", "2026-02-28"): ("2026-02-28", "2026-03-01"),
    ("on-or-before", "2026-02-28"): (None, "2026-03-01"),
    ("on-or-after", "2026-02-28"): ("2026-02-28", None),
    ("on-or-before", "9999-12-31"): (None, None),
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("asked", "expected"), WINDOWS.items(), ids=str)
def test_a_window_has_the_bounds_that_the_documentation_gives_it(asked, expected):
    name, *values = asked

    window = windows.bounds(Operator(str(name)), values=values, as_of=NOON)

    assert window == tuple(None if text is None else moment(text) for text in expected)


def test_every_date_operator_has_a_window():
    named = {Operator(str(asked[0])) for asked in WINDOWS}

    assert named >= MOVING


def test_the_clock_is_in_utc_wherever_the_question_comes_from():
    in_lima = NOON.replace(hour=3).astimezone(timezone(timedelta(hours=-5)))

    assert windows.bounds(Operator.TODAY, as_of=in_lima) == (
        moment("2026-11-22"),
        moment("2026-11-23"),
    )


@pytest.mark.parametrize(
    ("day", "operator", "count", "expected"),
    [
        ("2026-03-31", "olderthan-x-months", 1, "2026-02-28"),
        ("2024-03-31", "olderthan-x-months", 1, "2024-02-29"),
        ("2024-02-29", "olderthan-x-years", 1, "2023-02-28"),
        ("2026-01-31", "olderthan-x-months", 13, "2024-12-31"),
    ],
)
def test_a_day_that_a_month_lacks_is_its_last(day, operator, count, expected):
    _, end = windows.bounds(Operator(operator), values=(count,), as_of=moment(day))

    assert end == moment(expected)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("olderthan-x-minutes", "2026-11-22T12:35"),
        ("last-x-hours", "2026-11-22T13:00"),
        ("today", "2026-11-23"),
        ("last-x-months", "2026-11-23"),
        ("this-week", "2026-11-29"),
        ("last-month", "2026-12-01"),
        ("next-year", "2027-01-01"),
    ],
)
def test_a_window_moves_next_with_its_unit(operator, expected):
    values = (3,) if Operator(operator) in PERIODS else ()
    expr = Not(condition("modifiedon", operator, *values))

    assert windows.next_tick(expr, as_of=NOON) == moment(expected)


def test_the_first_window_to_move_counts():
    expr = And((condition("founded", "this-year"), condition("modifiedon", "today")))

    assert windows.next_tick(expr, as_of=NOON) == moment("2026-11-23")


def test_a_filter_without_moving_windows_never_ticks():
    expr = And((condition("modifiedon", "on", "2026-11-22"), condition("name", "null")))

    assert not windows.is_moving(expr)
    assert windows.next_tick(expr, as_of=NOON) is None


@given(
    operator=st.sampled_from(sorted(MOVING)),
    count=st.integers(1, 100),
    as_of=st.timedeltas(-timedelta(days=45_000), timedelta(days=45_000)).map(
        lambda distance: NOON + distance
    ),
)
def test_no_bound_moves_before_the_next_tick_and_none_moves_back(
    operator, count, as_of
):
    values = (count,) if operator in PERIODS else ()
    expr = condition("modifiedon", operator, *values)

    tick = windows.next_tick(expr, as_of=as_of)
    assert tick is not None
    present, last, then = (
        windows.bounds(operator, values=values, as_of=at)
        for at in (as_of, tick - INSTANT, tick)
    )

    assert as_of < tick
    assert last == present
    for old, new in zip(present, then, strict=True):
        assert (old is None) == (new is None)
        assert old is None or new is None or old <= new
