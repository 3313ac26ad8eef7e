"""What one user may take along: the grants and columns of every table.

Read from one snapshot of the staging database: profiles in effect, security
tables and rules. It changes only with `clock.access_rev`, hence may be cached
under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg

from replication.domain.alternatives import Alternative
from replication.domain.choices import BASE, Choice, Shape
from replication.domain.patterns import EVERYTHING, Pattern
from replication.domain.profiles import (
    Assignments,
    Conflicts,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.security import Depth, Privilege, readable_rows
from replication.domain.tables import ColumnDef
from replication.domain.token_users import GROUPS, ROLES, Claims
from replication.staging import registry
from replication.staging.registry import SourceTable
from replication.visibility import member, policy, rules, taken
from replication.visibility.checkpoints import Grant, content_id
from replication.visibility.compiled import Compiled, compiled_once
from replication.visibility.grants import Grants, RulesOfTable
from replication.visibility.member import (
    Member,
    NoProfileError,
    NotReadyError,
    OfflineNotAllowedError,
    Values,
)
from replication.visibility.rules import Rule

__all__ = ["Access", "OfflineNotAllowedError", "TableAccess", "access_of"]


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
        named = [(column.name, column.type.value) for column in self.columns]
        form = self.source.definition.form
        # No column is called so: devices get the rows of another form again.
        return named if form == 1 else [*named, ("", str(form))]

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


def access_of(conn: psycopg.Connection, user_id: UUID) -> Access:
    """Compute the access of a user in this snapshot.

    :raises OfflineNotAllowedError: no role, no profile, unknown or disabled.
    :raises NotReadyError: the user's first profile is published, and its rules are
        being built.
    """
    try:
        return access_under(
            conn, user_id, in_effect=policy.effective(conn), living=rules.living(conn)
        )
    except NoProfileError as error:
        replicated = [table.definition.name for table in registry.tables(conn)]
        who = member.member_of(conn, user_id, replicated=replicated)
        if profiles_of(policy.published(conn), who):
            raise NotReadyError("The user's profiles take effect soon.") from error
        raise


def access_under(
    conn: psycopg.Connection,
    user_id: UUID,
    *,
    in_effect: Policy,
    living: Iterable[Rule],
) -> Access:
    """The access that these profiles and rules would give the user.

    :raises OfflineNotAllowedError: no role, no profile, unknown or disabled.
    """
    tables = {t.definition.name: t for t in registry.tables(conn)}
    who = member.member_of(conn, user_id, replicated=tables.keys())
    reader = _Reader(conn, who, tables, in_effect, living)
    granted = {
        name: access for name in tables if (access := reader.table(name)) is not None
    }
    return Access(
        user=user_id,
        object_id=who.object_id,
        tables=granted,
        model=_model_version(granted),
        known_rules=_known_rules(conn),
    )


def profiles_of(policy: Policy, who: Member) -> tuple[ProfileDef, ...]:
    """The profiles assigned to the user; the default ones if there are none."""
    assigned = tuple(p for p in policy.profiles if _is_assigned(p, who))
    return assigned or tuple(p for p in policy.profiles if p.is_default)


class _Reader:
    """One user's access, table by table."""

    def __init__(
        self,
        conn: psycopg.Connection,
        who: Member,
        tables: Mapping[str, SourceTable],
        in_effect: Policy,
        living: Iterable[Rule],
    ) -> None:
        self._who = who
        self._tables = tables
        self._profiles = profiles_of(in_effect, who)
        if not self._profiles:
            raise NoProfileError("No published profile is assigned to the user.")
        self._compiled: Compiled = compiled_once(
            in_effect, {name: table.definition for name, table in tables.items()}
        )
        self._privileges = member.privileges_of(conn, who)
        self._columns = member.granted_columns(conn, who, replicated=tables.keys())
        self._grants = Grants(conn, Values(conn, who, replicated=tables.keys()))
        self._rules: dict[int, dict[tuple[Shape, Choice], Rule]] = {}
        served = self._compiled.served_by_source(tables)
        for rule in rules.in_use(living, served=served).values():
            self._rules.setdefault(rule.source_id, {})[rule.spec.is_for] = rule

    def table(self, name: str) -> TableAccess | None:
        """None: the table is not in the user's model."""
        source = self._tables[name]
        items = [i for p in self._profiles for i in p.items if i.table == name]
        of_table = self._rules.get(source.id, {})
        readable = readable_of(
            source, self._who, self._privileges, is_opened=_is_opened(of_table)
        )
        ways = self._ways(name)
        if not items or not readable or not _is_ready(source, ways, of_table):
            return None
        return _table_access(
            source,
            items,
            grants=self._grants.of_table(ways, readable, of_table),
            columns=taken.columns(
                source.definition, self._profiles, granted=self._columns
            ),
        )

    def _ways(self, table: str) -> tuple[Alternative, ...]:
        return tuple(
            way
            for profile in self._profiles
            for way in self._compiled.alternatives[profile.name].get(table, ())
        )


