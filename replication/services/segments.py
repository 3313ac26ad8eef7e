"""Keep segments: build what several devices download, drop what serves nobody."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from django.conf import settings
from psycopg import sql

from replication.staging import clock, connections
from replication.staging.clock import ClockReading
from replication.visibility import entries, segment_building
from replication.visibility.checkpoints import Grant, grants_id
from replication.visibility.segment_building import Sizes, TooLargeError, Wanted
from replication.visibility.segments import grants_of

logger = logging.getLogger(__name__)

# One worker at a time keeps the segments of a database.
_LOCK = 4_713

UNUSED_AFTER = "1 day"
WANTED_WITHIN = "1 hour"
# Of a segment's rows; beyond it, patching costs too much.
_MOST_MOVED = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """When segments are built, and how much room they may take per organization."""

    sizes: Sizes = field(default_factory=Sizes)
    least_devices: int = 2
    most_bytes: int = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanded:
    """A set that devices began to download of late, and which devices."""

    wanted: Wanted
    devices: frozenset[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    id: int
    wanted: Wanted
    epoch: UUID
    rev: int
    rows: int
    bytes: int


def is_any(conn: psycopg.Connection) -> bool:
    """Some are stored, or somebody might want one."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM sync.segment_demand)"
        " OR EXISTS (SELECT FROM sync.segment)"
    ).fetchone()
    return row == (True,)


def keep(organization_id: UUID) -> None:
    """Look after an organization's segments, as the settings say."""
    keeping = Keeping(
        sizes=Sizes(least_rows=settings.SEGMENT_ROWS),
        most_bytes=settings.SEGMENT_BYTES,
    )
    with connections.opened(organization_id) as conn:
        built = tend(conn, keeping=keeping)
    if built:
        extra = {"organization_id": str(organization_id), "segments": built}
        logger.info("Segments built", extra=extra)


def tend(conn: psycopg.Connection, *, keeping: Keeping) -> int:
    """Drop and build what is to be; how many were built.

    Repeatable after a crash at any point. Nobody waits for another worker that does
    the same.
    """
    with _alone(conn) as is_alone:
        if not is_alone:
            return 0
        reading = clock.read(conn)
        if reading is None:
            return 0
        drop_useless(conn, reading)
        return _build_wanted(conn, keeping)


@contextmanager
def _alone(conn: psycopg.Connection) -> Iterator[bool]:
    locked = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    is_alone = locked == (True,)
    try:
        yield is_alone
    finally:
        if is_alone and not conn.closed:
            conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def drop_useless(conn: psycopg.Connection, reading: ClockReading) -> None:
    """Drop what can never be used again, and what nobody has used for long."""
    conn.execute(
        "DELETE FROM sync.segment_demand WHERE asked_at < now() - %s::interval",
        (UNUSED_AFTER,),
    )
    kept = _kept(conn)
    if not kept:
        return
    used = {d.wanted.key for d in demanded(conn, UNUSED_AFTER)}
    places = segment_building.Places.of(conn)
    useless = [
        one.id
        for one in kept
        if one.epoch != reading.epoch
        or one.rev < reading.horizon
        or one.wanted.key not in used
        or places.table(one.wanted) is None
    ]
    if useless:
        segment_building.drop(conn, useless)


def _build_wanted(conn: psycopg.Connection, keeping: Keeping) -> int:
    kept = {one.wanted.key: one for one in _kept(conn)}
    asked = list(demanded(conn, WANTED_WITHIN))
    served = [one for one in asked if one.wanted.key in kept]
    worn = [o.wanted for o in served if _has_moved(conn, kept[o.wanted.key])]
    missing = chosen(
        [one for one in asked if one.wanted.key not in kept],
        served=served,
        least_devices=keeping.least_devices,
    )
    built = 0
    for wanted in [*worn, *missing]:
        taken = sum(one.bytes for one in _kept(conn) if one.wanted.key != wanted.key)
        room = keeping.most_bytes - taken
        built += _build(conn, wanted, sizes=keeping.sizes, room=room)
    return built


def _build(
    conn: psycopg.Connection, wanted: Wanted, *, sizes: Sizes, room: int
) -> bool:
    try:
        return segment_building.build(conn, wanted, sizes=sizes, most_bytes=room)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        # The table was altered, or a rule's feed dropped, between look-up and use.
        return False
    except TooLargeError:
        # Otherwise the next look would begin it again, as long as nobody new comes.
        conn.execute(
            "DELETE FROM sync.segment_demand"
            " WHERE source_id = %s AND layout = %s AND grants_id = %s",
            (wanted.source_id, wanted.layout, grants_id(wanted.grants)),
        )
        return False


def chosen(
    missing: Iterable[Demanded], *, served: Collection[Demanded], least_devices: int
) -> list[Wanted]:
    """Which sets are worth a segment: the most shared first. Pure.

    Devices whose set is served by a segment need none for a part of it, and a set
    whose parts all have one needs none for the whole.
    """
    having = list(served)
    picked: list[Wanted] = []
    for one in sorted(missing, key=_order):
        related = [o for o in having if o.wanted.layout == one.wanted.layout]
        rest = one.devices.difference(
            *(o.devices for o in related if o.wanted.grants > one.wanted.grants)
        )
        parts: set[Grant] = set()
        for other in related:
            if other.wanted.grants < one.wanted.grants:
                parts |= other.wanted.grants
        if len(rest) >= least_devices and parts != one.wanted.grants:
            having.append(one)
            picked.append(one.wanted)
    return picked


def _order(one: Demanded) -> tuple[int, int, str]:
    return -len(one.devices), -len(one.wanted.grants), grants_id(one.wanted.grants)


def demanded(conn: psycopg.Connection, within: str) -> Iterator[Demanded]:
    found = conn.execute(
        "SELECT source_id, layout, min(columns::text)::jsonb, min(grants::text)::jsonb,"
        " array_agg(device_id) FROM sync.segment_demand"
        " WHERE asked_at >= now() - %s::interval GROUP BY source_id, layout, grants_id",
        (within,),
    )
    for source_id, layout, names, grants, devices in found.fetchall():
        yield Demanded(
            wanted=_wanted(source_id, layout, names, grants),
            devices=frozenset(devices),
        )


def _kept(conn: psycopg.Connection) -> list[_Kept]:
    found = conn.execute(
        "SELECT id, source_id, layout, columns, grants, epoch, sigma, row_count,"
        " byte_count FROM sync.segment ORDER BY id"
    )
    return [
        _Kept(
            id=i,
            wanted=_wanted(source_id, layout, names, grants),
            epoch=epoch,
            rev=rev,
            rows=count,
            bytes=size,
        )
        for i, source_id, layout, names, grants, epoch, rev, count, size in found
    ]


def _wanted(
    source_id: int, layout: str, names: list[str], grants: list[list[int | None]]
) -> Wanted:
    return Wanted(
        source_id=source_id,
        layout=layout,
        columns=tuple(names),
        grants=grants_of(grants),
    )


def _has_moved(conn: psycopg.Connection, old: _Kept) -> bool:
    """So many entries are newer that it had better be built again."""
    most = int(old.rows * _MOST_MOVED)
    newer = entries.of_each_rule(
        old.wanted.grants,
        lambda feed, condition: sql.SQL(
            "(SELECT e.row_id FROM {} e WHERE e.rev > {} AND {} LIMIT {})"
        ).format(feed, old.rev, condition, most + 1),
    )
    query = sql.SQL("SELECT count(*) > {} FROM ({}) u").format(most, newer)
    return conn.execute(query).fetchone() == (True,)
