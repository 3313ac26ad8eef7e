"""Turn samples of running totals into what happened, slot by slot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Equal, consecutive stretches of time."""

    begins_at: datetime
    width: timedelta
    count: int

    @property
    def starts(self) -> list[datetime]:
        return [self.begins_at + n * self.width for n in range(self.count)]

    def index(self, at: datetime) -> int:
        """The slot of a moment; negative or too high outside."""
        return (at - self.begins_at) // self.width


def slots_until(now: datetime, *, width: timedelta, count: int) -> Slots:
    """The last `count` slots, the present one included, on round moments."""
    epoch = datetime.min.replace(tzinfo=now.tzinfo)
    last = now - (now - epoch) % width
    return Slots(begins_at=last - (count - 1) * width, width=width, count=count)


def latest(samples: Sequence[tuple[datetime, T]], slots: Slots) -> list[T | None]:
    """The last value of each slot; None where nothing was sampled."""
    found: list[T | None] = [None] * slots.count
    for at, value in samples:
        place = slots.index(at)
        if 0 <= place < slots.count:
            found[place] = value
    return found


def increases(
    samples: Sequence[tuple[datetime, int]],
    slots: Slots,
    *,
    before: int | None = None,
) -> list[int | None]:
    """By how much a running total rose in each slot; None where nothing was sampled.

    Samples are in the order of time; `before` is the total ahead of the first one, as
    far as that is known. A total that fell, because something that it
    counted is gone, counts as a rise of nothing.
    """
    found: list[int | None] = [None] * slots.count
    for at, total in samples:
        rise = 0 if before is None else max(0, total - before)
        before = total
        place = slots.index(at)
        if 0 <= place < slots.count:
            found[place] = (found[place] or 0) + rise
    return found
