"""What operators see of a staging database: tables, rows set aside, devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from provisioning.models import Organization
from replication.staging import connections
from replication.staging.connections import StagingUnavailableError

T = TypeVar("T")

_State = Organization.State
_WITHOUT_STAGING = frozenset(
    {
        _State.REQUESTED,
        _State.CREATING,
        _State.DEPROVISIONING,
        _State.DEPROVISIONED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStanding:
    """One table in staging. `mode` is how changes are found."""

    table: str
    mode: str
    rows: int
    is_complete: bool
    loading: str
    last_page_at: datetime | None
    last_complete_at: datetime | None
    set_aside: int
    stripped_nuls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSetAside:
    """A row that staging could not store, by its key; never its values."""

    table: str
    row_key: str | None
    column: str | None
    reason: str
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The rev that a device last presented, and how many there are beyond it."""

    device_id: UUID
    rev: int
    behind: int
    presented_at: datetime


def has_staging(organization: Organization) -> bool:
    """Whether there is a database to ask, as far as the catalog knows."""
    exists = bool(organization.database_name)
    return exists and organization.state not in _WITHOUT_STAGING


def tables(organization_id: UUID) -> list[TableStanding]:
    """Every table, by name.

    :raises StagingUnavailableError: the database does not answer, or not sensibly.
    """
    with _reading(organization_id) as conn:
        return _rows(
            conn,
            TableStanding,
            "SELECT name AS table, is_complete, loading,"
            " row_count + (SELECT coalesce(sum(p.row_count), 0) FROM sync.part p"
            " WHERE p.source_id = s.id)::bigint AS rows,"
            " coalesce(mode, CASE WHEN definition ->> 'tracked' = 'true' THEN 'delta'"
            " ELSE 'compare' END) AS mode,"
            " last_page_at, last_complete_at, stripped_nuls,"
            " (SELECT count(*) FROM sync.set_aside a WHERE a.source_id = s.id)"
            " AS set_aside"
            ' FROM sync.source s ORDER BY name COLLATE "C"',
        )


def rows_set_aside(organization_id: UUID, *, most: int) -> list[RowSetAside]:
    """The rows that staging could not store, the latest first.

    :raises StagingUnavailableError: the database does not answer, or not sensibly.
    """
    with _reading(organization_id) as conn:
        return _rows(
            conn,
            RowSetAside,
            "SELECT s.name AS table, row_key, column_name AS column, reason, times,"
            " first_at, last_at FROM sync.set_aside a"
            " JOIN sync.source s ON s.id = a.source_id"
            " ORDER BY last_at DESC, s.name, row_key LIMIT %s",
            most,
        )


def positions(
    organization_id: UUID, *, device_ids: Sequence[UUID]
) -> dict[UUID, Position]:
    """Where these devices stand, as far as they have presented a checkpoint.

    :raises StagingUnavailableError: the database does not answer, or not sensibly.
    """
    with _reading(organization_id) as conn:
        found = _rows(
            conn,
            Position,
            "SELECT device_id, presented_rev AS rev, presented_at,"
            " greatest(0, rev - presented_rev) AS behind"
            " FROM sync.device, sync.clock WHERE device_id = ANY(%s)"
            " AND presented_rev > 0",
            list(device_ids),
        )
    return {one.device_id: one for one in found}


@contextmanager
def _reading(organization_id: UUID) -> Iterator[psycopg.Connection]:
    try:
        with connections.reading(organization_id) as conn:
            yield conn
    except psycopg.Error as error:
        # A page for operators must not break because the database is half made.
        message = f"Staging of organization {organization_id} makes no sense."
        raise StagingUnavailableError(message) from error


def _rows(
    conn: psycopg.Connection, shape: type[T], query: str, *parameters: object
) -> list[T]:
    with conn.cursor(row_factory=class_row(shape)) as cursor:
        return cursor.execute(query, parameters or None).fetchall()
