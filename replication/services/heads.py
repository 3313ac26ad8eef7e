"""Where each organization's clock stood a moment ago, without asking staging again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from replication.staging import clock, connections, mutations
from replication.visibility.security_age import is_security_stale

# An empty poll is answered from the clock as it was at most this long ago.
HEAD_AGE = timedelta(seconds=2)
# Of so many devices at a time it is noted, even while nothing else happens, that they
# have stored their outcomes.
MOST_AWAITED = 200


@dataclass(frozen=True, slots=True)
class Head:
    epoch: UUID
    rev: int
    access_rev: int
    read_at: float
    # Devices that were told outcomes, and have not come back with that checkpoint yet.
    awaited: frozenset[UUID] = frozenset()


_heads: dict[UUID, Head] = {}


def head_of(organization_id: UUID, *, age: timedelta = HEAD_AGE) -> Head:
    """The clock, at most so old."""
    now = time.monotonic()
    head = _heads.get(organization_id)
    if head is None or now - head.read_at >= age.total_seconds():
        with connections.reading(organization_id) as conn:
            # Stale security is told where answers are computed, not here.
            reading = None if is_security_stale(conn) else clock.read(conn)
            awaited = mutations.awaited(conn, limit=MOST_AWAITED)
        if reading is None:
            head = Head(UUID(int=0), -1, -1, now)
        else:
            epoch, access_rev = reading.epoch, reading.access_rev
            head = Head(epoch, reading.rev, access_rev, now, awaited)
        _heads[organization_id] = head
    return head


def drop_head(organization_id: UUID) -> None:
    """This process has just moved the clock, and whoever asks next has to see it."""
    _heads.pop(organization_id, None)


def forget() -> None:
    """Drop what is remembered, so that the next question asks staging."""
    _heads.clear()
