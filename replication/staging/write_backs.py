"""The queue of device edits as write-back sees it: turns, attempts, outcomes, fence.

Every statement that begins an attempt or records an outcome asks for the lease's
epoch, so that a worker that wakes up late neither sends nor records anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from replication.domain.upload_order import Failed
from replication.staging.registry import FencedError

# By table: when its last page was committed, as PostgreSQL writes it.
Pages = dict[str, str | None]
_LONGEST_ERROR = 500
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was sent, as it was written down before."""

    if_match: str | None = None
    # None: as the mutation says.
    values: Mapping[str, Any] | None = None
    merged: bool = False
    lost: tuple[str, ...] = ()
    is_marked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An accepted mutation of a device. `key` has the values as they were sent."""

    sequence: int
    id: UUID
    user_id: UUID
    object_id: UUID | None
    user_name: str
    token_id: str | None
    op: str
    table: str | None
    key: list[Any] | None
    row_key: str | None
    group_id: UUID | None
    base_version: str | None
    body: bytes
    accepted_at: datetime
    attempts: int
    sent_at: datetime | None
    # How long the attempt was begun ago, by the database's clock.
    sent_ago: timedelta | None
    waits: timedelta | None
    attempt: dict[str, Any] | None
    round: int
    is_forced: bool

    @property
    def marker_id(self) -> UUID:
        return uuid5(self.id, str(self.round)) if self.round else self.id

    @property
    def row(self) -> tuple[str, str] | None:
        if self.table is None or self.row_key is None:
            return None
        return self.table, self.row_key

    @property
    def sent_as(self) -> Attempt:
        return msgspec.convert(self.attempt or {}, Attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A device with edits that wait, and how long its first one is to wait still."""

    device_id: UUID
    waits: timedelta | None
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What became of earlier edits of the same rows, or of rows that edits name."""

    failed: tuple[Failed, ...] = ()
    # The version that the device's last edit of a row has left, and whose edit it was.
    versions: Mapping[tuple[str, str], tuple[str, UUID]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is recorded of a mutation; `outcome` has the members of PROTOCOL §7."""

    device_id: UUID
    sequence: int
    id: UUID
    status: str
    outcome: Mapping[str, Any]
    source_version: str | None = None


def fence(conn: psycopg.Connection, *, epoch: int) -> None:
    """Copy the lease's epoch into staging, unless a newer one is there.

    :raises FencedError: another worker took over.
    """
    taken = conn.execute(
        "UPDATE sync.write_back SET fencing_epoch = %s WHERE fencing_epoch <= %s",
        (epoch, epoch),
    )
    if taken.rowcount == 0:
        raise _fenced(conn)


def hold_fence(conn: psycopg.Connection, *, epoch: int) -> None:
    """Keep other workers from taking over until the transaction ends.

    :raises FencedError: another worker took over.
    """
    row = conn.execute(
        "SELECT true FROM sync.write_back WHERE fencing_epoch = %s FOR SHARE", (epoch,)
    ).fetchone()
    if row is None:
        raise _fenced(conn)


def _fenced(conn: psycopg.Connection) -> FencedError:
    row = conn.execute("SELECT fencing_epoch FROM sync.write_back").fetchone()
    message = "Another worker carries the edits."
    return FencedError(message, epoch=row[0] if row else 0)


def turns(conn: psycopg.Connection) -> list[Turn]:
    """Devices with edits that wait, those first whose edit has waited longest.

    One look into the index for each device, however long its queue.
    """
    with conn.cursor(row_factory=class_row(Turn)) as cursor:
        return cursor.execute(_TURNS).fetchall()


