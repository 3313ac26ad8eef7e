"""Mobile offline profiles: who takes which rows and columns along. Pure.

After the profile model of Dynamics (SOURCE §5.5), with its names where it has some.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

Records = Literal["all", "filtered", "related_only", "custom"]
Conflicts = Literal["server_wins", "client_wins", "merge"]
Language = Literal["fetchxml", "odata"]
AssociationKind = Literal["one_to_many", "many_to_one", "many_to_many"]
# Where profiles are written: here, or at the source.
Origin = Literal["authored", "source"]
# Where users come from: tables of Dataverse, or the tokens with which they sign in.
People = Literal["source", "tokens"]

SHORTEST_INTERVAL_MINUTES = 5
LONGEST_INTERVAL_MINUTES = 1440


class FilterText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter as its author wrote it (docs/filters.md)."""

    language: Language
    text: str


class Association(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Rows of `table` that come along with the rows of the item.

    `one_to_many`: their lookup `column` names the item's row. `many_to_one`: the
    item's lookup `column` names them. `many_to_many`: rows of `intersect` name both,
    the item's row in `column` and theirs in `other_column`.
    """

    table: str
    kind: AssociationKind
    column: str
    intersect: str | None = None
    other_column: str | None = None
    # Schema name at the source, for people.
    relationship: str | None = None


class ProfileItem(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """One table of a profile.

    `records="filtered"` takes the rows for which any of the `owned_by…` members
    holds; `"custom"` those that `filter` accepts; `"related_only"` none of its own
    accord. What associations of other items bring, and followed rows, are added.
    """

    table: str
    records: Records = "all"
    owned_by_me: bool = False
    owned_by_my_team: bool = False
    owned_by_my_business_unit: bool = False
    filter: FilterText | None = None
    associations: tuple[Association, ...] = ()
    # Rows that the user follows (`postfollow`) come along as well.
    can_be_followed: bool = False
    # None takes every column.
    columns: tuple[str, ...] | None = None
    writable: bool = False
    conflicts: Conflicts = "server_wins"
    sync_interval_minutes: int = SHORTEST_INTERVAL_MINUTES


class Assignments(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Who has a profile; any of these suffices.

    Teams and roles are rows of Dataverse; where users come from their tokens, roles
    and groups are values of the claims `roles` and `groups`.
    """

    everyone: bool = False
    users: tuple[UUID, ...] = ()
    teams: tuple[UUID, ...] = ()
    roles: tuple[UUID, ...] = ()
    token_roles: tuple[str, ...] = ()
    token_groups: tuple[str, ...] = ()


class ProfileDef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`is_default`: whoever is assigned no other profile has this one."""

    name: str
    items: tuple[ProfileItem, ...]
    assignments: Assignments = Assignments()
    is_default: bool = False


class ServedRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The organization filter of one table: what is handed out at all."""

    table: str
    filter: FilterText


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Superiors read what belongs to those below them, so many levels down."""

    model: Literal["manager", "position"]
    depth: int = 3
    excluded_tables: tuple[str, ...] = ()


class CommonSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What holds for all profiles of an organization, whoever has them."""

    origin: Origin = "authored"
    served: tuple[ServedRows, ...] = ()
    hierarchy: Hierarchy | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All published profiles of an organization, and what holds for all of them."""

    profiles: tuple[ProfileDef, ...] = ()
    served: tuple[ServedRows, ...] = ()
    hierarchy: Hierarchy | None = None
    origin: Origin = "authored"
    # Which rows of the source the profiles were translated from, if they were.
    translated_from: str = ""
    people: People = "source"

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(i.table for p in self.profiles for i in p.items)
