"""What each user may hold, worked out row by row: the naive second implementation.

Written from DESIGN §5 and SOURCE §3.10, in plain loops over plain rows. It shares no
line with `replication.visibility`, so that the two can only agree by being right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from replication.domain.profiles import ProfileDef, ProfileItem
from replication.domain.tables import ColumnType, TableDef
from tests.oracle.world import MOMENTS

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]
# Table, key, column: canonical values of PROTOCOL §5.
Held = dict[str, dict[str, dict[str, object]]]

USER, UNIT, PARENT_CHILD, ORGANIZATION = 1, 2, 4, 8


@dataclass(frozen=True)
class Grip:
    """One read privilege that a user holds, and how he came by it."""

    depth: int
    unit: str | None
    # The team that holds the role; None when it is the user's own.
    team: str | None
    counts_as_own: bool


class Oracle:
    """Answers for one state of staging and one set of published profiles."""

    def __init__(
        self,
        tables: Mapping[str, TableDef],
        rows: Rows,
        profiles: Sequence[ProfileDef],
    ) -> None:
        self._tables = tables
        self._rows = rows
        self._profiles = profiles

    def may_hold(self, user: UUID) -> Held | None:
        """Everything that the user may take along; None: he may not go offline."""
        person = self._rows["systemuser"].get(str(user))
        if person is None or person.get("isdisabled"):
            return None
        if not list(self._roles(str(user))):
            return None
        items = self._items(str(user))
        if not items:
            return None
        held: Held = {}
        for name, table in self._tables.items():
            chosen = [item for item in items if item.table == name]
            grips = self._grips(str(user), table)
            if chosen and grips:
                held[name] = {
                    key: _canonical(table, row, chosen)
                    for key, row in self._rows[name].items()
                    if self._may_read(str(user), table, row, grips)
                    and self._is_chosen(str(user), table, row, chosen)
                }
        return held

    # Privilege check

    def _teams(self, user: str) -> list[str]:
        return [
            link["teamid"]
            for link in self._rows["teammembership"].values()
            if link["systemuserid"] == user and link["teamid"] in self._rows["team"]
        ]

    def _roles(self, user: str) -> Iterator[tuple[Row, str | None]]:
        """Roles with the team through which they are held."""
        roles = self._rows["role"]
        for link in self._rows["systemuserroles"].values():
            if link["systemuserid"] == user and link["roleid"] in roles:
                yield roles[link["roleid"]], None
        for team in self._teams(user):
            for link in self._rows["teamroles"].values():
                if link["teamid"] == team and link["roleid"] in roles:
                    yield roles[link["roleid"]], team

    def _grips(self, user: str, table: TableDef) -> list[Grip]:
        grips = []
        for role, team in self._roles(user):
            holder = self._rows["team" if team else "systemuser"][team or user]
            for depth in self._depths(role, table):
                # Tables without owners know organization or nothing.
                if table.ownership in ("user", "business") or depth == ORGANIZATION:
                    grips.append(
                        Grip(
                            depth=depth,
                            unit=holder.get("businessunitid"),
                            team=team,
                            counts_as_own=team is None or role.get("isinherited") == 1,
                        )
                    )
        return grips

    def _depths(self, role: Row, table: TableDef) -> Iterator[int]:
        """The copies of a role in other units have the privileges of their root."""
        for link in self._rows["roleprivileges"].values():
            privilege = self._rows["privilege"].get(link["privilegeid"])
            if privilege is None:
                continue
            if link["roleid"] not in (role["roleid"], role.get("parentrootroleid")):
                continue
            if privilege["name"].lower() != f"prvread{table.name}":
                continue
            for depth in (ORGANIZATION, PARENT_CHILD, UNIT, USER):
                if (link["privilegedepthmask"] or 0) & depth:
                    yield depth
                    break

    # Access check

    def _may_read(
        self, user: str, table: TableDef, row: Row, grips: Sequence[Grip]
    ) -> bool:
        return any(self._opens(grip, user, table, row) for grip in grips)

    def _opens(self, grip: Grip, user: str, table: TableDef, row: Row) -> bool:
        owner = _owner_of(table, row)
        if grip.depth == ORGANIZATION:
            return True
        if grip.depth == USER and not grip.counts_as_own:
            return owner is not None and owner == grip.team
        if owner is not None and owner in (user, *self._teams(user)):
            return True
        unit = _unit_of(table, row)
        if unit is None or grip.unit is None:
            return False
        if grip.depth == UNIT:
            return unit == grip.unit
        return grip.depth == PARENT_CHILD and grip.unit in self.line_of(unit)

    def line_of(self, unit: str | None) -> list[str]:
        """The unit, known or not, and all above it; a circle is walked once."""
        units = self._rows["businessunit"]
        line: list[str] = []
        while unit is not None and unit not in line:
            line.append(unit)
            unit = units.get(unit, {}).get("parentbusinessunitid")
        return line

    def has_whole_tree(self) -> bool:
        """No unit hangs on one that is on its way still."""
        units = self._rows["businessunit"]
        return all(
            unit.get("parentbusinessunitid") in (None, *units)
            for unit in units.values()
        )

    # Profile

    def _items(self, user: str) -> list[ProfileItem]:
        return [
            item
            for profile in self._profiles
            if self._has(user, profile)
            for item in profile.items
        ]

    def _has(self, user: str, profile: ProfileDef) -> bool:
        to = profile.assignments
        if to.everyone or UUID(user) in to.users:
            return True
        if any(UUID(team) in to.teams for team in self._teams(user)):
            return True
        for role, _ in self._roles(user):
            for one in (role["roleid"], role.get("parentrootroleid")):
                if one is not None and UUID(one) in to.roles:
                    return True
        return False

    def _is_chosen(
        self, user: str, table: TableDef, row: Row, items: Sequence[ProfileItem]
    ) -> bool:
        owner, unit = _owner_of(table, row), _unit_of(table, row)
        home = self._rows["systemuser"][user].get("businessunitid")
        for item in items:
            if item.records == "all":
                return True
            if item.owned_by_me and owner == user:
                return True
            if item.owned_by_my_team and owner in self._teams(user):
                return True
            if item.owned_by_my_business_unit and unit is not None and unit == home:
                return True
        return False


def _owner_of(table: TableDef, row: Row) -> str | None:
    return row.get("ownerid") if table.ownership == "user" else None


def _unit_of(table: TableDef, row: Row) -> str | None:
    if table.ownership == "user":
        return row.get("owningbusinessunit")
    if table.ownership == "business":
        return row.get("businessunitid")
    return None


def _canonical(
    table: TableDef, row: Row, items: Sequence[ProfileItem]
) -> dict[str, object]:
    wanted: set[str] = {table.key[0], "ownerid", "statecode", "statuscode"}
    wanted.add(str(table.primary_name))
    for item in items:
        every = [column.name for column in table.columns]
        wanted.update(every if item.columns is None else item.columns)
    values = {
        column.name: canonical(column.type, row.get(column.name), column.scale)
        for column in table.columns
        if column.name in wanted
    }
    return {**values, "_version": str(row["versionnumber"])}


def canonical(kind: ColumnType, value: Any, scale: int | None = None) -> object:
    """The value as PROTOCOL §5 writes it, for the types that this world has."""
    if value is None or kind in (ColumnType.STRING, ColumnType.INT, ColumnType.BOOL):
        return value
    if kind is ColumnType.BIGINT:
        return str(value)
    if kind is ColumnType.GUID:
        return str(value).lower()
    if kind is ColumnType.DATETIME:
        return MOMENTS[value]
    if kind is ColumnType.CHOICES:
        return sorted(int(choice) for choice in value.split(","))
    assert kind is ColumnType.DECIMAL, kind
    if scale is not None:
        return f"{Decimal(str(value)):.{scale}f}"
    return format(Decimal(str(value)).normalize(), "f")


def digest(rows: Mapping[str, Mapping[str, object]]) -> tuple[int, str]:
    """Of PROTOCOL §6: how many rows, and the sum of the hashes of key and version."""
    total = 0
    for key, row in rows.items():
        text = f"{key}:{row['_version']}".encode()
        total += int(hashlib.md5(text, usedforsecurity=False).hexdigest()[:16], 16)
    return len(rows), f"{total % 2**64:016x}"
