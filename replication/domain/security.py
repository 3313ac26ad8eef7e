"""What a user's roles let him read of one table. Pure.

After SOURCE §3.10: a privilege at any depth opens the rows that the user, or an
owner team of his, owns; a greater depth opens business units as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from replication.domain.patterns import EVERYTHING, Pattern, widest


class Depth(IntEnum):
    """`roleprivileges.privilegedepthmask`."""

    USER = 1
    BUSINESS_UNIT = 2
    PARENT_CHILD = 4
    ORGANIZATION = 8

    @classmethod
    def of_mask(cls, mask: int) -> Depth | None:
        """The deepest of the depths in the mask."""
        return max((depth for depth in cls if mask & depth), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Privilege:
    """A read privilege that a user holds, directly or through a team."""

    name: str
    depth: Depth
    # Business unit of the holder: the user's, or the team's.
    unit: UUID | None
    # None when the user holds the role himself.
    team: UUID | None = None
    # `role.isinherited`: a team's members hold it as if it were their own.
    is_inherited: bool = False
    # Name of the role that gives it, for people.
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A user with the teams he belongs to."""

    user: UUID
    unit: UUID | None
    teams: frozenset[UUID]

    @property
    def principals(self) -> frozenset[UUID]:
        return self.teams | {self.user}


def readable_rows(
    holder: Holder, privileges: Iterable[Privilege], *, is_opened: bool = False
) -> frozenset[Pattern]:
    """Patterns of the rows that the privileges on one table open; empty: none.

    `is_opened`: with any privilege, rows that are shared with the user or one of his
    teams, or that belong to somebody below him, are open as well.
    """
    patterns: set[Pattern] = set()
    for privilege in privileges:
        patterns |= _opened_by(holder, privilege)
    if patterns and is_opened:
        patterns |= {Pattern(through=principal) for principal in holder.principals}
    return widest(patterns)


def _opened_by(holder: Holder, privilege: Privilege) -> set[Pattern]:
    if privilege.depth is Depth.ORGANIZATION:
        return {EVERYTHING}
    if privilege.depth is Depth.USER and privilege.team and not privilege.is_inherited:
        return {Pattern(owner=privilege.team)}
    opened = {Pattern(owner=principal) for principal in holder.principals}
    if privilege.unit is not None:
        if privilege.depth is Depth.BUSINESS_UNIT:
            opened.add(Pattern(unit=privilege.unit))
        if privilege.depth is Depth.PARENT_CHILD:
            opened.add(Pattern(ancestor=privilege.unit))
    return opened
