"""A user as security sees him: unit, teams, roles, privileges, and what he is granted.

Read from the security tables of one snapshot. Tables that the source does not offer
grant nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg

from project.errors import RejectedError, TransientError
from replication.domain.alternatives import Wanted
from replication.domain.filter_operators import AttributeKind
from replication.domain.security import Depth, Holder, Privilege
from replication.domain.tables import SECURITY_TABLES
from replication.domain.token_users import Claims
from replication.visibility import claim_keys, token_users
from replication.visibility.claim_keys import value_of

# `fieldpermission.canread`.
_ALLOWED = 4


class OfflineNotAllowedError(RejectedError):
    """The user may not go offline now: no role, no profile, or disabled."""

    code = "offline_not_allowed"


class NoProfileError(OfflineNotAllowedError):
    """No profile in effect is assigned to the user."""


class NotReadyError(TransientError):
    """Staging cannot answer now: it lags, or something is still being built."""

    code = "not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """`object_id` is the user's at the identity provider, as the source says.

    `claims` are those of a user who comes from his tokens; None for one of the source.
    """

    holder: Holder
    object_id: UUID | None
    roles: frozenset[UUID]
    claims: Claims | None = None

    @property
    def user(self) -> UUID:
        return self.holder.user


def member_of(
    conn: psycopg.Connection, user_id: UUID, *, replicated: Collection[str]
) -> Member:
    """:raises OfflineNotAllowedError: unknown, blocked, disabled, without any role."""
    signed_in = token_users.find(conn, user_id)
    if signed_in is not None:
        if signed_in.is_blocked:
            raise OfflineNotAllowedError("An operator blocked the user.")
        holder = Holder(user=user_id, unit=None, teams=frozenset())
        return Member(
            holder=holder,
            object_id=user_id,
            roles=frozenset(),
            claims=signed_in.claims,
        )
    if not has_users(replicated):
        raise OfflineNotAllowedError(
            "Nobody has signed in as this user, and the organization's security is not"
            " loaded."
        )
    return _member_of_source(conn, user_id)


def has_users(replicated: Collection[str]) -> bool:
    """Whether these tables tell of users and of what they may read."""
    return set(SECURITY_TABLES) <= set(replicated)


def _member_of_source(conn: psycopg.Connection, user_id: UUID) -> Member:
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
    return Member(holder=holder, object_id=row[1], roles=held)


_PRIVILEGES = """
WITH held AS (
    SELECT ur.roleid, NULL::uuid AS team, %(unit)s::uuid AS unit
    FROM data.systemuserroles ur WHERE ur.systemuserid = %(user)s
    UNION ALL
    SELECT tr.roleid, t.teamid, t.businessunitid
    FROM data.teamroles tr JOIN data.team t ON t.teamid = tr.teamid
    WHERE tr.teamid = ANY(%(teams)s)
)
SELECT DISTINCT lower(p.name), rp.privilegedepthmask, h.unit, h.team,
       coalesce(r.isinherited, 0) = 1, coalesce(r.name, '')
