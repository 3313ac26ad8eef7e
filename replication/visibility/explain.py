"""Why a user sees, or does not see, one row: by the conditions, and by the feed.

The conditions are asked in a fixed order, and the first that fails is the answer.
What devices get is decided by the feed alone; while a rule is being brought up to
date the two may differ, and the explanation says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from replication.domain import filters
from replication.domain.choices import BASE, Choice
from replication.domain.profiles import ProfileDef
from replication.domain.security import Depth, Privilege
from replication.domain.tables import TableDef
from replication.staging import columns, registry, schema
from replication.staging.registry import SourceTable
from replication.visibility import (
    explained_rights,
    filter_sql,
    member,
    policy,
    rules,
    token_users,
    wanted,
)
from replication.visibility.access import Access, access_of, profiles_of
from replication.visibility.checkpoints import Grant
from replication.visibility.compiled import Compiled, compiled
from replication.visibility.explained import (
    OPEN,
    Entry,
    Explanation,
    Named,
    Outcome,
    Right,
    Way,
)
from replication.visibility.explained_rows import find_row
from replication.visibility.explained_ways import Place, Ways, told
from replication.visibility.member import (
    Member,
    OfflineNotAllowedError,
    Values,
)
from replication.visibility.rules import Rule
from replication.visibility.token_users import TokenUser


def explain(
    conn: psycopg.Connection, *, user_id: UUID, table: str, key: str
) -> Explanation:
    """Explain in the snapshot that the caller holds.

    `key` is a GUID, or the key of PROTOCOL §5 where it is none.
    """
    return _Explaining(conn, user_id).row(table, key)


class _FailedError(Exception):
    """The first condition that does not hold."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


