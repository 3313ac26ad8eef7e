"""Access of users, kept as long as nothing changed who may see what."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import psycopg

from replication.staging.clock import ClockReading
from replication.visibility.access import Access, access_of
from replication.visibility.glance import View

MAX_USERS = 5_000


@dataclass
class Kept:
    """A user's access as it was at `access_rev`."""

    access_rev: int
    access: Access

    @cached_property
    def view(self) -> View:
        return View(self.access)


_lock = threading.Lock()
_kept: OrderedDict[tuple[UUID, UUID], Kept] = OrderedDict()


def cached_access(
    conn: psycopg.Connection, user_id: UUID, reading: ClockReading
) -> Access:
    """The user's access in the snapshot of `reading`.

    :raises OfflineNotAllowedError: no role, no profile, unknown or disabled.
    """
    key = (reading.epoch, user_id)
    found = _kept.get(key)
    if found is not None and found.access_rev == reading.access_rev:
        return found.access
    access = access_of(conn, user_id)
    with _lock:
        _kept[key] = Kept(reading.access_rev, access)
        _kept.move_to_end(key)
        while len(_kept) > MAX_USERS:
            _kept.popitem(last=False)
    return access


def last_known(epoch: UUID, user_id: UUID) -> Kept | None:
    """The access that was last computed; whether it still holds, the clock tells."""
    return _kept.get((epoch, user_id))
