"""Which rows of a table a user may hold, as patterns over key attributes. Pure.

A pattern fixes some key attributes of a row and leaves the others free; a set of
patterns means: any of them. What a profile allows and what security allows are
both such sets, and a device may hold what lies in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pattern:
    """None leaves the attribute free. `ancestor` is any business unit at or above
    the row's own."""

    owner: UUID | None = None
    unit: UUID | None = None
    ancestor: UUID | None = None

    def covers(self, other: Pattern) -> bool:
        """Every row of `other` is a row of this one."""
        return all(
            mine is None or mine == its
            for mine, its in zip(self.attributes, other.attributes, strict=True)
        )

    @property
    def attributes(self) -> tuple[UUID | None, UUID | None, UUID | None]:
        return (self.owner, self.unit, self.ancestor)


EVERYTHING = Pattern()


def intersection(
    allowed: Iterable[Pattern], wanted: Iterable[Pattern]
) -> frozenset[Pattern]:
    """Rows in both sets, as the fewest patterns that say so."""
    offered = tuple(wanted)
    both = {_both(one, other) for one in allowed for other in offered}
    return widest(pattern for pattern in both if pattern is not None)


def widest(patterns: Iterable[Pattern]) -> frozenset[Pattern]:
    """Leave out every pattern that another one covers."""
    distinct = set(patterns)
    return frozenset(
        pattern
        for pattern in distinct
        if not any(rival != pattern and rival.covers(pattern) for rival in distinct)
    )


def _both(one: Pattern, other: Pattern) -> Pattern | None:
    """The rows that match both; None when an attribute would need two values.

    Two different ancestors are no contradiction, but they are on one line of the
    tree or share no row; the caller asks for at most one.
    """
    merged: list[UUID | None] = []
    for mine, its in zip(one.attributes, other.attributes, strict=True):
        if mine is not None and its is not None and mine != its:
            return None
        merged.append(mine if mine is not None else its)
    return Pattern(owner=merged[0], unit=merged[1], ancestor=merged[2])
