"""What operators look at before and after publishing: previews and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg

from project.errors import TransientError
from replication.domain.alternatives import Problem
from replication.services import profiles
from replication.staging import connections
from replication.staging.connections import StagingUnavailableError
from replication.visibility import (
    access,
    checking,
    explain,
    failures,
    member,
    policy,
    preview,
    rows,
    token_users,
)
from replication.visibility.access import OfflineNotAllowedError, TableAccess
from replication.visibility.compiled import compiled
from replication.visibility.explained import Explanation
from replication.visibility.preview import PublishPreview

__all__ = ["Explanation", "OfflineNotAllowedError", "PublishPreview", "TooSlowError"]

# A count of one table that takes longer is not worth waiting for.
_TIMEOUT_MILLISECONDS = 20_000
_MOST_PEOPLE = 20


class TooSlowError(TransientError):
    """The organization's staging needs too long to answer this."""

    code = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStanding:
    """A rule as operators see it. `progress` is the share of its table that was
    looked through again, while it is being brought up to date."""

    id: int
    table: str
    shape: str
    state: str
    slots: tuple[str, ...]
    entries: int
    is_stale: bool
    progress: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenTable:
    """One table of a user's whole set."""

    table: str
    rows: int
    columns: int
    masked: tuple[str, ...]
    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user: of the source, or one who signed in where that has none."""

    id: UUID
    name: str
    is_disabled: bool


def publish_preview(organization_id: UUID) -> PublishPreview:
    """What publishing would do to the rows of profiles and users."""
    with _snapshot(organization_id) as conn:
        return preview.preview(conn, profiles.draft(conn, organization_id))


def explanation(
    organization_id: UUID, *, user_id: UUID, table: str, key: str
) -> Explanation:
    """Why the user sees the row, or does not.

    :raises TooSlowError: staging needs too long.
    """
    with _snapshot(organization_id) as conn:
        return explain.explain(conn, user_id=user_id, table=table, key=key)


def whole_set(organization_id: UUID, *, user_id: UUID) -> tuple[TakenTable, ...]:
    """Every table of the user's model, with the rows that the feed gives him.

    :raises OfflineNotAllowedError: the user may not go offline now.
    :raises TooSlowError: staging needs too long.
    """
    with _snapshot(organization_id) as conn:
        found = access.access_of(conn, user_id)
        return tuple(_taken(conn, name, t) for name, t in found.tables.items())


def people(organization_id: UUID, *, text: str) -> tuple[Person, ...]:
    """Users by id or by a part of their name."""
    with _snapshot(organization_id) as conn:
        if not member.has_users(profiles.definitions(conn)):
            signed_in = token_users.latest(conn, text=text, most=_MOST_PEOPLE)
            return tuple(
                Person(id=one.id, name=one.name, is_disabled=one.is_blocked)
                for one in signed_in
            )
        found = conn.execute(
            "SELECT systemuserid, coalesce(fullname, ''), isdisabled IS TRUE"
            " FROM data.systemuser WHERE systemuserid::text = lower(%(text)s)"
            " OR position(lower(%(text)s) IN lower(fullname)) > 0"
            " ORDER BY fullname, systemuserid LIMIT %(most)s",
            {"text": text, "most": _MOST_PEOPLE},
        ).fetchall()
    return tuple(Person(id=u, name=name, is_disabled=off) for u, name, off in found)


def problems(organization_id: UUID, *, profile: str) -> tuple[Problem, ...]:
    """Items of the saved profile that are suspended."""
    with _reading(organization_id) as conn:
        tables = profiles.definitions(conn)
        draft = profiles.draft(conn, organization_id)
    saved = [one for one in draft.profiles if one.name == profile]
    if not saved:
        return ()
    return checking.problems(saved[0], tables, people=draft.people)


def effective_problems(organization_id: UUID) -> tuple[Problem, ...]:
    """Whatever is suspended of the profiles by which users are served now."""
    with _reading(organization_id) as conn:
        tables = profiles.definitions(conn)
        suspended = compiled(policy.effective(conn), tables).problems
        return suspended + tuple(
            Problem(profile="", table=table, code="not_built", message=reason)
            for table, reason in failures.reasons(conn)
        )


def rules_of(organization_id: UUID) -> tuple[RuleStanding, ...]:
    """Every rule; numbers of entries are estimates of the database."""
    with _reading(organization_id) as conn:
        found = conn.execute(
            "SELECT r.id, s.name, r.shape, r.state, r.slots,"
            " greatest(c.reltuples, 0)::bigint, r.stale_after IS NOT NULL,"
            " CASE WHEN r.stale_after IS NOT NULL THEN"
            " get_byte(uuid_send(r.stale_after), 0) * 100 / 256 END"
            " FROM sync.rule r JOIN sync.source s ON s.id = r.source_id"
            " LEFT JOIN pg_class c ON c.relname = 'feed_' || r.id"
            " AND c.relnamespace = 'sync'::regnamespace"
            ' ORDER BY s.name COLLATE "C", r.id'
        ).fetchall()
    return tuple(
        RuleStanding(
            id=row[0],
            table=row[1],
            shape=row[2],
            state=row[3],
            slots=tuple(row[4]),
            entries=row[5],
            is_stale=row[6],
            progress=row[7],
        )
        for row in found
    )


def _taken(conn: psycopg.Connection, name: str, table: TableAccess) -> TakenTable:
    held = {column.name for column in table.columns}
    definition = table.source.definition
    return TakenTable(
        table=name,
        rows=rows.expected(conn, table),
        columns=len(table.columns),
        masked=tuple(
            column.name
            for column in definition.columns
            if column.secured and column.name not in held
        ),
        writable=table.writable,
    )


@contextmanager
def _snapshot(organization_id: UUID) -> Iterator[psycopg.Connection]:
    with _reading(organization_id) as conn, connections.snapshot(conn):
        conn.execute(f"SET LOCAL statement_timeout = {_TIMEOUT_MILLISECONDS}")
        yield conn


@contextmanager
def _reading(organization_id: UUID) -> Iterator[psycopg.Connection]:
    try:
        with connections.reading(organization_id) as conn:
            try:
                yield conn
            except psycopg.errors.QueryCanceled as error:
                message = "Staging needs too long to answer this."
                raise TooSlowError(message) from error
    except psycopg.ProgrammingError as error:
        # Nobody who looks must be surprised by a database that is half made.
        message = f"Staging of organization {organization_id} makes no sense."
        raise StagingUnavailableError(message) from error
