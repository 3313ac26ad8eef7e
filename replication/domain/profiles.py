"""Profiles: what users may take along, before security narrows it. Pure."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

Records = Literal["all", "filtered"]
Conflicts = Literal["server_wins", "client_wins", "merge"]

SHORTEST_INTERVAL_MINUTES = 5
LONGEST_INTERVAL_MINUTES = 1440


class ProfileItem(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """One table of a profile.

    `records="filtered"` takes the rows for which any of the `owned_by…` members
    holds; with none of them the item gives no row of its own accord.
    """

    table: str
    records: Records = "all"
    owned_by_me: bool = False
    owned_by_my_team: bool = False
    owned_by_my_business_unit: bool = False
    # None takes every column.
    columns: tuple[str, ...] | None = None
    writable: bool = False
    conflicts: Conflicts = "server_wins"
    sync_interval_minutes: int = SHORTEST_INTERVAL_MINUTES


class Assignments(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Who has a profile; any of these suffices."""

    everyone: bool = False
    users: tuple[UUID, ...] = ()
    teams: tuple[UUID, ...] = ()
    roles: tuple[UUID, ...] = ()


class ProfileDef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    items: tuple[ProfileItem, ...]
    assignments: Assignments = Assignments()


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All published profiles of an organization."""

    profiles: tuple[ProfileDef, ...] = ()

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(i.table for p in self.profiles for i in p.items)
