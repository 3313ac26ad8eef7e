"""Who takes what along: every person of an organization, as staging has it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import psycopg

from replication.domain.profiles import Policy, ProfileDef
from replication.domain.tables import SECURITY_TABLES
from replication.services import looking
from replication.services.looking import TakenTable
from replication.staging import connections, registry
from replication.visibility import access, explained_rights, member, policy
from replication.visibility.access import OfflineNotAllowedError
from replication.visibility.member import NotReadyError

# More people than a page can show.
MOST_PEOPLE = 200

_UNITS = "SELECT businessunitid, coalesce(name, ''), parentbusinessunitid FROM data.businessunit"
# Applications are users of the source too, and never carry a device. Not every source
# has the column that tells them.
_PEOPLE = (
    "SELECT systemuserid, coalesce(fullname, ''), businessunitid,"
    " count(*) OVER () FROM data.systemuser u"
    " WHERE to_jsonb(u) ->> 'applicationid' IS NULL"
    ' ORDER BY fullname COLLATE "C", systemuserid LIMIT %s'
)
_TEAMS = (
    "SELECT coalesce(t.name, '') FROM data.teammembership m"
    " JOIN data.team t ON t.teamid = m.teamid WHERE m.systemuserid = %s"
    ' ORDER BY t.name COLLATE "C"'
)
_ROLES = """
SELECT name, team FROM (
    SELECT coalesce(r.name, '') AS name, '' AS team
    FROM data.systemuserroles h JOIN data.role r ON r.roleid = h.roleid
    WHERE h.systemuserid = %(user)s
    UNION
    SELECT coalesce(r.name, ''), coalesce(t.name, '')
    FROM data.teammembership m
    JOIN data.team t ON t.teamid = m.teamid
    JOIN data.teamroles h ON h.teamid = t.teamid
    JOIN data.role r ON r.roleid = h.roleid
    WHERE m.systemuserid = %(user)s
) held ORDER BY team COLLATE "C", name COLLATE "C"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A business unit; `level` counts from the topmost ones."""

    id: UUID
    name: str
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRole:
    """`through` names the team that gives the role; empty: the user holds it."""

    name: str
    through: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSet:
    """One person's whole set; `refused` says why there is none."""

    name: str
    unit: UUID | None
    roles: tuple[HeldRole, ...] = ()
    teams: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    tables: Mapping[str, TakenTable]
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedTable:
    """A table of the profiles in effect, as staging has it."""

    name: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAlong:
    """Units stand in the order of their tree, people in that of their units."""

    organization: str
    units: tuple[Unit, ...]
    people: tuple[PersonSet, ...]
    more_people: int
    tables: tuple[StagedTable, ...]
    profiles: tuple[ProfileDef, ...]
    # Of whom profiles are assigned to.
    names: Mapping[UUID, str]

    def of_unit(self, unit: UUID | None) -> tuple[PersonSet, ...]:
        return tuple(person for person in self.people if person.unit == unit)


def take_along(organization_id: UUID, *, name: str) -> TakeAlong:
    """Look at everybody, each person in a snapshot of his own.

    :raises NotReadyError: the people are not loaded yet.
    :raises SyncError: staging does not answer, or needs too long.
    """
    with connections.reading(organization_id) as conn:
        _insist_on_people(conn)
        in_effect = policy.effective(conn)
        units = _tree(conn.execute(_UNITS).fetchall())
        rows = conn.execute(_PEOPLE, (MOST_PEOPLE,)).fetchall()
        found = [
            _person(conn, user, who, unit, in_effect) for user, who, unit, _ in rows
        ]
        tables = _staged(conn, in_effect)
        names = _names(conn, in_effect)
    people = [
        _with_set(organization_id, row[0], person)
        for row, person in zip(rows, found, strict=True)
    ]
    places = {unit.id: place for place, unit in enumerate(units)}
    last = len(places)
    people.sort(key=lambda p: places.get(p.unit, last) if p.unit else last)
    return TakeAlong(
        organization=name,
        units=units,
        people=tuple(people),
        more_people=rows[0][3] - len(rows) if rows else 0,
        tables=tables,
        profiles=in_effect.profiles,
        names=names,
    )


def _insist_on_people(conn: psycopg.Connection) -> None:
    staged = {table.definition.name for table in registry.tables(conn)}
    if not staged >= set(SECURITY_TABLES):
        raise NotReadyError("The organization's people are not loaded yet.")


def _person(
    conn: psycopg.Connection,
    user: UUID,
    name: str,
    unit: UUID | None,
    in_effect: Policy,
) -> PersonSet:
    """Everything but what the person takes along."""
    try:
        who = member.member_of(conn, user, replicated=SECURITY_TABLES)
    except OfflineNotAllowedError:
        profiles = tuple[str, ...]()
    else:
        profiles = tuple(p.name for p in access.profiles_of(in_effect, who))
    roles = conn.execute(_ROLES, {"user": user}).fetchall()
    teams = conn.execute(_TEAMS, (user,)).fetchall()
    return PersonSet(
        name=name,
        unit=unit,
        roles=tuple(HeldRole(name=role, through=team) for role, team in roles),
        teams=tuple(team for (team,) in teams),
        profiles=profiles,
        tables={},
    )


def _with_set(organization_id: UUID, user: UUID, person: PersonSet) -> PersonSet:
    try:
        found = looking.whole_set(organization_id, user_id=user)
    except OfflineNotAllowedError as error:
        return replace(person, refused=str(error))
    return replace(person, tables={table.table: table for table in found})


def _tree(rows: Iterable[tuple[UUID, str, UUID | None]]) -> tuple[Unit, ...]:
    """Units depth first, by name."""
    known = {unit: (name, parent) for unit, name, parent in rows}
    below: dict[UUID | None, list[UUID]] = {}
    for unit, (_, parent) in known.items():
        below.setdefault(parent if parent in known else None, []).append(unit)
    found: list[Unit] = []

    def walk(parent: UUID | None, level: int) -> None:
        for unit in sorted(below.get(parent, ()), key=lambda u: (known[u][0], u)):
            found.append(Unit(id=unit, name=known[unit][0], level=level))
            walk(unit, level + 1)

    walk(None, 0)
    return tuple(found)


def _staged(conn: psycopg.Connection, in_effect: Policy) -> tuple[StagedTable, ...]:
    """Tables in the order in which the profiles name them first."""
    definitions = {t.definition.name: t.definition for t in registry.tables(conn)}
    rows: dict[str, int | None] = dict(
        conn.execute("SELECT name, row_count FROM sync.source").fetchall()
    )
    named = dict.fromkeys(i.table for p in in_effect.profiles for i in p.items)
    return tuple(
        StagedTable(
            name=name, rows=rows[name] or 0, columns=len(definitions[name].columns)
        )
        for name in named
        if name in definitions
    )


def _names(conn: psycopg.Connection, in_effect: Policy) -> dict[UUID, str]:
    assigned = [profile.assignments for profile in in_effect.profiles]
    people = {one for a in assigned for one in (*a.users, *a.teams)}
    roles = {one for a in assigned for one in a.roles}
    found = explained_rights.names_of(conn, people, replicated=SECURITY_TABLES)
    named = conn.execute(
        "SELECT roleid, coalesce(name, '') FROM data.role WHERE roleid = ANY(%s)",
        (list(roles),),
    ).fetchall()
    return {**{key: one.name for key, one in found.items()}, **dict(named)}
