"""How changes of a table are found, and where a poll of it stands. Pure.

`delta`: the source tracks changes. `watermark`: rows are asked for whose modified
time, or version, is no older than what was read, less an overlap. `compare`: the
whole table is read each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from replication.domain.tables import ColumnDef, ColumnType, TableDef

Mode = Literal["delta", "watermark", "compare"]

# A row is committed later than the time that it bears, and clocks differ.
OVERLAP = timedelta(minutes=10)
# The same for versions that a source counts.
OVERLAP_VERSIONS = 1000

_TIMES = re.compile(
    r"(row|sys|system|last|date|time)?"
    r"(modified|modification|updated?|changed?|edited|modstamp)"
    r"(on|at|date|time|datetime|datetimeoffset|timestamp|utc)*"
)
_VERSIONS = re.compile(r"(rowversion|versionnumber|changeversion|changesequence)")
_NUMBERS = frozenset({ColumnType.INT, ColumnType.BIGINT})

_MOMENT = re.compile(r"(.*?)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)", re.I | re.ASCII)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DIGITS = 12


class UnreadableStampError(ValueError):
    """A modified time that no calendar knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The mode of a table; `column` is what a watermark is taken from."""

    mode: Mode
    column: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a poll or a scan stands: our own cursor, for sources that give none.

    `high` is the stamp from which the next poll begins, less the overlap: for a poll
    the highest that was read, for a scan the highest when it began, because rows that
    change behind a scan are found by nothing but the poll after it.
    """

    kind: Literal["scan", "poll", "unstamped"]
    # Values of the columns of the order, of the last row that was read.
    after: tuple[str, ...] | None = None
    # The source's own link, where keys cannot be compared.
    link: str | None = None
    # Its pages are followed, because it takes no conditions on keys.
    by_links: bool = False
    high: str | None = None
    # Only keys and versions are read; rows follow where they differ from staging.
    light: bool = False
    # How many times the usual number of rows is asked for.
    wider: int = 1

    def encoded(self) -> str:
        return msgspec.json.encode(self).decode()


def place_of(link: str) -> Place:
    """:raises ValueError: the link is none that `Place.encoded` made."""
    try:
        return msgspec.json.decode(link, type=Place)
    except msgspec.DecodeError as error:
        raise ValueError("The cursor is a source's own link.") from error


def candidates(table: TableDef) -> tuple[ColumnDef, ...]:
    """Return columns that may say when a row was last changed, the likeliest first."""
    named = [column for column in table.columns if _may_stamp(column)]
    named.sort(key=lambda c: (not c.guards_row, not c.computed, c.type in _NUMBERS))
    return tuple(named)


def _may_stamp(column: ColumnDef) -> bool:
    name = column.source_name.casefold().replace("_", "")
    if column.type is ColumnType.DATETIME:
        return column.guards_row or _TIMES.fullmatch(name) is not None
    return column.type in _NUMBERS and _VERSIONS.fullmatch(name) is not None


def order_of(column: ColumnDef, stamp: str) -> tuple[datetime, int] | int:
    """Return what sorts stamps of this column.

    :raises UnreadableStampError: the stamp is beyond every calendar.
    """
    if column.type in _NUMBERS:
        return int(stamp)
    parts = _MOMENT.fullmatch(stamp)
    if parts is None:
        raise UnreadableStampError
    try:
        moment = datetime.fromisoformat(f"{parts[1]}{parts[3].upper()}")
        whole = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnreadableStampError from error
    return whole, int((parts[2] or "").ljust(_DIGITS, "0"))


def highest(
    column: ColumnDef, stamps: Iterable[str | None], *, now: datetime
) -> str | None:
    """Return the highest stamp, but none of the future.

    A row from the future would hide all changes until then; it is read again by
    every poll instead.
    """
    best: str | None = None
    for stamp in stamps:
        if stamp is not None and _is_higher(column, stamp, best, now=now):
            best = stamp
    return best


def _is_higher(
    column: ColumnDef, stamp: str, best: str | None, *, now: datetime
) -> bool:
    try:
        order = order_of(column, stamp)
    except UnreadableStampError:
        return False
    if isinstance(order, tuple) and order[0] > now:
        return False
    return best is None or order > order_of(column, best)  # type: ignore[operator]  # the same column gives the same type


def low_end(column: ColumnDef, high: str) -> str:
    """Return where a poll begins: the watermark less the overlap."""
    order = order_of(column, high)
    if isinstance(order, int):
        return str(order - OVERLAP_VERSIONS)
    whole, _ = order
    low = whole - OVERLAP if whole - _EARLIEST > OVERLAP + _SECOND else _EARLIEST
    return low.replace(tzinfo=None).isoformat() + "Z"
