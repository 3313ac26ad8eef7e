"""When date operators begin and end to hold, and when that changes next. Pure.

The clock is the same for every user: UTC, weeks begin on Sunday. It moves in whole
units: minutes and hours for operators that count them, days for all others, so that
a set which devices hold changes at midnight and not with every breath.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import TypeAlias

from replication.domain.filter_operators import MOVING, Operator
from replication.domain.filters import Condition, Expr, Value, conditions

# The first moment that belongs to the window, and the first that does not.
Bounds: TypeAlias = tuple[datetime | None, datetime | None]


class Unit(Enum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_FIXED = {
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
    Unit.DAY: timedelta(days=1),
    Unit.WEEK: timedelta(weeks=1),
}
_MONTHS = {Unit.MONTH: 1, Unit.YEAR: 12}

# One whole unit, so many units from the present one.
_NAMED = {
    Operator.YESTERDAY: (Unit.DAY, -1),
    Operator.TODAY: (Unit.DAY, 0),
    Operator.TOMORROW: (Unit.DAY, 1),
    Operator.LAST_WEEK: (Unit.WEEK, -1),
    Operator.THIS_WEEK: (Unit.WEEK, 0),
    Operator.NEXT_WEEK: (Unit.WEEK, 1),
    Operator.LAST_MONTH: (Unit.MONTH, -1),
    Operator.THIS_MONTH: (Unit.MONTH, 0),
    Operator.NEXT_MONTH: (Unit.MONTH, 1),
    Operator.LAST_YEAR: (Unit.YEAR, -1),
    Operator.THIS_YEAR: (Unit.YEAR, 0),
    Operator.NEXT_YEAR: (Unit.YEAR, 1),
}
_LAST = {
    Operator.LAST_X_HOURS: Unit.HOUR,
    Operator.LAST_X_DAYS: Unit.DAY,
    Operator.LAST_X_WEEKS: Unit.WEEK,
    Operator.LAST_X_MONTHS: Unit.MONTH,
    Operator.LAST_X_YEARS: Unit.YEAR,
}
_NEXT = {
    Operator.NEXT_X_HOURS: Unit.HOUR,
    Operator.NEXT_X_DAYS: Unit.DAY,
    Operator.NEXT_X_WEEKS: Unit.WEEK,
    Operator.NEXT_X_MONTHS: Unit.MONTH,
    Operator.NEXT_X_YEARS: Unit.YEAR,
}
_OLDER = {
    Operator.OLDER_THAN_X_MINUTES: Unit.MINUTE,
    Operator.OLDER_THAN_X_HOURS: Unit.HOUR,
    Operator.OLDER_THAN_X_DAYS: Unit.DAY,
    Operator.OLDER_THAN_X_WEEKS: Unit.WEEK,
    Operator.OLDER_THAN_X_MONTHS: Unit.MONTH,
    Operator.OLDER_THAN_X_YEARS: Unit.YEAR,
}
_COUNTED = {**_LAST, **_NEXT, **_OLDER}
_SEVEN_DAYS = {
    Operator.LAST_SEVEN_DAYS: Operator.LAST_X_DAYS,
    Operator.NEXT_SEVEN_DAYS: Operator.NEXT_X_DAYS,
}

# A hundred years of each: no bound leaves the calendar.
_MOST = {
    Unit.MINUTE: 52_560_000,
    Unit.HOUR: 876_000,
    Unit.DAY: 36_500,
    Unit.WEEK: 5_200,
    Unit.MONTH: 1_200,
    Unit.YEAR: 100,
}


def most_periods(operator: Operator) -> int:
    """The largest number that an operator such as `last-x-days` takes."""
    return _MOST[_COUNTED[operator]]


def bounds(
    operator: Operator, *, values: Sequence[Value] = (), as_of: datetime
) -> Bounds:
    """The half-open window in which a date operator holds; None is no bound."""
    if operator in _SEVEN_DAYS:
        operator, values = _SEVEN_DAYS[operator], (7,)
    if operator in _NAMED:
        unit, offset = _NAMED[operator]
        begin = shifted(start_of(unit, moment=as_of), by=offset, unit=unit)
        return begin, shifted(begin, by=1, unit=unit)
    if operator in _COUNTED:
        return _counted(operator, count=int(values[0]), as_of=as_of)
    return _around_day(operator, day=date.fromisoformat(str(values[0])))


def _counted(operator: Operator, *, count: int, as_of: datetime) -> Bounds:
    """The present minute, hour or day belongs to the window on either side of it."""
    unit, tick = _COUNTED[operator], _tick(operator)
    present = start_of(tick, moment=as_of)
    if operator in _OLDER:
        return None, shifted(present, by=-count, unit=unit)
    if operator in _LAST:
        return shifted(present, by=-count, unit=unit), shifted(present, by=1, unit=tick)
    last = shifted(present, by=count, unit=unit)
    return present, shifted(last, by=1, unit=tick)


def _around_day(operator: Operator, *, day: date) -> Bounds:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    # Nothing comes after the calendar's last day.
    end = None if day == date.max else begin + timedelta(days=1)
    return (
        None if operator is Operator.ON_OR_BEFORE else begin,
        None if operator is Operator.ON_OR_AFTER else end,
    )


def is_moving(expr: Expr) -> bool:
    """Say whether the rows that match may change while nobody changes them."""
    return any(True for _ in moving_conditions(expr))


def moving_conditions(expr: Expr) -> tuple[Condition, ...]:
    return tuple(one for one in conditions(expr) if one.operator in MOVING)


def next_tick(expr: Expr, *, as_of: datetime) -> datetime | None:
    """The next moment at which any window moves; None when none does."""
    ticks = {_tick(condition.operator) for condition in moving_conditions(expr)}
    return min(
        (shifted(start_of(tick, moment=as_of), by=1, unit=tick) for tick in ticks),
        default=None,
    )


def _tick(operator: Operator) -> Unit:
    """The unit with which the window moves."""
    if operator in _NAMED:
        return _NAMED[operator][0]
    unit = _COUNTED.get(operator, Unit.DAY)
    return unit if unit in (Unit.MINUTE, Unit.HOUR) else Unit.DAY


def start_of(unit: Unit, *, moment: datetime) -> datetime:
    """The first moment of the minute, hour, …, year in which a moment lies, in UTC."""
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if unit is Unit.MINUTE:
        return minute
    if unit is Unit.HOUR:
        return minute.replace(minute=0)
    midnight = minute.replace(hour=0, minute=0)
    if unit is Unit.WEEK:
        return midnight - timedelta(days=midnight.isoweekday() % 7)
    if unit is Unit.DAY:
        return midnight
    return midnight.replace(day=1, month=midnight.month if unit is Unit.MONTH else 1)


def shifted(moment: datetime, *, by: int, unit: Unit) -> datetime:
    """So many units later; a day that a month lacks becomes the month's last."""
    if unit in _FIXED:
        return moment + by * _FIXED[unit]
    years, month = divmod(moment.month - 1 + by * _MONTHS[unit], 12)
    year = moment.year + years
    longest = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, longest))
