"""Immutable sets of grants and columns, stored under a hash of their content."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg

from project.errors import RejectedError
from replication.visibility.checkpoints import Grant, as_grant, sorted_grants

# A set that is named again refreshes its date at most this often; housekeeping
# removes sets only long after the last checkpoint that may name them has expired.
_REFRESH_AFTER = timedelta(hours=1)
_CACHED_SETS = 10_000
_PRESENTED_AFTER = timedelta(minutes=1)
_DEVICES = 50_000


Content = TypeVar("Content")


class ResyncRequiredError(RejectedError):
    """The checkpoint is too old, foreign, or from another epoch; begin anew."""

    code = "resync_required"


class _Cache:
    """Sets never change, so a cached one is right for ever; only memory ends.

    Kept by epoch and not by organization: a restored database may lack a set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # As they are used: a frozenset of grants, or the types of columns by name.
        self._sets: dict[tuple[UUID, str], Any] = {}
        self._written: dict[tuple[UUID, str], float] = {}

    def get(self, epoch: UUID, name: str) -> Any:
        return self._sets.get((epoch, name))

    def put(self, epoch: UUID, name: str, content: object) -> None:
        with self._lock:
            if len(self._sets) >= _CACHED_SETS:
                self._sets.clear()
                self._written.clear()
            self._sets[epoch, name] = content

    def is_fresh(self, epoch: UUID, name: str) -> bool:
        written = self._written.get((epoch, name))
        return (
            written is not None
            and time.monotonic() - written < _REFRESH_AFTER.total_seconds()
        )

    def note_written(self, epoch: UUID, name: str) -> None:
        self._written[epoch, name] = time.monotonic()


class _Presented:
    """When this process last wrote what a device presented."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: OrderedDict[tuple[UUID, UUID], float] = OrderedDict()

    def is_due(self, device: tuple[UUID, UUID]) -> bool:
        """True once a minute for each device; whoever hears it writes."""
        now = time.monotonic()
        with self._lock:
            at = self._at.get(device)
            if at is not None and now - at < _PRESENTED_AFTER.total_seconds():
                return False
            self._at[device] = now
            self._at.move_to_end(device)
            while len(self._at) > _DEVICES:
                self._at.popitem(last=False)
        return True


_cache = _Cache()
_presented = _Presented()


def grant_sets(
    conn: psycopg.Connection, epoch: UUID, names: Iterable[str]
) -> dict[str, frozenset[Grant]]:
    """:raises ResyncRequiredError: a set is not known, or no longer."""
    return _contents(conn, epoch, names, _grants)


def column_sets(
    conn: psycopg.Connection, epoch: UUID, names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Column name to type, per set.

    :raises ResyncRequiredError: a set is not known, or no longer.
    """
    return _contents(conn, epoch, names, _columns)


def store(
    conn: psycopg.Connection,
    epoch: UUID,
    *,
    grants: Mapping[str, frozenset[Grant]],
    columns: Mapping[str, list[tuple[str, str]]],
) -> None:
    """Write the sets that a checkpoint is about to name, unless done of late."""
    for name in overdue(epoch, grants):
        _write(conn, name, sorted_grants(grants[name]))
        _cache.put(epoch, name, grants[name])
        _cache.note_written(epoch, name)
    for name in overdue(epoch, columns):
        _write(conn, name, columns[name])
        _cache.put(epoch, name, dict(columns[name]))
        _cache.note_written(epoch, name)


def _write(conn: psycopg.Connection, name: str, content: object) -> None:
    conn.execute(
        "INSERT INTO sync.subscription (id, body) VALUES (%s, %s)"
        " ON CONFLICT (id) DO UPDATE SET named_at = now()",
        (name, msgspec.json.encode(content).decode()),
    )


def keep(conn: psycopg.Connection, epoch: UUID, names: Iterable[str]) -> None:
    """Refresh the dates of sets that a checkpoint goes on naming."""
    conn.execute(
        "UPDATE sync.subscription SET named_at = now() WHERE id = ANY(%s)",
        (list(names),),
    )
    for name in names:
        _cache.note_written(epoch, name)


def overdue(epoch: UUID, names: Iterable[str]) -> list[str]:
    """Those of the sets whose dates this process has not refreshed of late."""
    return [name for name in names if not _cache.is_fresh(epoch, name)]


def note_presented(
    conn: psycopg.Connection, *, device_id: UUID, user_id: UUID, rev: int
) -> None:
    """Remember what a device has stored; written at most once a minute."""
    if not _presented.is_due((device_id, user_id)):
        return
    # Other processes hear from the same device, hence the condition.
    conn.execute(
        "INSERT INTO sync.device AS d (device_id, user_id, presented_rev)"
        " VALUES (%s, %s, %s) ON CONFLICT (device_id) DO UPDATE SET"
        " user_id = excluded.user_id, presented_rev = excluded.presented_rev,"
        " presented_at = now() WHERE d.presented_rev = 0"
        " OR d.presented_at < now() - interval '1 minute'",
        (device_id, user_id, rev),
    )


def _grants(content: object) -> frozenset[Grant]:
    stored = msgspec.convert(content, list[list[int | None]])
    return frozenset(as_grant(numbers) for numbers in stored)


def _columns(content: object) -> dict[str, str]:
    return dict(msgspec.convert(content, list[tuple[str, str]]))


def _contents(
    conn: psycopg.Connection,
    epoch: UUID,
    names: Iterable[str],
    read: Callable[[object], Content],
) -> dict[str, Content]:
    wanted = set(names)
    found = {n: c for n in wanted if (c := _cache.get(epoch, n)) is not None}
    missing = wanted - found.keys()
    if missing:
        rows = conn.execute(
            "SELECT id, body FROM sync.subscription WHERE id = ANY(%s)",
            (list(missing),),
        )
        for name, content in rows:
            found[name] = read(content)
            _cache.put(epoch, name, found[name])
    if found.keys() != wanted:
        raise ResyncRequiredError("The checkpoint names a set that is gone.")
    return found
