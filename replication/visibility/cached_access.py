"""Access of users, kept as long as nothing changed who may see what."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID

import psycopg

from replication.staging.clock import ClockReading
from replication.visibility.access import Access, access_of

MAX_USERS = 5_000

_lock = threading.Lock()
_kept: OrderedDict[tuple[UUID, UUID], tuple[int, Access]] = OrderedDict()


def cached_access(
    conn: psycopg.Connection, user_id: UUID, reading: ClockReading
) -> Access:
    """The user's access in the snapshot of `reading`.

    :raises OfflineNotAllowedError: no role, no profile, unknown or disabled.
    """
    key = (reading.epoch, user_id)
    found = _kept.get(key)
    if found is not None and found[0] == reading.access_rev:
        return found[1]
    access = access_of(conn, user_id)
    with _lock:
        _kept[key] = (reading.access_rev, access)
        _kept.move_to_end(key)
        while len(_kept) > MAX_USERS:
            _kept.popitem(last=False)
    return access
