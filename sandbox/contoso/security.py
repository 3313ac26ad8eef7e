"""Decide what a caller may do: privileges by depth, and the rows within reach.

A user's privileges are those of his own roles and of the roles of his teams.
Depths mean what they mean in Dataverse: Basic his own rows and those of his
teams, Local the business unit's, Deep also those of the units below, Global
all. A team's role that is not inherited (`isinherited` 0) at depth Basic opens
that team's rows only. Tables without owner are open at any depth. A share opens
a single row, to whoever has the privilege at any depth.

Somebody who acts on behalf of another user may do what both may.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.contoso.errors import (
    ACCESS_DENIED,
    PRIVILEGE_DENIED,
    USER_DISABLED,
    WebApiError,
)
from sandbox.contoso.filters import EVERYTHING, NOTHING, Condition
from sandbox.contoso.organization import ACCESS_RIGHTS, ACT_ON_BEHALF
from sandbox.contoso.people import BASIC, DEEP, GLOBAL, LOCAL
from sandbox.contoso.schema import Table
from sandbox.contoso.store import Row

_DEPTH_NAMES = {BASIC: "Basic", LOCAL: "Local", DEEP: "Deep", GLOBAL: "Global"}

_GRANTS = """
WITH held (role, team) AS (
    SELECT roleid, NULL FROM rows_systemuserroles WHERE systemuserid = :user
    UNION ALL
    SELECT held.roleid, held.teamid FROM rows_teamroles AS held
    JOIN rows_teammembership AS member USING (teamid)
    WHERE member.systemuserid = :user)
SELECT held.team, json_extract(role.body, '$.isinherited'),
    json_extract(granted.body, '$.privilegedepthmask'), privilege.name
FROM held
JOIN rows_role AS role ON role.id = held.role
JOIN rows_roleprivileges AS granted
    ON granted.roleid IN (role.id, role."_parentrootroleid_value")
JOIN rows_privilege AS privilege ON privilege.id = granted.privilegeid
"""

_BELOW = """
WITH RECURSIVE below (id) AS (
    VALUES (?) UNION
    SELECT unit.id FROM rows_businessunit AS unit
    JOIN below ON unit."_parentbusinessunitid_value" = below.id)
SELECT id FROM below
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """The systemuser on whose behalf a request is made.

    `sponsor` is who really calls, when that is somebody else.
    """

    id: str
    unit: str
    sponsor: Caller | None = None


@dataclass(slots=True)
class Reach:
    """The rows of one table that a caller may use in one way."""

    depth: int = 0
    owners: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    # What somebody else must reach as well.
    also: Reach | None = None

    def condition(self, table: Table) -> Condition:
        mine = self._condition(table)
        if self.also is None:
            return mine
        return mine & self.also.condition(table)

    def includes(self, table: Table, row: Row) -> bool:
        return self._includes(table, row) and (
            self.also is None or self.also.includes(table, row)
        )

    def is_at_least(self, depth: int) -> bool:
        return self.depth >= depth and (
            self.also is None or self.also.is_at_least(depth)
        )

    def _condition(self, table: Table) -> Condition:
        if self.depth == GLOBAL or not table.is_user_owned:
            return EVERYTHING
        sets = (self.owners, self.units, self.shared)
        return Condition(
            '"_ownerid_value" IN (SELECT value FROM json_each(?))'
            ' OR "_owningbusinessunit_value" IN (SELECT value FROM json_each(?))'
            " OR id IN (SELECT value FROM json_each(?))",
            tuple(json.dumps(sorted(ids)) for ids in sets),
        )

    def _includes(self, table: Table, row: Row) -> bool:
        if self.depth == GLOBAL or not table.is_user_owned:
            return True
        return (
            row["_ownerid_value"] in self.owners
            or row["_owningbusinessunit_value"] in self.units
            or row[table.key] in self.shared
        )


def caller_of(user: Row) -> Caller:
    """:raises WebApiError: the user is disabled; 403."""
    user_id = str(user["systemuserid"])
    if user["isdisabled"]:
        raise WebApiError(
            403, USER_DISABLED, f"The specified user (Id={user_id}) is disabled."
        )
    return Caller(id=user_id, unit=str(user["_businessunitid_value"]))


def reach(
    connection: sqlite3.Connection, caller: Caller, *, table: Table, verb: str
) -> Reach:
    """Return what the caller may reach.

    :raises WebApiError: not even the shallowest privilege; 403.
    """
    if table.privilege is None:
        return Reach(depth=GLOBAL)
    found = Reach()
    privilege = f"prv{verb}{table.privilege}"
    for team, inherited, depth, _ in _grants(connection, caller, privilege):
        found.depth = max(found.depth, depth)
        _extend(connection, found, caller=caller, team=team, grant=(inherited, depth))
    if not found.depth:
        raise denied(caller, table=table, verb=verb, depth=BASIC)
    if found.depth < GLOBAL and table.is_user_owned:
        found.shared = _shared_with(connection, caller, right=ACCESS_RIGHTS[verb])
    if caller.sponsor is not None:
        found.also = reach(connection, caller.sponsor, table=table, verb=verb)
    return found


