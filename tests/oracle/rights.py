"""Which rows security opens to a user, row by row (DESIGN §5, SOURCE §3.10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from replication.domain.profiles import Hierarchy
from replication.domain.tables import TableDef
from tests.oracle.people import People, Row, Rows

USER, UNIT, PARENT_CHILD, ORGANIZATION = 1, 2, 4, 8
READ = 1
# `fieldpermission.canread`
ALLOWED = 4


@dataclass(frozen=True)
class Grip:
    """One read privilege that a user holds, and how he came by it."""

    depth: int
    unit: str | None
    # The team that holds the role; None when it is the user's own.
    team: str | None
    counts_as_own: bool


class Rights:
    def __init__(self, rows: Rows, people: People, hierarchy: Hierarchy | None) -> None:
        self._rows = rows
        self._people = people
        self._hierarchy = hierarchy

    # Privilege check

    def grips(self, user: str, table: TableDef) -> list[Grip]:
        grips = []
        for role, team in self._people.roles(user):
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

    def may_read(
        self, user: str, table: TableDef, row: Row, grips: Sequence[Grip]
    ) -> bool:
        """`grips` are what the user holds on the table; without any it is closed."""
        if any(self._opens(grip, user, table, row) for grip in grips):
            return True
        if not grips or table.ownership != "user":
            return False
        if self._is_shared(row[table.key[0]], self._people.principals(user)):
            return True
        return self._is_of_somebody_below(user, table, row)

    def _opens(self, grip: Grip, user: str, table: TableDef, row: Row) -> bool:
        owner = owner_of(table, row)
        if grip.depth == ORGANIZATION:
            return True
        if grip.depth == USER and not grip.counts_as_own:
            return owner is not None and owner == grip.team
        if owner is not None and owner in self._people.principals(user):
            return True
        unit = unit_of(table, row)
        if unit is None or grip.unit is None:
            return False
        if grip.depth == UNIT:
            return unit == grip.unit
        return grip.depth == PARENT_CHILD and grip.unit in self._people.line_of(unit)

    def _is_shared(self, key: str, principals: Sequence[str]) -> bool:
        for share in self._rows["principalobjectaccess"].values():
            masks = (share["accessrightsmask"], share["inheritedaccessrightsmask"])
            if (
                share["objectid"] == key
                and share["principalid"] in principals
                and any((mask or 0) & READ for mask in masks)
            ):
                return True
        return False

    def _is_of_somebody_below(self, user: str, table: TableDef, row: Row) -> bool:
        hierarchy = self._hierarchy
        if hierarchy is None or table.name in hierarchy.excluded_tables:
            return False
        for person in self._people.below(user, hierarchy):
            principals = self._people.principals(person)
            if owner_of(table, row) in principals:
                return True
            if self._is_shared(row[table.key[0]], principals):
                return True
        return False

    # Columns

    def may_read_column(self, user: str, table: TableDef, column: str) -> bool:
        """Of a secured column: some profile of the user's permits it."""
        links = [
            *(("systemuserid", user, link) for link in self._of("systemuserprofiles")),
            *(
                ("teamid", team, link)
                for team in self._people.teams(user)
                for link in self._of("teamprofiles")
            ),
        ]
        held = {
            link["fieldsecurityprofileid"]
            for holder, holds, link in links
            if link[holder] == holds
        }
        return any(
            permission["fieldsecurityprofileid"] in held
            and permission["entityname"] == table.name
            and permission["attributelogicalname"] == column
            and permission["canread"] == ALLOWED
            for permission in self._of("fieldpermission")
        )

    def _of(self, table: str) -> Sequence[Row]:
        return list(self._rows[table].values())


def owner_of(table: TableDef, row: Row) -> str | None:
    return row.get("ownerid") if table.ownership == "user" else None


def unit_of(table: TableDef, row: Row) -> str | None:
    if table.ownership == "user":
        return row.get("owningbusinessunit")
    if table.ownership == "business":
        return row.get("businessunitid")
    return None
