"""Which rows of a table a user may hold, as patterns over key attributes. Pure.

A pattern fixes some key attributes of a row and leaves the others free; a set of
patterns means: any of them. What a profile allows and what security allows are
both such sets, and a device may hold what lies in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pattern:
    """None leaves the attribute free. `ancestor` is any business unit at or above
    the row's own; `through` a principal with whom the row is shared, or who is the
    superior of somebody to whom it belongs."""

    owner: UUID | None = None
    unit: UUID | None = None
    ancestor: UUID | None = None
    through: UUID | None = None

    def covers(self, other: Pattern) -> bool:
        """Every row of `other` is a row of this one."""
        return all(
            mine is None or mine == its
            for mine, its in zip(self.attributes, other.attributes, strict=True)
        )

    @property
    def attributes(self) -> tuple[UUID | None, ...]:
        return (self.owner, self.unit, self.ancestor, self.through)


EVERYTHING = Pattern()
_NAMES = ("owner", "unit", "ancestor", "through")


def intersection(
    allowed: Iterable[Pattern], wanted: Iterable[Pattern]
) -> frozenset[Pattern]:
    """Rows in both sets, as the fewest patterns that say so."""
    offered, asked = widest(allowed), widest(wanted)
    # What the other set covers is in both as it stands, and what it has in common
    # with anything is in it: a user with many teams would have millions of pairs.
    all_allowed = frozenset(one for one in asked if _is_covered(one, offered))
    all_wanted = frozenset(one for one in offered if _is_covered(one, asked))
    both = {
        _both(one, other)
        for one in offered - all_wanted
        for other in asked - all_allowed
    }
    found = {pattern for pattern in both if pattern is not None}
    return widest(found | all_allowed | all_wanted)


def widest(patterns: Iterable[Pattern]) -> frozenset[Pattern]:
    """Leave out every pattern that another one covers."""
    distinct = frozenset(patterns)
    return frozenset(
        pattern for pattern in distinct if distinct.isdisjoint(_wider(pattern))
    )


def _is_covered(pattern: Pattern, others: frozenset[Pattern]) -> bool:
    return pattern in others or not others.isdisjoint(_wider(pattern))


def _wider(pattern: Pattern) -> Iterator[Pattern]:
    """All patterns that fix fewer of the same attributes."""
    fixed = [(n, v) for n, v in zip(_NAMES, pattern.attributes, strict=True) if v]
    for size in range(len(fixed)):
        for kept in combinations(fixed, size):
            yield Pattern(**dict(kept))


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
    return Pattern(
        owner=merged[0], unit=merged[1], ancestor=merged[2], through=merged[3]
    )