def readable_of(
    source: SourceTable,
    who: Member,
    privileges: Mapping[str, list[Privilege]],
    *,
    is_opened: bool,
) -> frozenset[Pattern]:
    """Patterns of the rows that the user's rights open; empty: the table is closed.

    `is_opened`: rows of the table are handed out to those with whom they are shared,
    and to superiors.
    """
    if who.claims is not None:
        # The source has no rights of its own; what profiles give is all there is.
        return frozenset({EVERYTHING})
    table = source.definition
    held = member.by_name(privileges, table.read_privilege)
    if table.ownership in ("organization", "none"):
        held = [one for one in held if one.depth is Depth.ORGANIZATION]
    return readable_rows(who.holder, held, is_opened=is_opened)


def _is_opened(of_table: RulesOfTable) -> bool:
    return any(
        not {"shares", "managers", "positions"}.isdisjoint(rule.spec.opens)
        for rule in of_table.values()
    )


def _is_ready(
    source: SourceTable, ways: tuple[Alternative, ...], of_table: RulesOfTable
) -> bool:
    """A table joins the model with the first of its rules, and stays; one that no
    item takes rows of needs no rule."""
    built = any((BASE, way.choice) in of_table for way in ways)
    return source.is_complete and (built or not ways)


def _is_assigned(profile: ProfileDef, who: Member) -> bool:
    assignments = profile.assignments
    return (
        assignments.everyone
        or who.user in assignments.users
        or not who.holder.teams.isdisjoint(assignments.teams)
        or not who.roles.isdisjoint(assignments.roles)
        or _names_claims(assignments, who.claims or {})
    )


def _names_claims(assignments: Assignments, claims: Claims) -> bool:
    roles, groups = claims.get(ROLES, ()), claims.get(GROUPS, ())
    return not (
        set(assignments.token_roles).isdisjoint(roles)
        and set(assignments.token_groups).isdisjoint(groups)
    )


def _table_access(
    source: SourceTable,
    items: list[ProfileItem],
    *,
    grants: frozenset[Grant],
    columns: tuple[ColumnDef, ...],
) -> TableAccess:
    strictest = max(items, key=lambda item: _STRICTNESS[item.conflicts])
    return TableAccess(
        source=source,
        grants=grants,
        columns=columns,
        writable=any(item.writable for item in items),
        conflicts=strictest.conflicts,
        sync_interval_minutes=min(item.sync_interval_minutes for item in items),
    )


_STRICTNESS: Mapping[Conflicts, int] = {"client_wins": 0, "merge": 1, "server_wins": 2}


def _model_version(granted: Mapping[str, TableAccess]) -> str:
    content = [
        (name, table.source.definition.key, table.columns_content)
        for name, table in sorted(granted.items())
    ]
    return content_id("m", content)


def _known_rules(conn: psycopg.Connection) -> frozenset[int]:
    return frozenset(rule for (rule,) in conn.execute("SELECT id FROM sync.rule"))
