"""Edits of devices in the staging database, from acceptance to their outcome.

A device's row is locked while an upload of it is taken, so that two uploads at once
come one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from replication.domain.mutations import Fresh, Known, Mutation, Place

# An outcome as the protocol writes it, of a mutation `m`; `row` is added to conflicts
# when they are told.
AS_JSON = sql.SQL(
    """'{"id":"' || m.id || '","sequence":' || m.sequence || ',"status":"'"""
    """ || m.status || '"' || CASE WHEN m.outcome IS NULL OR m.outcome = '{}'"""
    """ THEN '}' ELSE ',' || substr(m.outcome::text, 2) END"""
)
COLUMNS = sql.SQL(
    'm.outcome_rev, m.sequence, m.status, m.op, m."table", m.row_key,'
    " convert_to({}, 'UTF8')"
).format(AS_JSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """Whose mutations these are, as known when they come."""

    device_id: UUID
    user_id: UUID
    object_id: UUID | None
    user_name: str
    token_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutation so far; `content` is it as JSON."""

    rev: int | None
    sequence: int
    status: str
    op: str
    table: str | None
    row_key: str | None
    content: bytes

    @property
    def has_failed(self) -> bool:
        return self.status in ("conflict", "rejected")


def know(
    conn: psycopg.Connection, *, device_id: UUID, user_id: UUID, is_new: bool
) -> int:
    """Make room for the device's sequences; return the next one. Safe to repeat.

    A new device has to begin with the first sequence; one that only this database has
    never heard of may have begun in another.
    """
    row = conn.execute(
        "INSERT INTO sync.device AS d (device_id, user_id, sequence_epoch)"
        " SELECT %s, %s, CASE WHEN %s THEN epoch END FROM sync.clock"
        " ON CONFLICT (device_id) DO UPDATE"
        # So that the row is returned also when there was one.
        " SET user_id = excluded.user_id RETURNING next_sequence",
        (device_id, user_id, is_new),
    ).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def lock_place(
    conn: psycopg.Connection, *, device_id: UUID, user_id: UUID
) -> tuple[Place, UUID] | None:
    """Hold the device's sequences until the transaction ends; with the clock's epoch.

    None: the epoch is another database's.
    """
    found = conn.execute(_LOCK, (device_id,)).fetchone()
    if found is None:
        conn.execute(
            "INSERT INTO sync.device (device_id, user_id) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            (device_id, user_id),
        )
        found = conn.execute(_LOCK, (device_id,)).fetchone()
        assert found is not None
    following, sequence_epoch, epoch, is_ours = found
    if not is_ours:
        return None
    if sequence_epoch == epoch:
        return Place(next_sequence=following), epoch
    return Place(next_sequence=following, last=following - 1, is_open=True), epoch


_LOCK = """
SELECT d.next_sequence, d.sequence_epoch, c.epoch, c.identity = sync.identity()
FROM sync.device d CROSS JOIN sync.clock c WHERE d.device_id = %s FOR UPDATE OF d
"""


def known(
    conn: psycopg.Connection, *, device_id: UUID, ids: Iterable[str]
) -> tuple[dict[UUID, Known], list[Outcome]]:
    """Those that came before, and how they stand now, by sequence."""
    query = sql.SQL(
        "SELECT m.id, m.body_hash, {} FROM sync.mutation m"
        " WHERE m.device_id = %s AND m.id = ANY(%s::uuid[]) ORDER BY m.sequence"
    ).format(COLUMNS)
    found: dict[UUID, Known] = {}
    outcomes = []
    with conn.cursor(binary=True) as cursor:
        for id_, digest, *columns in cursor.execute(query, (device_id, list(ids))):
            outcome = Outcome(*columns)
            outcomes.append(outcome)
            found[id_] = Known(sequence=outcome.sequence, body_hash=digest)
    return found, outcomes


