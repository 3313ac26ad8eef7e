"""How a table that is too large for one worker is divided into parts. Pure.

Parts are ranges of a column of whole numbers that has another value in every row, and
a higher one, or the same, whatever happens to the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

# A part is a quarter of the smallest table that is divided: more workers than that
# rarely have time, and shorter parts are lost with less.
PARTS_OF_THE_SMALLEST = 4
MOST_PARTS = 64

_MOST_SAMPLED = 2_000


class Listing(msgspec.Struct, frozen=True, kw_only=True, tag="listing"):
    """Keys and versions are read to the end, for the cursor that only comes there."""

    # Into how many parts the table will be divided.
    parts: int
    # The source's next page; None before the first.
    link: str | None = None
    rows: int = 0
    # Of so many rows, one is in the sample.
    every: int = 1
    sample: tuple[int, ...] = ()

    def with_page(self, values: Sequence[int], *, link: str | None) -> Listing:
        first = -self.rows % self.every
        sample = (*self.sample, *values[first :: self.every])
        every = self.every
        while len(sample) > _MOST_SAMPLED:
            sample, every = sample[::2], every * 2
        rows = self.rows + len(values)
        return Listing(
            parts=self.parts, link=link, rows=rows, every=every, sample=sample
        )


class Loading(msgspec.Struct, frozen=True, kw_only=True, tag="loading"):
    """Workers read the parts."""

    # The cursor from which everything is read that changed since the load began.
    then: str


class Repairing(msgspec.Struct, frozen=True, kw_only=True, tag="repairing"):
    """All parts are read; what changed meanwhile is read now, and ends the load."""


Division = Listing | Loading | Repairing


def encoded(division: Division) -> str:
    return msgspec.json.encode(division).decode()


def decoded(text: str) -> Division:
    division: Division = msgspec.json.decode(text, type=Division)
    return division


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Rows whose value is above `after`, and `upto` at most."""

    after: int
    upto: int


def how_many(rows: int, *, divide_from: int) -> int:
    """Return into how many parts a table of so many rows is divided; 1: it is not."""
    if rows < divide_from:
        return 1
    wanted = rows * PARTS_OF_THE_SMALLEST // max(divide_from, 1)
    return min(max(wanted, 2), MOST_PARTS)


def spans(sample: Sequence[int], whole: Span, *, parts: int) -> tuple[Span, ...]:
    """Return spans that together are the whole, and share no value.

    Each has about as many values of the sample; without a sample all are as wide.
    """
    after, upto = whole.after, whole.upto
    ordered = sorted(value for value in sample if after < value < upto)
    if not ordered:
        ordered = [after + (upto - after) * n // parts for n in range(parts)]
    cuts = {ordered[len(ordered) * n // parts] for n in range(1, parts)}
    ends = [after, *sorted(cuts - {after, upto}), upto]
    return tuple(Span(after=after, upto=upto) for after, upto in pairwise(ends))