_TURNS = """
WITH RECURSIVE device AS (
    (SELECT device_id FROM sync.mutation WHERE status = 'accepted'
     ORDER BY device_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.device_id FROM sync.mutation m
            WHERE m.status = 'accepted' AND m.device_id > d.device_id
            ORDER BY m.device_id LIMIT 1)
    FROM device d WHERE d.device_id IS NOT NULL
)
SELECT d.device_id, first.waits, first.accepted_at
FROM device d CROSS JOIN LATERAL (
    SELECT m.next_try_at - now() AS waits, m.accepted_at FROM sync.mutation m
    WHERE m.status = 'accepted' AND m.device_id = d.device_id
    ORDER BY m.sequence LIMIT 1
) first
ORDER BY first.accepted_at, d.device_id
"""


def queue(conn: psycopg.Connection, device_id: UUID, *, limit: int) -> list[Stored]:
    """The device's next accepted mutations, by sequence."""
    with conn.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(_QUEUE, (device_id, limit)).fetchall()


_QUEUE = """
SELECT sequence, id, user_id, object_id, user_name, token_id, op, "table", key, row_key,
       group_id, base_version, body, accepted_at, attempts, sent_at,
       now() - sent_at AS sent_ago, next_try_at - now() AS waits, attempt,
       round, is_forced
FROM sync.mutation WHERE device_id = %s AND status = 'accepted'
ORDER BY sequence LIMIT %s
"""


def history(
    conn: psycopg.Connection,
    device_id: UUID,
    row_keys: Collection[str],
    *,
    before: int,
    accepted_at: datetime,
) -> History:
    """What became of the device's edits of rows with these keys.

    Failures that the device had heard of before `accepted_at` are left out. `before`:
    only edits of earlier sequences have left a version that counts as the device's own,
    for what an operator tries again may be older than what was done since.
    """
    keys = list(row_keys)
    failed = conn.execute(_FAILED, (device_id, keys, accepted_at)).fetchall()
    versions = conn.execute(_VERSIONS, (device_id, keys, before)).fetchall()
    return History(
        failed=tuple(
            Failed(
                id=id_,
                sequence=sequence,
                op=op,
                row=(table, key),
                blocked_by=root,
                delivered_at=delivered_at,
            )
            for id_, sequence, op, table, key, root, delivered_at in failed
        ),
        versions={
            (table, key): (version, user) for table, key, version, user in versions
        },
    )


_FAILED = """
SELECT id, sequence, op, "table", row_key, (outcome->>'blocked_by')::uuid,
       delivered_at
FROM sync.mutation
WHERE device_id = %s AND row_key = ANY(%s)
  AND status IN ('conflict', 'rejected', 'parked')
  AND (delivered_at IS NULL OR delivered_at > %s)
ORDER BY sequence
"""
_VERSIONS = """
SELECT DISTINCT ON ("table", row_key) "table", row_key, source_version, user_id
FROM sync.mutation
WHERE device_id = %s AND row_key = ANY(%s) AND sequence < %s
  AND source_version IS NOT NULL
ORDER BY "table", row_key, sequence DESC
"""


def begin_attempt(
    conn: psycopg.Connection,
    device_id: UUID,
    attempts: Mapping[int, Attempt],
    *,
    epoch: int,
    tables: Collection[str],
) -> Pages | None:
    """Write down, and commit, that these mutations are about to be sent, by sequence.

    Returns when a page of each table was last committed; None if somebody else has
    decided one of the mutations meanwhile.

    :raises FencedError: another worker took over.
    """
    row = conn.execute(
        _BEGIN,
        {
            "epoch": epoch,
            "sequences": list(attempts),
            "attempts": [_encoder.encode(one).decode() for one in attempts.values()],
            "device": device_id,
            "tables": list(tables),
        },
    ).fetchone()
    assert row is not None
    begun, pages = row
    if begun < len(attempts):
        _insist_on_fence(conn, epoch=epoch)
        return None
    found: Pages = pages
    return found


