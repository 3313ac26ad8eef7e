"""Immutable sets of grants and columns, stored under a hash of their content."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
import psycopg

from project.errors import RejectedError
from replication.visibility.checkpoints import Grant, as_grant, sorted_grants

# A set that is named again refreshes its date at most this often; housekeeping
# removes sets only long after the last checkpoint that may name them has expired.
_REFRESH_AFTER = timedelta(hours=1)
_CACHED_SETS = 10_000


class ResyncRequiredError(RejectedError):
    """The checkpoint is too old, foreign, or from another epoch; begin anew."""

    code = "resync_required"


class _Cache:
    """Sets never change, so a cached one is right for ever; only memory ends.

    Kept by epoch and not by organization: a restored database may lack a set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sets: dict[tuple[UUID, str], object] = {}
        self._written: dict[tuple[UUID, str], float] = {}

    def get(self, epoch: UUID, name: str) -> object | None:
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


_cache = _Cache()


def grant_sets(
    conn: psycopg.Connection, epoch: UUID, names: Iterable[str]
) -> dict[str, frozenset[Grant]]:
    """:raises ResyncRequiredError: a set is not known, or no longer."""
    return {
        name: frozenset(
            as_grant(keys) for keys in msgspec.convert(content, list[list[int | None]])
        )
        for name, content in _contents(conn, epoch, names).items()
    }


def column_sets(
    conn: psycopg.Connection, epoch: UUID, names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Column name to type, per set.

    :raises ResyncRequiredError: a set is not known, or no longer.
    """
    return {
        name: dict(msgspec.convert(content, list[tuple[str, str]]))
        for name, content in _contents(conn, epoch, names).items()
    }


def store(
    conn: psycopg.Connection,
    epoch: UUID,
    *,
    grants: Mapping[str, frozenset[Grant]],
    columns: Mapping[str, list[tuple[str, str]]],
) -> None:
    """Write the sets that a checkpoint is about to name, unless done of late."""
    contents: dict[str, object] = {n: sorted_grants(g) for n, g in grants.items()}
    contents.update(columns)
    for name, content in contents.items():
        if _cache.is_fresh(epoch, name):
            continue
        conn.execute(
            "INSERT INTO sync.subscription (id, body) VALUES (%s, %s)"
            " ON CONFLICT (id) DO UPDATE SET named_at = now()",
            (name, msgspec.json.encode(content).decode()),
        )
        _cache.put(epoch, name, content)
        _cache.note_written(epoch, name)


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
    conn.execute(
        "INSERT INTO sync.device AS d (device_id, user_id, presented_rev)"
        " VALUES (%s, %s, %s) ON CONFLICT (device_id) DO UPDATE SET"
        " user_id = excluded.user_id, presented_rev = excluded.presented_rev,"
        " presented_at = now() WHERE d.presented_at < now() - interval '1 minute'",
        (device_id, user_id, rev),
    )


def _contents(
    conn: psycopg.Connection, epoch: UUID, names: Iterable[str]
) -> dict[str, object]:
    wanted = set(names)
    found = {n: c for n in wanted if (c := _cache.get(epoch, n)) is not None}
    missing = wanted - found.keys()
    if missing:
        rows = conn.execute(
            "SELECT id, body FROM sync.subscription WHERE id = ANY(%s)",
            (list(missing),),
        )
        for name, content in rows:
            found[name] = content
            _cache.put(epoch, name, content)
    if found.keys() != wanted:
        raise ResyncRequiredError("The checkpoint names a set that is gone.")
    return found