class _Explaining:
    def __init__(self, conn: psycopg.Connection, user_id: UUID) -> None:
        self._conn = conn
        self._user_id = user_id
        self._policy = policy.effective(conn)
        self._tables = {t.definition.name: t for t in registry.tables(conn)}
        self._known = Explanation(outcome=Outcome.VISIBLE, rev=_rev(conn))

    def row(self, table: str, key: str) -> Explanation:
        try:
            place = self._place(table, key)
            who = self._who()
            profiles = self._profiles(who, table)
            self._rights(who, place)
            self._served(place)
            self._ways(who, profiles, place)
        except _FailedError as failed:
            self._tell(outcome=failed.outcome, detail=failed.detail)
        else:
            self._tell(outcome=Outcome.VISIBLE)
        if self._known.row is not None and self._known.user is not None:
            self._ask_the_feed(self._tables[table], self._known.row.id)
        return self._known

    def _tell(self, **more: Any) -> None:
        self._known = replace(self._known, **more)

    # The conditions, in order

    def _place(self, name: str, key: str) -> Place:
        source = self._tables.get(name)
        if source is None or not source.is_complete:
            message = f"{name} is not replicated, or not loaded yet."
            raise _FailedError(Outcome.UNKNOWN_TABLE, message)
        found = find_row(self._conn, source, key)
        if found is None:
            message = f"Staging has no row {key} of {name}."
            raise _FailedError(Outcome.UNKNOWN_ROW, message)
        row_id, title, owner, unit = found
        names = self._names((owner, unit))
        self._tell(
            row=Named(id=row_id, table=name, name=title or ""),
            owner=explained_rights.named(owner, names),
            unit=explained_rights.named(unit, names),
        )
        return Place(table=source.definition, row_id=row_id, owner=owner, unit=unit)

    def _who(self) -> Member:
        signed_in = token_users.find(self._conn, self._user_id)
        if signed_in is not None:
            return self._who_signed_in(signed_in)
        if not member.has_users(self._tables):
            message = "Nobody has signed in as this user, and the source tells of none."
            raise _FailedError(Outcome.UNKNOWN_USER, message)
        row = self._conn.execute(
            "SELECT coalesce(fullname, ''), isdisabled IS TRUE FROM data.systemuser"
            " WHERE systemuserid = %s",
            (self._user_id,),
        ).fetchone()
        if row is None:
            raise _FailedError(Outcome.UNKNOWN_USER, "Staging has no such user.")
        self._tell(user=Named(id=self._user_id, table="systemuser", name=row[0]))
        if row[1]:
            raise _FailedError(Outcome.DISABLED_USER, "The user is disabled.")
        try:
            return self._member()
        except OfflineNotAllowedError as error:
            raise _FailedError(Outcome.NO_ROLE, str(error)) from error

    def _who_signed_in(self, user: TokenUser) -> Member:
        self._tell(user=Named(id=user.id, table="user", name=user.name))
        if user.is_blocked:
            message = "An operator blocked the user."
            raise _FailedError(Outcome.BLOCKED_USER, message)
        return self._member()

    def _member(self) -> Member:
        return member.member_of(
            self._conn, self._user_id, replicated=self._tables.keys()
        )

    def _names(self, values: Iterable[UUID | None]) -> dict[UUID, Named]:
        return explained_rights.names_of(
            self._conn, values, replicated=self._tables.keys()
        )

    def _profiles(self, who: Member, table: str) -> tuple[ProfileDef, ...]:
        profiles = profiles_of(self._policy, who)
        self._tell(profiles=tuple(profile.name for profile in profiles))
        if not profiles:
            message = "No published profile is assigned to the user."
            raise _FailedError(Outcome.NO_PROFILE, message)
        if not any(item.table == table for p in profiles for item in p.items):
            message = f"None of the user's profiles has an item for {table}."
            raise _FailedError(Outcome.NOT_IN_PROFILES, message)
        return profiles

    def _rights(self, who: Member, place: Place) -> None:
        if who.claims is not None:
            # The source has no rights of its own: everything is open.
            self._tell(rights=(OPEN,))
            return
        privileges = self._privileges(who, place.table)
        found = self._opening(who, privileges, place)
        self._tell(rights=found)
        if not found:
            raise _FailedError(
                Outcome.NOT_OPENED,
                f"The row belongs to {self._known.owner or 'nobody'}"
                f" in {self._known.unit or 'no business unit'}, and no role of the"
                " user reaches that far.",
            )

    def _privileges(self, who: Member, table: TableDef) -> list[Privilege]:
        held = member.by_name(
            member.privileges_of(self._conn, who), table.read_privilege
        )
        if table.ownership in ("organization", "none"):
            held = [one for one in held if one.depth is Depth.ORGANIZATION]
        if not held:
            name = table.read_privilege or f"to read {table.name}"
            message = f"No role of the user has the privilege {name}."
            raise _FailedError(Outcome.NO_PRIVILEGE, message)
        return held

    def _opening(
        self, who: Member, held: Iterable[Privilege], place: Place
    ) -> tuple[Right, ...]:
        hierarchy = self._policy.hierarchy
        excluded = hierarchy.excluded_tables if hierarchy else ()
        opened = explained_rights.opened(
            self._conn,
            place.table,
            place.row_id,
            owner=place.owner,
            unit=place.unit,
            is_shared=wanted.SHARES in self._tables,
            has_superiors=hierarchy is not None and place.table.name not in excluded,
        )
        principals = who.holder.principals
        names = self._names((*opened.ancestors, *principals, *opened.through))
        return tuple(explained_rights.rights(who.holder, held, opened, names))

    def _served(self, place: Place) -> None:
        text = self._compiled.served.get(place.table.name)
        if not text:
            return
        expression = filters.loads(text)
        holds = filter_sql.predicate(expression, "t", place.table, as_of=self._now)
        # Without parameters, because a filter's `%` would be taken for a sign of one.
        query = sql.SQL("SELECT {} FROM {} t WHERE t.{} = {}").format(
            holds,
            schema.relation(place.table),
            columns.row_id(place.table),
            sql.Literal(place.row_id),
        )
        row = self._conn.execute(query).fetchone()
        if row != (True,):
            message = f"The organization hands out only rows with {told(expression)}."
            raise _FailedError(Outcome.ORGANIZATION_FILTER, message)

    def _ways(self, who: Member, profiles: Iterable[ProfileDef], place: Place) -> None:
        values = Values(self._conn, who, replicated=self._tables.keys())
        asked = Ways(
            self._conn,
            {name: table.definition for name, table in self._tables.items()},
            values,
            self._as_of(place.table.name),
            now=self._now,
        )
        found = tuple(
            asked.of(way, place)
            for profile in profiles
            for way in self._compiled.alternatives[profile.name].get(
                place.table.name, ()
            )
        )
        suspended = tuple(self._suspended(profiles, place.table.name))
        self._tell(ways=(*found, *suspended))
        if not any(way.is_taken for way in found):
            message = "No item of the user's profiles takes the row."
            raise _FailedError(Outcome.NOT_TAKEN, message)

    def _suspended(self, profiles: Iterable[ProfileDef], table: str) -> Iterable[Way]:
        names = {profile.name for profile in profiles}
        for problem in self._compiled.problems:
            if problem.profile in names and problem.table == table:
                yield Way(
                    slot=f"{problem.profile}/{table}",
                    is_taken=False,
                    reason=f"Suspended: {problem.message}",
                )

    # The feed

    def _ask_the_feed(self, source: SourceTable, row_id: UUID) -> None:
        try:
            access = access_of(self._conn, self._user_id)
        except OfflineNotAllowedError:
            return
        self._tell_columns(access, source)
        granted = access.tables.get(source.definition.name)
        if granted is not None:
            found = self._entries(granted.grants, row_id)
            self._tell(entries=found, is_visible=bool(found))
        if self._known.outcome is Outcome.VISIBLE and not self._known.entries:
            message = "Everything allows it; the rule is being brought up to date."
            self._tell(outcome=Outcome.CATCHING_UP, detail=message)
        elif self._known.entries and self._known.outcome is not Outcome.VISIBLE:
            more = "Devices still have it: the rule is being brought up to date."
            self._tell(detail=f"{self._known.detail} {more}".strip())

    def _tell_columns(self, access: Access, source: SourceTable) -> None:
        granted = access.tables.get(source.definition.name)
        if granted is None:
            return
        held = {column.name for column in granted.columns}
        left_out = [c for c in source.definition.columns if c.name not in held]
        self._tell(
            masked=tuple(c.name for c in left_out if c.secured),
            not_chosen=tuple(c.name for c in left_out if not c.secured),
        )

    def _entries(self, grants: frozenset[Grant], row_id: UUID) -> tuple[Entry, ...]:
        stored = self._conn.execute(
            "SELECT rule, k1, k2, k3, k4, k5, k6, rev FROM sync.feed"
            " WHERE row_id = %s AND live AND rule = ANY(%s)",
            (row_id, sorted({grant[0] for grant in grants})),
        ).fetchall()
        shapes = {rule.id: rule.shape for rule in rules.living(self._conn)}
        matching = [
            (row, grant) for row in stored for grant in grants if _matches(row, grant)
        ]
        keys = self._keys(key for _, grant in matching for key in grant[1:])
        return tuple(
            Entry(
                rule=row[0],
                shape=shapes.get(row[0], ""),
                rev=row[7],
                keys=tuple(keys[key] for key in grant[1:] if key is not None),
            )
            for row, grant in matching
        )

    def _keys(self, numbers: Iterable[int | None]) -> Mapping[int, Named]:
        wanted_numbers = [number for number in set(numbers) if number is not None]
        rows = self._conn.execute(
            "SELECT id, value FROM sync.key_value WHERE id = ANY(%s)",
            (wanted_numbers,),
        ).fetchall()
        names = self._names(value for _, value in rows)
        return {
            number: names.get(value, Named(id=value, table=""))
            for number, value in rows
        }

    # What is looked up once

    @cached_property
    def _compiled(self) -> Compiled:
        tables = {name: table.definition for name, table in self._tables.items()}
        return compiled(self._policy, tables)

    @cached_property
    def _now(self) -> datetime:
        row = self._conn.execute("SELECT now()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment.astimezone(UTC)

    def _as_of(self, table: str) -> Mapping[Choice, datetime]:
        """The moments at which the rules' windows were last looked at."""
        living: Iterable[Rule] = rules.living(self._conn, self._tables[table].id)
        return {rule.choice: rule.as_of for rule in living if rule.shape == BASE}


def _matches(row: tuple[Any, ...], grant: Grant) -> bool:
    return row[0] == grant[0] and all(
        asked is None or asked == has
        for asked, has in zip(grant[1:], row[1:7], strict=True)
    )


def _rev(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT rev FROM sync.clock").fetchone()
    return row[0] if row else 0
