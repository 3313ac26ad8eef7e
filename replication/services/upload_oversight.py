"""What operators see of device edits: what waits, what failed, and behind what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from provisioning.services import uploads_due
from replication.staging import connections
from replication.staging.connections import StagingUnavailableError

STATUSES = ("accepted", "parked", "conflict", "rejected", "applied")
# What somebody may have to look at.
UNSETTLED = ("accepted", "parked", "conflict", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """How much waits, and for how long; what failed and was not discarded."""

    waiting: int
    oldest_seconds: int | None
    parked: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationLine:
    """One edit, without its values unless they were asked for."""

    id: UUID
    device_id: UUID
    sequence: int
    user_name: str
    op: str
    table: str | None
    row_key: str | None
    status: str
    reason: str | None
    message: str | None
    blocked_by: UUID | None
    columns: list[str]
    accepted_at: datetime
    decided_at: datetime | None
    attempts: int
    next_try_at: datetime | None
    is_under_way: bool
    last_error: str | None
    values: dict[str, Any] | None

    @property
    def may_retry(self) -> bool:
        return self.status in ("conflict", "rejected") or (
            self.status == "accepted" and self.next_try_at is not None
        )

    @property
    def may_discard(self) -> bool:
        return self.status != "applied" and not self.is_under_way

    @property
    def values_text(self) -> str:
        """The values as an operator edits them."""
        return msgspec.json.format(msgspec.json.encode(self.values or {})).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which mutations are listed; `after` is the position of the last one shown."""

    statuses: Sequence[str] = UNSETTLED
    device_id: UUID | None = None
    after: tuple[UUID, int] | None = None
    limit: int = 100


def pending(organization_id: UUID) -> Pending:
    """:raises StagingUnavailableError: staging does not answer."""
    with connections.reading(organization_id) as conn, conn.cursor() as cursor:
        row = cursor.execute(_PENDING).fetchone()
    assert row is not None
    waiting, oldest, parked, failed = row
    return Pending(waiting=waiting, oldest_seconds=oldest, parked=parked, failed=failed)


# Failures that the user has heard of are the user's.
_PENDING = """
SELECT count(*) FILTER (WHERE status = 'accepted'),
       extract(epoch FROM now() - min(accepted_at)
           FILTER (WHERE status = 'accepted'))::integer,
       count(*) FILTER (WHERE status = 'parked'),
       count(*) FILTER (WHERE status IN ('conflict', 'rejected'))
FROM sync.mutation
WHERE status IN ('accepted', 'parked')
   OR (status IN ('conflict', 'rejected') AND delivered_at IS NULL)
"""


def note_waiting(organization_id: UUID) -> None:
    """Tell the catalog how many edits wait; without staging, nobody knows."""
    try:
        with connections.reading(organization_id) as conn:
            row = conn.execute(_WAITING).fetchone()
    except StagingUnavailableError:
        return
    assert row is not None
    uploads_due.note_waiting(organization_id, waiting=row[0], since=row[1])


_WAITING = (
    "SELECT count(*), min(accepted_at) FROM sync.mutation WHERE status = 'accepted'"
)


def mutations(
    organization_id: UUID, wanted: Filter, *, with_values: bool = False
) -> list[MutationLine]:
    """The edits that the filter lets through, by device and sequence.

    :raises StagingUnavailableError: staging does not answer.
    """
    device, sequence = wanted.after or (None, None)
    with (
        connections.reading(organization_id) as conn,
        conn.cursor(row_factory=dict_row) as cursor,
    ):
        rows = cursor.execute(
            _LIST,
            {
                "statuses": list(wanted.statuses),
                "device": wanted.device_id,
                "after_device": device,
                "after_sequence": sequence,
                "limit": wanted.limit,
            },
        ).fetchall()
    return [_line(**row, with_values=with_values) for row in rows]


def _line(*, body: bytes, with_values: bool, **columns: Any) -> MutationLine:
    """Bodies are read here: not all that is JSON is `jsonb` to PostgreSQL."""
    values = _bodies.decode(body).values or {}
    return MutationLine(
        **columns, columns=sorted(values), values=values if with_values else None
    )


class _Body(msgspec.Struct):
    values: dict[str, Any] | None = None


def _number(digits: str) -> float | str:
    """A number of any size as something that can be shown."""
    number = float(digits)
    return digits if math.isinf(number) else number


_bodies = msgspec.json.Decoder(_Body, float_hook=_number)


_LIST = """
SELECT id, device_id, sequence, user_name, op, "table", row_key, status,
       outcome->>'reason' AS reason, outcome->>'message' AS message,
       (outcome->>'blocked_by')::uuid AS blocked_by,
       accepted_at, decided_at, attempts, next_try_at,
       sent_at IS NOT NULL AS is_under_way, last_error, body
FROM sync.mutation
WHERE status = ANY(%(statuses)s)
  AND (%(device)s::uuid IS NULL OR device_id = %(device)s::uuid)
  AND (%(after_device)s::uuid IS NULL
       OR (device_id, sequence) > (%(after_device)s::uuid, %(after_sequence)s::bigint))
ORDER BY device_id, sequence
LIMIT %(limit)s
"""
