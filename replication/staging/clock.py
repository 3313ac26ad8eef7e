"""The organization's clock: revs in commit order, and the epoch they belong to.

Whoever writes feed entries, or changes what a device must learn of, locks the
clock first and derives afterwards, in statements that begin after the lock.
Deriving before would be write skew: a row inserted while its business unit moves
would keep the old ancestor's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

# What `reading_of` reads, of `sync.clock c`.
COLUMNS = (
    sql.SQL("c.rev"),
    sql.SQL("c.epoch"),
    sql.SQL("c.horizon"),
    sql.SQL("c.access_rev"),
    sql.SQL("c.rules_rev"),
    sql.SQL("c.identity = sync.identity()"),
)


@dataclass(slots=True)
class LockedClock:
    """The clock row, held by this transaction. `rev` counts what was taken."""

    rev: int
    epoch: UUID
    changed_access: bool = False

    def take(self, count: int) -> None:
        self.rev += count


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """The clock as one snapshot shows it."""

    rev: int
    epoch: UUID
    horizon: int
    access_rev: int
    rules_rev: int


def lock(conn: psycopg.Connection) -> LockedClock:
    """Wait for the clock and hold it until the transaction ends.

    A restored or copied database gets its new epoch here. Every checkpoint of
    the old epoch is then refused.
    """
    row = conn.execute(
        "SELECT rev, epoch, identity = sync.identity() FROM sync.clock FOR UPDATE"
    ).fetchone()
    assert row is not None
    rev, epoch, is_ours = row
    if not is_ours:
        epoch = _begin_epoch(conn)
    return LockedClock(rev=rev, epoch=epoch)


def store(conn: psycopg.Connection, held: LockedClock) -> None:
    """Write the revs that were taken; a change of access takes one of its own."""
    if held.changed_access:
        held.take(1)
    conn.execute(
        "UPDATE sync.clock SET rev = %s, access_rev = CASE WHEN %s THEN %s"
        " ELSE access_rev END",
        (held.rev, held.changed_access, held.rev),
    )


def read(conn: psycopg.Connection) -> ClockReading | None:
    """Return the clock of this snapshot; None when its epoch is another database's."""
    row = conn.execute(_READ).fetchone()
    assert row is not None
    return reading_of(row)


def reading_of(row: Sequence[Any]) -> ClockReading | None:
    """The same, of a row of `COLUMNS`."""
    rev, epoch, horizon, access_rev, rules_rev, is_ours = row
    if not is_ours:
        return None
    return ClockReading(
        rev=rev,
        epoch=epoch,
        horizon=horizon,
        access_rev=access_rev,
        rules_rev=rules_rev,
    )


_READ = sql.SQL("SELECT {} FROM sync.clock c").format(sql.SQL(", ").join(COLUMNS))


def renew_epoch(conn: psycopg.Connection) -> None:
    """Bind the clock to this database. Safe to repeat."""
    with conn.transaction():
        lock(conn)


def _begin_epoch(conn: psycopg.Connection) -> UUID:
    row = conn.execute(
        "UPDATE sync.clock SET epoch = gen_random_uuid(), identity = sync.identity()"
        " RETURNING epoch"
    ).fetchone()
    assert row is not None
    epoch: UUID = row[0]
    return epoch
