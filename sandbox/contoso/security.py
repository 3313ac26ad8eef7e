"""Decide what a caller may do: privileges by depth, and the rows within reach.

A user's privileges are those of his own roles and of the roles of his teams.
Depths mean what they mean in Dataverse: Basic his own rows and those of his
teams, Local the business unit's, Deep also those of the units below, Global
all. A team's role that is not inherited (`isinherited` 0) at depth Basic opens
that team's rows only. Tables without owner are open at any depth.
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
    json_extract(granted.body, '$.privilegedepthmask')
FROM held
JOIN rows_role AS role ON role.id = held.role
JOIN rows_roleprivileges AS granted
    ON granted.roleid IN (role.id, role."_parentrootroleid_value")
JOIN rows_privilege AS privilege ON privilege.id = granted.privilegeid
WHERE privilege.name = :privilege
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
    """The systemuser on whose behalf a request is made."""

    id: str
    unit: str


@dataclass(slots=True)
class Reach:
    """The rows of one table that a caller may use in one way."""

    depth: int = 0
    owners: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)

    def condition(self, table: Table) -> Condition:
        if self.depth == GLOBAL or not table.is_user_owned:
            return EVERYTHING
        return Condition(
            '"_ownerid_value" IN (SELECT value FROM json_each(?))'
            ' OR "_owningbusinessunit_value" IN (SELECT value FROM json_each(?))',
            (json.dumps(sorted(self.owners)), json.dumps(sorted(self.units))),
        )

    def includes(self, table: Table, row: Row) -> bool:
        if self.depth == GLOBAL or not table.is_user_owned:
            return True
        return (
            row["_ownerid_value"] in self.owners
            or row["_owningbusinessunit_value"] in self.units
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
    for team, inherited, depth in _grants(connection, caller, table=table, verb=verb):
        found.depth = max(found.depth, depth)
        _extend(connection, found, caller=caller, team=team, grant=(inherited, depth))
    if not found.depth:
        raise denied(caller, table=table, verb=verb, depth=BASIC)
    return found


def insist_on_global_read(
    connection: sqlite3.Connection, caller: Caller, *, table: Table
) -> None:
    """Change tracking hands out whole tables only.

    :raises WebApiError: less than Organization depth; 403.
    """
    if reach(connection, caller, table=table, verb="Read").depth < GLOBAL:
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
    connection: sqlite3.Connection, caller: Caller, *, table: Table, verb: str
) -> Iterator[tuple[str | None, int, int]]:
    yield from connection.execute(
        _GRANTS, {"user": caller.id, "privilege": f"prv{verb}{table.privilege}"}
    )


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
