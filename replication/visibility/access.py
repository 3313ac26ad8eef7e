"""What one user may take along: the grants and columns of every table.

Read from one snapshot of the staging database: published profiles, security
tables and rules. It changes only with `clock.access_rev`, hence may be cached
under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg

from project.errors import RejectedError
from replication.domain.patterns import Pattern, intersection
from replication.domain.profiles import Assignments, Conflicts, ProfileItem
from replication.domain.security import Depth, Holder, Privilege, readable_rows
from replication.domain.tables import SECURITY_TABLES, ColumnDef, TableDef
from replication.domain.units import UnitTree, flattened, spread
from replication.staging import registry
from replication.staging.registry import SourceTable
from replication.visibility import policy, rules
from replication.visibility.checkpoints import Grant, as_grant, content_id
from replication.visibility.rules import Rule

# In every user's model, whatever columns a profile chooses.
_ALWAYS_TAKEN = frozenset({"ownerid", "ownerid__type", "statecode", "statuscode"})


class OfflineNotAllowedError(RejectedError):
    """The user may not go offline now: no role, no profile, or disabled."""

    code = "offline_not_allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAccess:
    """One table as one user may hold it."""

    source: SourceTable
    grants: frozenset[Grant]
    columns: tuple[ColumnDef, ...]
    writable: bool
    conflicts: Conflicts
    sync_interval_minutes: int

    @property
    def columns_content(self) -> list[tuple[str, str]]:
        return [(column.name, column.type.value) for column in self.columns]

    @property
    def columns_id(self) -> str:
        return content_id("k", self.columns_content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Tables of the user's model by name, in the order of the model."""

    user: UUID
    # The user's object id at the identity provider, as the source says today.
    object_id: UUID | None
    tables: Mapping[str, TableAccess]
    model: str
    # Every rule whose feed exists in this snapshot, retired ones included.
    known_rules: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """The user as security sees him."""

    holder: Holder
    object_id: UUID | None
    roles: frozenset[UUID]


def access_of(conn: psycopg.Connection, user_id: UUID) -> Access:
    """Compute the access of a user in this snapshot.

    :raises OfflineNotAllowedError: no role, no profile, unknown or disabled.
    """
    tables = registry.tables(conn)
    if not {table.definition.name for table in tables} >= set(SECURITY_TABLES):
        raise OfflineNotAllowedError("The organization's security is not loaded.")
    member = _member(conn, user_id)
    items = _items(conn, member)
    privileges = _privileges(conn, member)
    active = [rule for rule in rules.living(conn) if rule.state == "active"]
    keys = _Keys(conn)
    granted = {}
    for source in tables:
        wanted = items.get(source.definition.name)
        readable = _readable(source.definition, member, privileges)
        of_table = {r.shape: r for r in active if r.source_id == source.id}
        if wanted and readable and rules.BASE in of_table:
            patterns = intersection(readable, _chosen_rows(wanted, member))
            granted[source.definition.name] = _table_access(
                source, wanted, keys.grants(patterns, of_table)
            )
    return Access(
        user=user_id,
        object_id=member.object_id,
        tables=granted,
        model=_model_version(granted),
        known_rules=_known_rules(conn),
    )


def _member(conn: psycopg.Connection, user_id: UUID) -> _Member:
    row = conn.execute(
        "SELECT businessunitid, azureactivedirectoryobjectid FROM data.systemuser"
        " WHERE systemuserid = %s AND isdisabled IS NOT TRUE",
        (user_id,),
    ).fetchone()
    if row is None:
        raise OfflineNotAllowedError("The user is unknown or disabled.")
    teams = conn.execute(
        "SELECT t.teamid FROM data.teammembership m"
        " JOIN data.team t ON t.teamid = m.teamid WHERE m.systemuserid = %s",
        (user_id,),
    )
    holder = Holder(user=user_id, unit=row[0], teams=frozenset(t for (t,) in teams))
    roles = conn.execute(
        "SELECT r.roleid, r.parentrootroleid FROM data.role r WHERE r.roleid IN ("
        " SELECT roleid FROM data.systemuserroles WHERE systemuserid = %s"
        " UNION SELECT roleid FROM data.teamroles WHERE teamid = ANY(%s))",
        (user_id, list(holder.teams)),
    )
    held = frozenset(role for row in roles for role in row if role is not None)
    if not held:
        raise OfflineNotAllowedError("The user holds no role.")
    return _Member(holder=holder, object_id=row[1], roles=held)


def _items(conn: psycopg.Connection, member: _Member) -> dict[str, list[ProfileItem]]:
    """Items of the user's profiles by table; several profiles add up."""
    items: dict[str, list[ProfileItem]] = {}
    for profile in policy.published(conn).profiles:
        if _is_assigned(profile.assignments, member):
            for item in profile.items:
                items.setdefault(item.table, []).append(item)
    if not items:
        raise OfflineNotAllowedError("No published profile is assigned to the user.")
    return items


def _is_assigned(assignments: Assignments, member: _Member) -> bool:
    return (
        assignments.everyone
        or member.holder.user in assignments.users
        or not member.holder.teams.isdisjoint(assignments.teams)
        or not member.roles.isdisjoint(assignments.roles)
    )


