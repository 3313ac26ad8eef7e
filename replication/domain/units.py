"""The tree of business units, and how parent:child rights are handed out by it. Pure.

A row's feed entries name the units above its own, except the topmost: nearly every
row hangs below that one, and would cost an entry that nobody needs. Rights on the
topmost unit are spread over its children instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from replication.domain.patterns import Pattern


@dataclass(frozen=True, slots=True)
class UnitTree:
    """Every known unit with its parent; None for a topmost one."""

    parents: Mapping[UUID, UUID | None]

    def is_topmost(self, unit: UUID) -> bool:
        return unit in self.parents and self.parents[unit] is None

    def children(self, unit: UUID) -> tuple[UUID, ...]:
        return tuple(child for child, above in self.parents.items() if above == unit)

    def below(self, unit: UUID) -> frozenset[UUID]:
        """All units strictly below; those of a cycle are below each other."""
        found: set[UUID] = set()
        waiting = [unit]
        while waiting:
            fresh = set(self.children(waiting.pop())) - found
            found |= fresh
            waiting += fresh
        return frozenset(found)

    def is_within(self, unit: UUID, ancestor: UUID) -> bool:
        """The unit is the ancestor or below it; a cycle ends where it began."""
        met: set[UUID] = set()
        here: UUID | None = unit if unit in self.parents else None
        while here is not None and here not in met:
            if here == ancestor:
                return True
            met.add(here)
            here = self.parents.get(here)
        return False


def spread(pattern: Pattern, tree: UnitTree) -> Iterator[Pattern]:
    """Patterns over feed entries for the same rows.

    In what is returned, `ancestor` means: a unit strictly above the row's own.
    """
    top = pattern.ancestor
    if top is None:
        yield pattern
    elif pattern.unit is not None:
        if tree.is_within(pattern.unit, top):
            yield replace(pattern, ancestor=None)
    else:
        heads = (top, *tree.children(top)) if tree.is_topmost(top) else (top,)
        for head in heads:
            yield Pattern(owner=pattern.owner, unit=head)
            if not tree.is_topmost(head) and tree.children(head):
                yield Pattern(owner=pattern.owner, ancestor=head)


def flattened(pattern: Pattern, tree: UnitTree) -> Iterator[Pattern]:
    """The same rows, without asking entries for units above their own.

    Costs a pattern for every unit below, hence only for as long as a table has no
    such entries: what a user may see must not depend on how far a build has come.
    """
    if pattern.ancestor is None:
        yield pattern
        return
    for unit in tree.below(pattern.ancestor):
        yield replace(pattern, unit=unit, ancestor=None)
