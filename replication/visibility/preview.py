"""What publishing a policy would do, before it is done: rows gained and lost.

Everything is read from one snapshot, which nothing is written to. Rules that there
are already are counted in the feed; for rules that publishing would build or
change, their entries are computed as a build would.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from replication.domain import findings
from replication.domain.alternatives import Alternative
from replication.domain.choices import BASE
from replication.domain.findings import Caution
from replication.domain.profiles import Policy
from replication.domain.tables import TableDef
from replication.staging.registry import SourceTable
from replication.visibility import (
    checking,
    counting,
    explained_rights,
    member,
    planning,
    policy,
    token_users,
)
from replication.visibility.access import Access, OfflineNotAllowedError, access_under
from replication.visibility.checkpoints import Grant
from replication.visibility.claims_named import claims_named
from replication.visibility.compiled import Compiled, compiled_once
from replication.visibility.counting import Counter, Figures
from replication.visibility.explained import Named
from replication.visibility.planning import Plan
from replication.visibility.rules import Rule

MOST_USERS = 200
SAMPLED_USERS = 50
# Long enough for most organizations, short enough for somebody who waits.
BUDGET_SECONDS = 30.0

_NOT_TRANSLATED = (
    "The profiles of the source are not read yet. Until all their tables are loaded,"
    " the profiles that were published last stay; the figures leave out what changes"
    " then."
)

_NOT_KEPT = (
    "No published profile has named these claims: {}. They are learned from tokens once"
    " this is published; until then users are counted as if they had none."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """Rows that a profile hands to anybody at all, before security.

    `figures` is None where there was no time left to count.
    """

    profile: str
    table: str
    figures: Figures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What becomes of one user's whole set; `refused` says why he gets nothing."""

    user: Named
    devices: int
    figures: Figures | None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPreview:
    """`is_sample`: nobody has a device, so some users stand for all."""

    tables: tuple[TableChange, ...]
    users: tuple[UserChange, ...]
    is_sample: bool
    # Users with devices beyond those that were looked at.
    more_users: int
    devices_that_gain: int
    devices_that_lose: int
    cautions: tuple[Caution, ...]


def preview(
    conn: psycopg.Connection, draft: Policy, *, budget: float = BUDGET_SECONDS
) -> PublishPreview:
    """Compare the policy with what users are served by now.

    The caller holds a snapshot. Within the budget of seconds as much is counted as
    possible; what remains has no figures.
    """
    return _Preview(conn, draft, ends_at=time.monotonic() + budget).run()