def own_privileges(
    connection: sqlite3.Connection, caller: Caller
) -> Iterator[tuple[str, int]]:
    """Yield name and depth of each privilege, once for each role that grants it."""
    for _, _, depth, name in _grants(connection, caller, None):
        yield name, depth


def on_behalf(connection: sqlite3.Connection, caller: Caller, user: Row) -> Caller:
    """Return the user as a caller whom another impersonates.

    :raises WebApiError: the privilege to act for others is missing; 403.
    """
    held = caller_of(user)
    if not any(_grants(connection, caller, ACT_ON_BEHALF)):
        raise WebApiError(
            403,
            PRIVILEGE_DENIED,
            f"Principal user (Id={caller.id}) is missing {ACT_ON_BEHALF} privilege.",
        )
    return Caller(id=held.id, unit=held.unit, sponsor=caller)


def insist_on_global_read(
    connection: sqlite3.Connection, caller: Caller, *, table: Table
) -> None:
    """Change tracking hands out whole tables only.

    :raises WebApiError: less than Organization depth; 403.
    """
    within = reach(connection, caller, table=table, verb="Read")
    if not within.is_at_least(GLOBAL):
        raise denied(caller, table=table, verb="Read", depth=GLOBAL)


def insist_on_row(
    connection: sqlite3.Connection,
    caller: Caller,
    *,
    table: Table,
    row: Row,
    verb: str,
) -> None:
    """:raises WebApiError: the row is out of the caller's reach; 403."""
    within = reach(connection, caller, table=table, verb=verb)
    if not within.includes(table, row):
        raise WebApiError(
            403,
            ACCESS_DENIED,
            f"SecLib::AccessCheckEx failed. User: {caller.id},"
            f" ObjectTypeCode: {table.code}, ObjectId: {row[table.key]},"
            f" AccessRights: {verb}Access",
        )


def denied(caller: Caller, *, table: Table, verb: str, depth: int) -> WebApiError:
    return WebApiError(
        403,
        PRIVILEGE_DENIED,
        f"SecLib::CheckPrivilege failed. User: {caller.id},"
        f" PrivilegeName: prv{verb}{table.privilege},"
        f" Required Depth: {_DEPTH_NAMES[depth]}, BusinessUnitId: {caller.unit}",
    )


def _grants(
    connection: sqlite3.Connection, caller: Caller, privilege: str | None
) -> Iterator[tuple[str | None, int, int, str]]:
    condition = "" if privilege is None else "WHERE privilege.name = :privilege"
    yield from connection.execute(
        _GRANTS + condition, {"user": caller.id, "privilege": privilege}
    )


def _shared_with(
    connection: sqlite3.Connection, caller: Caller, *, right: int
) -> set[str]:
    """Return the rows of any table that are shared with the user or his teams."""
    principals = json.dumps([caller.id, *_teams_of(connection, caller.id)])
    found = connection.execute(
        "SELECT objectid FROM rows_principalobjectaccess WHERE principalid IN"
        " (SELECT value FROM json_each(?))"
        " AND (accessrightsmask | ifnull(inheritedaccessrightsmask, 0)) & ?",
        (principals, right),
    )
    return {row_id for (row_id,) in found}


def _extend(
    connection: sqlite3.Connection,
    found: Reach,
    *,
    caller: Caller,
    team: str | None,
    grant: tuple[int, int],
) -> None:
    inherited, depth = grant
    if team is not None and depth == BASIC and not inherited:
        found.owners.add(team)
        return
    found.owners.update((caller.id, *_teams_of(connection, caller.id)))
    unit = caller.unit if team is None else _unit_of_team(connection, team)
    if depth == LOCAL:
        found.units.add(unit)
    if depth == DEEP:
        found.units.update(row[0] for row in connection.execute(_BELOW, (unit,)))


def _teams_of(connection: sqlite3.Connection, user_id: str) -> list[str]:
    found = connection.execute(
        "SELECT teamid FROM rows_teammembership WHERE systemuserid = ?", (user_id,)
    )
    return [team for (team,) in found]


def _unit_of_team(connection: sqlite3.Connection, team_id: str) -> str:
    found = connection.execute(
        'SELECT "_businessunitid_value" FROM rows_team WHERE id = ?', (team_id,)
    )
    return str(found.fetchone()[0])


def visible_rows(
    connection: sqlite3.Connection, caller: Caller, *, table: Table
) -> Condition:
    """Return which rows the caller may read; no privilege is no error, but none."""
    try:
        return reach(connection, caller, table=table, verb="Read").condition(table)
    except WebApiError:
        return NOTHING