def body(
    conn: psycopg.Connection, *, device_id: UUID, id_: UUID
) -> tuple[int, bytes, bytes] | None:
    """Sequence, body and its hash of a mutation that came before."""
    with conn.cursor(binary=True) as cursor:
        found: tuple[int, bytes, bytes] | None = cursor.execute(
            "SELECT sequence, body, body_hash FROM sync.mutation"
            " WHERE device_id = %s AND id = %s",
            (device_id, id_),
        ).fetchone()
    return found


def store(
    conn: psycopg.Connection,
    new: Sequence[Fresh],
    *,
    uploader: Uploader,
    epoch: UUID,
) -> list[Outcome]:
    """Write new mutations, move the device's sequence on, and say how they stand."""
    mutations = [one.mutation for one in new]
    columns = (
        [m.sequence for m in mutations],
        [m.id for m in mutations],
        [m.op for m in mutations],
        [m.table for m in mutations],
        [_json(m.key_parts) for m in mutations],
        [m.row_key for m in mutations],
        [one.group for one in new],
        [m.base_version for m in mutations],
        [one.body for one in new],
        [one.body_hash for one in new],
    )
    # Binary, so that bodies travel as they are.
    with conn.cursor(binary=True) as cursor:
        cursor.execute(
            _INSERT,
            (
                uploader.device_id,
                epoch,
                uploader.user_id,
                uploader.object_id,
                uploader.user_name,
                uploader.token_id,
                *columns,
                mutations[-1].sequence + 1,
                epoch,
                uploader.device_id,
            ),
        )
    return [_as_accepted(mutation) for mutation in mutations]


_INSERT = """
WITH stored AS (
INSERT INTO sync.mutation (
    device_id, epoch, user_id, object_id, user_name, token_id,
    sequence, id, op, "table", key, row_key, group_id, base_version, body, body_hash
)
SELECT %b, %b, %b, %b, %s, %s,
    n.sequence, n.id, n.op, n.table, n.key::jsonb, n.row_key, n.group_id,
    n.base_version, n.body, n.body_hash
FROM unnest(
    %s::bigint[], %s::text[]::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::uuid[], %s::text[], %s::bytea[], %s::bytea[]
) AS n (
    sequence, id, op, "table", key, row_key, group_id, base_version, body, body_hash
)
)
UPDATE sync.device SET next_sequence = %b, sequence_epoch = %b WHERE device_id = %b
"""


def _as_accepted(mutation: Mutation) -> Outcome:
    content = b'{"id":"%b","sequence":%d,"status":"accepted"}'
    return Outcome(
        None,
        mutation.sequence,
        "accepted",
        mutation.op,
        mutation.table,
        mutation.row_key,
        content % (mutation.id.encode(), mutation.sequence),
    )


def after(
    conn: psycopg.Connection, *, device_id: UUID, sequence: int, limit: int
) -> list[Outcome]:
    """All mutations after that sequence as they stand now, oldest first."""
    return _outcomes(
        conn,
        sql.SQL(
            "m.device_id = {} AND m.sequence > {} ORDER BY m.sequence LIMIT {}"
        ).format(device_id, sequence, limit),
    )


def untold(
    conn: psycopg.Connection, *, device_id: UUID, told: int, limit: int
) -> list[Outcome]:
    """Outcomes that the device has not heard of, in the order of their revs.

    `told`: the rev up to which it has heard of all; 0 if it begins anew, and then
    those that it never confirmed are meant. More than `limit` come back when the last
    ones bear the same rev.
    """
    return _outcomes(
        conn,
        sql.SQL(
            "{untold} ORDER BY m.outcome_rev FETCH FIRST {limit} ROWS WITH TIES"
        ).format(
            untold=is_untold(sql.Literal(device_id), sql.Literal(told)), limit=limit
        ),
    )