class _Preview:
    def __init__(
        self, conn: psycopg.Connection, draft: Policy, *, ends_at: float
    ) -> None:
        self._conn = conn
        self._ends_at = ends_at
        self._draft = draft
        self._current = policy.effective(conn)
        self._plan = planning.plan(conn, wanted_policy=draft)
        active = planning.in_use(conn)
        self._before = {rule.id: rule for rule in active}
        self._after = {
            rule.id: rule for rule in _future(self._plan, active, _now(conn))
        }
        self._counter = Counter(
            conn,
            definitions={n: t.definition for n, t in self._plan.tables.items()},
            by_id={t.id: t.definition for t in self._plan.tables.values()},
            rules={**self._before, **self._after},
            ends_at=ends_at,
        )

    def run(self) -> PublishPreview:
        people, is_sample, more = self._people()
        users = tuple(self._user(user, count) for user, count in people)
        return PublishPreview(
            tables=tuple(self._tables()),
            users=users,
            is_sample=is_sample,
            more_users=more,
            devices_that_gain=sum(
                u.devices for u in users if u.figures and u.figures.gained
            ),
            devices_that_lose=sum(
                u.devices for u in users if u.figures and u.figures.lost
            ),
            cautions=tuple(self._cautions(users)),
        )

    # Users

    def _people(self) -> tuple[list[tuple[Named, int]], bool, int]:
        """Users with the number of their devices, whether sampled, how many more."""
        rows = self._conn.execute(
            "SELECT user_id, count(*), count(*) OVER () FROM sync.device"
            " GROUP BY user_id ORDER BY max(presented_at) DESC LIMIT %s",
            (MOST_USERS,),
        ).fetchall()
        more = rows[0][2] - len(rows) if rows else 0
        found = [(user, count) for user, count, _ in rows]
        is_sample = not found
        if is_sample and not member.has_users(self._plan.tables):
            users = token_users.latest(self._conn, most=SAMPLED_USERS)
            found = [(user.id, 0) for user in users if not user.is_blocked]
        elif is_sample:
            sampled = self._conn.execute(
                "SELECT systemuserid FROM data.systemuser"
                " WHERE isdisabled IS NOT TRUE ORDER BY systemuserid LIMIT %s",
                (SAMPLED_USERS,),
            )
            found = [(user, 0) for (user,) in sampled]
        names = self._names([user for user, _ in found])
        named = [
            (names.get(user, Named(id=user, table="systemuser")), count)
            for user, count in found
        ]
        return named, is_sample, more

    def _names(self, users: Sequence[UUID]) -> Mapping[UUID, Named]:
        return explained_rights.names_of(
            self._conn, users, replicated=self._plan.tables.keys()
        )

    def _user(self, user: Named, devices: int) -> UserChange:
        # Rights take their time as well, for which there may be many users.
        if time.monotonic() >= self._ends_at:
            return UserChange(user=user, devices=devices, figures=None)
        before, _ = self._access(user.id, self._current, self._before)
        after, refused = self._access(user.id, self._draft, self._after)
        figures: Figures | None = Figures()
        for table in sorted({*_names_of(before), *_names_of(after)}):
            counted = self._counter.of_grants(
                _grants(before, table), _grants(after, table)
            )
            figures = counting.total(figures, counted)
        return UserChange(user=user, devices=devices, figures=figures, refused=refused)

    def _access(
        self, user: UUID, in_effect: Policy, living: Mapping[int, Rule]
    ) -> tuple[Access | None, str]:
        try:
            found = access_under(
                self._conn, user, in_effect=in_effect, living=living.values()
            )
        except OfflineNotAllowedError as error:
            return None, str(error)
        return found, ""

    # Profiles

    def _tables(self) -> Iterator[TableChange]:
        definitions = {n: t.definition for n, t in self._plan.tables.items()}
        before = compiled_once(self._current, definitions)
        after = self._plan.compiled
        for profile in sorted({*before.alternatives, *after.alternatives}):
            old = before.alternatives.get(profile, {})
            new = after.alternatives.get(profile, {})
            for table in sorted({*old, *new}):
                is_served_alike = before.served.get(table) == after.served.get(table)
                if old.get(table) != new.get(table) or not is_served_alike:
                    yield self._table(profile, table, before, after)

    def _table(
        self, profile: str, table: str, before: Compiled, after: Compiled
    ) -> TableChange:
        source = self._plan.tables[table]
        figures = self._counter.of_rules(
            _rules_of(before.alternatives.get(profile, {}), source, self._before),
            _rules_of(after.alternatives.get(profile, {}), source, self._after),
        )
        return TableChange(profile=profile, table=table, figures=figures)

    def _cautions(self, users: Iterable[UserChange]) -> Iterator[Caution]:
        tables: Mapping[str, TableDef] = {
            name: table.definition for name, table in self._plan.tables.items()
        }
        for profile in self._draft.profiles:
            yield from checking.cautions(profile, tables, people=self._draft.people)
        for problem in self._plan.compiled.problems:
            if not problem.profile:
                yield Caution(table=problem.table, message=problem.message)
        for name in sorted(self._draft.tables & tables.keys()):
            if not self._plan.tables[name].is_complete:
                yield Caution(table=name, message="The table is not loaded yet.")
        yield from self._left_out()
        most = max((u.figures.after for u in users if u.figures), default=0)
        yield from findings.cautions_of_size("", most)

    def _left_out(self) -> Iterator[Caution]:
        """What the figures cannot show."""
        if self._draft.origin == "source" and not self._draft.translated_from:
            yield Caution(message=_NOT_TRANSLATED)
        unknown = claims_named(self._draft) - token_users.claims_kept(self._conn)
        if unknown:
            yield Caution(message=_NOT_KEPT.format(", ".join(sorted(unknown))))
        if self._draft.hierarchy != self._current.hierarchy:
            message = "The figures leave out what the changed hierarchy opens."
            yield Caution(message=message)


def _future(plan: Plan, active: Iterable[Rule], now: datetime) -> Iterator[Rule]:
    """The rules as they would be: those that stay, and those that do not exist yet.

    The latter have ids below zero, by which no partition is named.
    """
    changed = {edit.rule.id: edit.order for edit in plan.edits if edit.changes_rows}
    unwanted = {rule.id for rule in plan.unwanted}
    replaced = {order.identity for order in plan.missing}
    for rule in active:
        goes = rule.id in unwanted or rule.identity in replaced
        if rule.id not in changed and not goes:
            yield rule
    for number, order in enumerate((*plan.missing, *changed.values()), start=1):
        yield Rule(
            id=-number,
            source_id=order.source.id,
            state="active",
            spec=order.spec,
            as_of=now,
            slots=order.slots,
        )


def _rules_of(
    ways: Mapping[str, tuple[Alternative, ...]],
    source: SourceTable,
    living: Mapping[int, Rule],
) -> frozenset[int]:
    choices = {way.choice for way in ways.get(source.definition.name, ())}
    return frozenset(
        rule.id
        for rule in living.values()
        if rule.source_id == source.id and rule.shape == BASE and rule.choice in choices
    )


def _names_of(access: Access | None) -> Iterable[str]:
    return access.tables if access else ()


def _grants(access: Access | None, table: str) -> frozenset[Grant]:
    if access is None or table not in access.tables:
        return frozenset()
    return access.tables[table].grants


def _now(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT now()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)