_PAGES = (
    "SELECT coalesce(json_object_agg(name, last_page_at), '{}')"
    " FROM sync.source WHERE name = ANY(%(tables)s)"
)
_BEGIN = f"""
WITH begun AS (
    UPDATE sync.mutation m
    SET sent_at = clock_timestamp(), attempts = attempts + 1, next_try_at = NULL,
        attempt = a.attempt::jsonb
    FROM unnest(%(sequences)s::bigint[], %(attempts)s::text[]) AS a (sequence, attempt)
    WHERE m.device_id = %(device)s AND m.sequence = a.sequence
      AND m.status = 'accepted'
      AND EXISTS (SELECT FROM sync.write_back WHERE fencing_epoch = %(epoch)s)
    RETURNING 1
)
SELECT (SELECT count(*) FROM begun), ({_PAGES})
"""


def last_pages(conn: psycopg.Connection, tables: Collection[str]) -> Pages:
    """When the last page of each table was committed."""
    row = conn.execute(_PAGES, {"tables": list(tables)}).fetchone()
    assert row is not None
    found: Pages = row[0]
    return found


def put_off(
    conn: psycopg.Connection,
    device_id: UUID,
    sequences: Sequence[int],
    *,
    epoch: int,
    delay: timedelta,
    error: str,
    is_unknown: bool = False,
    counts: bool = True,
) -> None:
    """Try these again later; the device's later mutations wait meanwhile.

    `is_unknown`: the attempt may have been carried out after all. `counts`: it was one
    that the source has heard of.

    :raises FencedError: another worker took over.
    """
    put = conn.execute(
        "UPDATE sync.mutation SET next_try_at = now() + %s, last_error = %s,"
        " sent_at = CASE WHEN %s THEN sent_at END,"
        " attempts = greatest(attempts - %s, 0)"
        " WHERE device_id = %s AND sequence = ANY(%s) AND status = 'accepted'"
        " AND EXISTS (SELECT FROM sync.write_back WHERE fencing_epoch = %s)",
        (
            delay,
            error[:_LONGEST_ERROR],
            is_unknown,
            0 if counts else 1,
            device_id,
            list(sequences),
            epoch,
        ),
    )
    if put.rowcount < len(sequences):
        _insist_on_fence(conn, epoch=epoch)


def _insist_on_fence(conn: psycopg.Connection, *, epoch: int) -> None:
    with conn.transaction():
        hold_fence(conn, epoch=epoch)


def settle(
    conn: psycopg.Connection, verdicts: Sequence[Verdict], *, after_rev: int
) -> int:
    """Record outcomes, each at a rev of its own after this one; return how many.

    The caller holds the clock. What somebody else decided meanwhile stays as it is.
    """
    recorded = conn.execute(
        _SETTLE,
        (
            after_rev,
            [one.device_id for one in verdicts],
            [one.sequence for one in verdicts],
            [one.status for one in verdicts],
            [Jsonb(dict(one.outcome)) for one in verdicts],
            [one.source_version for one in verdicts],
        ),
    )
    return recorded.rowcount


_SETTLE = """
UPDATE sync.mutation m
SET status = v.status, outcome = v.outcome, outcome_rev = %s + v.place,
    decided_at = now(), delivered_at = NULL, sent_at = NULL, next_try_at = NULL,
    attempt = NULL, source_version = coalesce(v.source_version, m.source_version)
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::jsonb[], %s::text[])
    WITH ORDINALITY AS v (device_id, sequence, status, outcome, source_version, place)
WHERE m.device_id = v.device_id AND m.sequence = v.sequence AND m.status = 'accepted'
"""


def release(
    conn: psycopg.Connection, device_id: UUID, blocked_by: Iterable[UUID]
) -> int:
    """Let mutations go on that waited behind these; say how many."""
    released = conn.execute(
        "UPDATE sync.mutation SET status = 'accepted', outcome = NULL,"
        " next_try_at = NULL, last_error = NULL"
        " WHERE device_id = %s AND status = 'parked'"
        " AND (outcome->>'blocked_by')::uuid = ANY(%s)",
        (device_id, list(blocked_by)),
    )
    return released.rowcount