def _privileges(
    conn: psycopg.Connection, member: _Member
) -> dict[str, list[Privilege]]:
    """Privileges by lower-case name, held directly and through teams."""
    rows = conn.execute(
        """
        WITH held AS (
            SELECT ur.roleid, NULL::uuid AS team, %(unit)s::uuid AS unit
            FROM data.systemuserroles ur WHERE ur.systemuserid = %(user)s
            UNION ALL
            SELECT tr.roleid, t.teamid, t.businessunitid
            FROM data.teamroles tr JOIN data.team t ON t.teamid = tr.teamid
            WHERE tr.teamid = ANY(%(teams)s)
        )
        SELECT DISTINCT lower(p.name), rp.privilegedepthmask, h.unit, h.team,
               coalesce(r.isinherited, 0) = 1
        FROM held h
        JOIN data.role r ON r.roleid = h.roleid
        JOIN data.roleprivileges rp ON rp.roleid IN (r.roleid, r.parentrootroleid)
        JOIN data.privilege p ON p.privilegeid = rp.privilegeid
        """,
        {
            "unit": member.holder.unit,
            "user": member.holder.user,
            "teams": list(member.holder.teams),
        },
    )
    privileges: dict[str, list[Privilege]] = {}
    for name, mask, unit, team, is_inherited in rows:
        depth = Depth.of_mask(mask or 0)
        if depth is not None:
            privileges.setdefault(name, []).append(
                Privilege(
                    name=name,
                    depth=depth,
                    unit=unit,
                    team=team,
                    is_inherited=is_inherited,
                )
            )
    return privileges


def _readable(
    table: TableDef, member: _Member, privileges: Mapping[str, list[Privilege]]
) -> frozenset[Pattern]:
    if table.read_privilege is None:
        return frozenset()
    held = privileges.get(table.read_privilege.lower(), [])
    if table.ownership in ("organization", "none"):
        held = [one for one in held if one.depth is Depth.ORGANIZATION]
    return readable_rows(member.holder, held)


def _chosen_rows(items: Iterable[ProfileItem], member: _Member) -> set[Pattern]:
    """What the profile items ask for, before security narrows it."""
    holder = member.holder
    chosen: set[Pattern] = set()
    for item in items:
        if item.records == "all":
            return {Pattern()}
        if item.owned_by_me:
            chosen.add(Pattern(owner=holder.user))
        if item.owned_by_my_team:
            chosen |= {Pattern(owner=team) for team in holder.teams}
        if item.owned_by_my_business_unit and holder.unit is not None:
            chosen.add(Pattern(unit=holder.unit))
    return chosen


class _Keys:
    """The small integers of principals and units, read once per answer."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        rows = conn.execute(
            "SELECT businessunitid, parentbusinessunitid FROM data.businessunit"
        )
        self._tree = UnitTree(dict(rows.fetchall()))

    def grants(
        self, patterns: Iterable[Pattern], active: Mapping[str, Rule]
    ) -> frozenset[Grant]:
        """Patterns as grants; what no active rule or entry can match is left out."""
        wanted = {part for one in patterns for part in spread(one, self._tree)}
        if rules.DEEP not in active:
            wanted = {flat for one in wanted for flat in flattened(one, self._tree)}
        values = {v for p in wanted for v in p.attributes if v is not None}
        rows = self._conn.execute(
            "SELECT value, id FROM sync.key_value WHERE value = ANY(%s)",
            (list(values),),
        )
        ids: dict[UUID, int] = dict(rows.fetchall())
        grants = set()
        for pattern in wanted:
            rule = active.get(rules.DEEP if pattern.ancestor else rules.BASE)
            known = all(value is None or value in ids for value in pattern.attributes)
            if rule is not None and known:
                k1, k2, k3 = (ids[v] if v else None for v in pattern.attributes)
                grants.add(as_grant((rule.id, k1, k2, k3)))
        return frozenset(grants)


def _table_access(
    source: SourceTable, items: list[ProfileItem], grants: frozenset[Grant]
) -> TableAccess:
    strictest = max(items, key=lambda item: _STRICTNESS[item.conflicts])
    return TableAccess(
        source=source,
        grants=grants,
        columns=_taken_columns(source.definition, items),
        writable=any(item.writable for item in items),
        conflicts=strictest.conflicts,
        sync_interval_minutes=min(item.sync_interval_minutes for item in items),
    )


_STRICTNESS: Mapping[Conflicts, int] = {"client_wins": 0, "merge": 1, "server_wins": 2}


def _taken_columns(table: TableDef, items: list[ProfileItem]) -> tuple[ColumnDef, ...]:
    if any(item.columns is None for item in items):
        return table.columns
    chosen = {name for item in items for name in item.columns or ()}
    chosen |= {*table.key, *_ALWAYS_TAKEN}
    if table.primary_name:
        chosen.add(table.primary_name)
    return tuple(column for column in table.columns if column.name in chosen)


def _model_version(granted: Mapping[str, TableAccess]) -> str:
    content = [
        (name, table.source.definition.key, table.columns_content)
        for name, table in sorted(granted.items())
    ]
    return content_id("m", content)


def _known_rules(conn: psycopg.Connection) -> frozenset[int]:
    return frozenset(rule for (rule,) in conn.execute("SELECT id FROM sync.rule"))
