"""Reads the literals of filters: one spelling per value, for each type of column. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from replication.domain import like_patterns
from replication.domain.filters import Value
from replication.domain.tables import ColumnType

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?", re.ASCII | re.I
)
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,12}))?"
    r" ?(?P<zone>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII | re.I,
)
_MICROSECONDS = 6
_LONGEST_NUMBER = 100
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
# Doubles hold every whole number up to here.
_EXACT = 2**53


class LiteralError(ValueError):
    """The literal is no value of the type; the message says what is expected."""


def literal(kind: ColumnType, value: Value) -> Value:
    """:raises LiteralError: it is no value of this type."""
    return _READERS[kind](value)


def pattern(value: Value) -> str:
    """:raises LiteralError: it is no pattern of `like`."""
    text = _text(value)
    try:
        like_patterns.pieces(text)
    except like_patterns.PatternError as error:
        raise LiteralError(f"in a pattern, {error}") from error
    return text


def day(value: Value) -> str:
    """The day in which a moment lies, in UTC.

    :raises LiteralError: it is neither a day nor a moment.
    """
    return _moment_of(value).date().isoformat()


def count(value: Value, *, most: int) -> int:
    """:raises LiteralError: it is no whole number from 1 on, or too large."""
    number = _integer(value)
    if not 1 <= number <= most:
        raise LiteralError(f"a number from 1 to {most} is expected")
    return number


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise LiteralError("text is expected")
    # PostgreSQL stores neither.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise LiteralError("text without NUL and without lone surrogates is expected")
    return value


def _guid(value: Value) -> Value:
    text = str(value).strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    if not _GUID.fullmatch(text):
        raise LiteralError("a GUID is expected")
    return text.lower()


def _bool(value: Value) -> Value:
    words = {"true": True, "1": True, "false": False, "0": False}
    word = str(value).strip().lower()
    if word not in words:
        raise LiteralError("true, false, 1 or 0 is expected")
    return words[word]


def _integer(value: Value) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not _INTEGER.fullmatch(text):
        raise LiteralError("a whole number is expected")
    return int(text)


def _decimal(value: Value) -> Decimal:
    text = str(value).strip()
    is_number = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text)
    if isinstance(value, bool) or not is_number:
        raise LiteralError("a finite number is expected")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise LiteralError("a finite number is expected") from error


def _number(value: Value) -> Value:
    """Whole numbers as such where 64 bits hold them, all others as plain text."""
    number = _decimal(value)
    if number == number.to_integral_value() and int(number) in _INT64:
        return int(number)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _double(value: Value) -> Value:
    """The nearest double, as the shortest text that reads back the same."""
    nearest = float(_decimal(value))
    if nearest in (float("inf"), float("-inf")):
        raise LiteralError("a number within the range of doubles is expected")
    is_whole = nearest.is_integer() and abs(nearest) <= _EXACT
    return int(nearest) if is_whole else repr(nearest)


def _datetime(value: Value) -> Value:
    moment = _moment_of(value)
    text = moment.replace(microsecond=0, tzinfo=None).isoformat()
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{text}{fraction}Z"


def _date(value: Value) -> Value:
    moment = _moment_of(value)
    if moment != moment.replace(hour=0, minute=0, second=0, microsecond=0):
        raise LiteralError("a day without a time is expected")
    return moment.date().isoformat()


def _moment_of(value: Value) -> datetime:
    """A day is its first moment; a moment without a zone is one in UTC."""
    expected = "a moment such as 2026-03-01T08:00:00Z, or a day, is expected"
    found = _MOMENT.fullmatch(str(value).strip())
    if found is None:
        raise LiteralError(expected)
    fraction = (found["fraction"] or "").rstrip("0")
    if len(fraction) > _MICROSECONDS:
        raise LiteralError("a moment in microseconds at most is expected")
    text = f"{found['day']}T{found['time'] or '00:00'}"
    zone = (found["zone"] or "Z").upper()
    try:
        moment = datetime.fromisoformat(f"{text}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise LiteralError(expected) from error
    return moment.replace(microsecond=int(fraction.ljust(_MICROSECONDS, "0")))


def _choice(value: Value) -> Value:
    number = _integer(value)
    if number not in _INT32:
        raise LiteralError("the number of a choice is expected")
    return number


_READERS: dict[ColumnType, Callable[[Value], Value]] = {
    ColumnType.GUID: _guid,
    ColumnType.STRING: _text,
    ColumnType.INT: _number,
    ColumnType.BIGINT: _number,
    ColumnType.DECIMAL: _number,
    ColumnType.DOUBLE: _double,
    ColumnType.BOOL: _bool,
    ColumnType.DATETIME: _datetime,
    ColumnType.DATE: _date,
    ColumnType.CHOICES: _choice,
}