def newest(
    device_id: sql.Composable, told: sql.Composable, *, limit: int
) -> sql.Composed:
    """A query for one row: how many outcomes are untold, whether any failed, and all of
    them as JSON; no more than the limit."""
    return sql.SQL(
        "SELECT count(*) AS number, coalesce(bool_or(x.status IN ('conflict',"
        " 'rejected')), false) AS has_failed, convert_to(string_agg(x.content, ','),"
        " 'UTF8') AS content FROM (SELECT m.status, {content} AS content"
        " FROM sync.mutation m WHERE {untold} ORDER BY m.outcome_rev LIMIT {limit}) x"
    ).format(content=AS_JSON, untold=is_untold(device_id, told), limit=limit)


def is_untold(device_id: sql.Composable, told: sql.Composable) -> sql.Composed:
    """A condition on `m`, as `untold` has it."""
    return sql.SQL(
        "m.device_id = {device} AND m.outcome_rev > {told} AND m.status <> 'accepted'"
        " AND (m.delivered_at IS NULL OR {told} > 0)"
    ).format(device=device_id, told=told)


def through(device_id: sql.Composable) -> sql.Composed:
    """An expression: up to which sequence nothing of the device waits.

    What waits again, after the device had heard what became of it, does not count: its
    new outcome comes later, and says nothing of those behind it.
    """
    return sql.SQL(
        "coalesce((SELECT m.sequence FROM sync.mutation m"
        " WHERE m.device_id = {0} AND m.delivered_at IS NULL"
        " AND m.status = 'accepted' ORDER BY m.sequence LIMIT 1),"
        " (SELECT d.next_sequence FROM sync.device d WHERE d.device_id = {0}), 1) - 1"
    ).format(device_id)


def is_unconfirmed(device_id: sql.Composable, told: sql.Composable) -> sql.Composed:
    """An expression: the device has heard of outcomes, and that is not noted yet."""
    return sql.SQL(
        "(SELECT m.sequence FROM sync.mutation m WHERE m.device_id = {}"
        " AND m.outcome_rev <= {} AND m.outcome_rev IS NOT NULL"
        " AND m.delivered_at IS NULL AND m.status <> 'accepted' LIMIT 1) IS NOT NULL"
    ).format(device_id, told)


def note_delivered(conn: psycopg.Connection, *, device_id: UUID, told: int) -> None:
    """Note that the device has stored all outcomes up to that rev."""
    conn.execute(
        "UPDATE sync.mutation SET delivered_at = now() WHERE device_id = %s"
        " AND outcome_rev <= %s AND outcome_rev IS NOT NULL AND delivered_at IS NULL"
        " AND status <> 'accepted'",
        (device_id, told),
    )


def awaited(conn: psycopg.Connection, *, limit: int) -> frozenset[UUID]:
    """Devices that have not confirmed an outcome, as far as the limit goes."""
    rows = conn.execute(
        "SELECT DISTINCT device_id FROM (SELECT device_id FROM sync.mutation"
        " WHERE delivered_at IS NULL AND outcome_rev IS NOT NULL"
        " AND status <> 'accepted' LIMIT %s) m",
        (limit,),
    )
    return frozenset(device for (device,) in rows)


def purge(conn: psycopg.Connection, *, retention: timedelta) -> int:
    """Forget what was delivered so long ago; say how many.

    Of a device with parked mutations all failed ones stay, for those wait behind them.
    """
    return conn.execute(
        "DELETE FROM sync.mutation m WHERE m.delivered_at < now() - %s"
        " AND (m.status = 'applied' OR m.status IN ('conflict', 'rejected')"
        " AND NOT EXISTS (SELECT FROM sync.mutation p WHERE p.device_id = m.device_id"
        " AND p.status = 'parked'))",
        (retention,),
    ).rowcount


def _outcomes(conn: psycopg.Connection, condition: sql.Composable) -> list[Outcome]:
    query = sql.SQL("SELECT {} FROM sync.mutation m WHERE {}").format(
        COLUMNS, condition
    )
    with conn.cursor(binary=True) as cursor:
        return [Outcome(*row) for row in cursor.execute(query)]


def _json(parts: object) -> str | None:
    return None if parts is None else msgspec.json.encode(parts).decode()
