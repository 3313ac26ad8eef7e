"""How long another writer has to wait for an organization's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

_PAUSE_SECONDS = 0.005


@dataclass(slots=True)
class Waits:
    """`longest` in seconds, of all so far."""

    longest: float = 0.0


@contextmanager
def for_clock(organization: UUID) -> Iterator[Waits]:
    """Take the clock again and again, hold it for nothing, and time the wait."""
    waits, ended = Waits(), threading.Event()
    thread = threading.Thread(target=_take, args=(organization, waits, ended))
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def _take(organization: UUID, waits: Waits, ended: threading.Event) -> None:
    from replication.staging import clock, connections

    with connections.opened(organization) as conn:
        while not ended.wait(_PAUSE_SECONDS):
            began = time.perf_counter()
            with conn.transaction():
                clock.lock(conn)
                waits.longest = max(waits.longest, time.perf_counter() - began)