FROM held h
JOIN data.role r ON r.roleid = h.roleid
JOIN data.roleprivileges rp ON rp.roleid IN (r.roleid, r.parentrootroleid)
JOIN data.privilege p ON p.privilegeid = rp.privilegeid
"""


def privileges_of(
    conn: psycopg.Connection, member: Member
) -> dict[str, list[Privilege]]:
    """Privileges by lower-case name, held directly and through teams."""
    if member.claims is not None:
        return {}
    rows = conn.execute(
        _PRIVILEGES,
        {
            "unit": member.holder.unit,
            "user": member.user,
            "teams": list(member.holder.teams),
        },
    )
    privileges: dict[str, list[Privilege]] = {}
    for name, mask, unit, team, is_inherited, role in rows:
        depth = Depth.of_mask(mask or 0)
        if depth is not None:
            privileges.setdefault(name, []).append(
                Privilege(
                    name=name,
                    depth=depth,
                    unit=unit,
                    team=team,
                    is_inherited=is_inherited,
                    role=role,
                )
            )
    return privileges


def granted_columns(
    conn: psycopg.Connection,
    member: Member,
    *,
    replicated: Collection[str],
    right: Literal["canread", "cancreate", "canupdate"] = "canread",
) -> frozenset[tuple[str, str]]:
    """(table, column) of the secured columns that the user may read, or write."""
    if member.claims is not None or "fieldpermission" not in replicated:
        return frozenset()
    profiles = []
    if "systemuserprofiles" in replicated:
        profiles.append(
            "SELECT fieldsecurityprofileid FROM data.systemuserprofiles"
            " WHERE systemuserid = %(user)s"
        )
    if "teamprofiles" in replicated:
        profiles.append(
            "SELECT fieldsecurityprofileid FROM data.teamprofiles"
            " WHERE teamid = ANY(%(teams)s)"
        )
    if not profiles:
        return frozenset()
    rows = conn.execute(
        "SELECT DISTINCT lower(entityname), lower(attributelogicalname)"
        f" FROM data.fieldpermission WHERE {right} = %(allowed)s"
        f" AND fieldsecurityprofileid IN ({' UNION '.join(profiles)})",
        {
            "allowed": _ALLOWED,
            "user": member.user,
            "teams": list(member.holder.teams),
        },
    )
    return frozenset((table, column) for table, column in rows)


class Values:
    """What of a user the key attributes of filters are compared with."""

    def __init__(
        self, conn: psycopg.Connection, member: Member, *, replicated: Collection[str]
    ) -> None:
        self._conn = conn
        self._member = member
        self._replicated = replicated
        self._known: dict[Wanted, frozenset[UUID]] = {}

    @property
    def has_units(self) -> bool:
        """Users who come from their tokens belong to no unit, and there is none."""
        return self._member.claims is None

    def of(self, wanted: Wanted) -> frozenset[UUID]:
        """The user's values, whether they are wanted or not."""
        if wanted not in self._known:
            is_claim = wanted.kind is AttributeKind.CLAIM
            found = self._keys(wanted) if is_claim else self._read(wanted.kind)
            self._known[wanted] = frozenset(found)
        return self._known[wanted]

    def lacks(self, wanted: Wanted) -> bool:
        """A claim that is missing matches nothing, not even what others differ from."""
        return wanted.kind is AttributeKind.CLAIM and not self._claim(wanted)

    def _read(self, kind: AttributeKind) -> Iterable[UUID]:
        holder = self._member.holder
        match kind:
            case AttributeKind.USER:
                return {holder.user}
            case AttributeKind.TEAMS:
                return holder.teams
            case AttributeKind.USER_OR_TEAMS:
                return holder.principals
            case AttributeKind.UNIT:
                return {holder.unit} if holder.unit else set()
            case AttributeKind.LANGUAGE:
                return self._language()
            case AttributeKind.HIERARCHY:
                return {holder.user} | self._reports()
            case AttributeKind.HIERARCHY_AND_TEAMS:
                people = {holder.user} | self._reports()
                return people | self._teams(people)
            case _:
                raise ValueError(f"{kind} is nothing that the source tells of a user.")

    def _claim(self, wanted: Wanted) -> tuple[str, ...]:
        return (self._member.claims or {}).get(wanted.claim, ())

    def _keys(self, wanted: Wanted) -> Iterable[UUID]:
        texts, kind = self._claim(wanted), wanted.type
        return claim_keys.keys_of(self._conn, texts, kind=kind) if kind else ()

    def _reports(self) -> set[UUID]:
        """Users below this one, by `parentsystemuserid`, however deep."""
        rows = self._conn.execute(
            "WITH RECURSIVE below AS ("
            " SELECT systemuserid FROM data.systemuser WHERE parentsystemuserid = %s"
            " UNION SELECT u.systemuserid FROM below b"
            " JOIN data.systemuser u ON u.parentsystemuserid = b.systemuserid)"
            " SELECT systemuserid FROM below",
            (self._member.user,),
        )
        return {user for (user,) in rows}

    def _teams(self, people: set[UUID]) -> set[UUID]:
        rows = self._conn.execute(
            "SELECT DISTINCT t.teamid FROM data.teammembership m"
            " JOIN data.team t ON t.teamid = m.teamid WHERE m.systemuserid = ANY(%s)",
            (list(people),),
        )
        return {team for (team,) in rows}

    def _language(self) -> set[UUID]:
        if "usersettings" not in self._replicated:
            return set()
        rows = self._conn.execute(
            "SELECT uilanguageid FROM data.usersettings WHERE systemuserid = %s"
            " AND uilanguageid IS NOT NULL",
            (self._member.user,),
        )
        return {value_of(language) for (language,) in rows}


def by_name(
    privileges: Mapping[str, list[Privilege]], name: str | None
) -> list[Privilege]:
    return privileges.get(name.lower(), []) if name else []
