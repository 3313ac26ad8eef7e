"""Segments: shared sets of rows, serialised once and kept as they were at a rev.

A cache of scans and nothing more (FEED §6). Whether a segment may be used is decided
in every snapshot; what changed since it was built is left out of its blocks and read
now. Places among row ids are compared as the 16 bytes of the id.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import psycopg
import zstandard
from psycopg import sql

from replication.staging import columns, schema
from replication.staging.clock import ClockReading
from replication.visibility import entries, rows
from replication.visibility.access import TableAccess
from replication.visibility.checkpoints import (
    Grant,
    Holding,
    as_grant,
    content_id,
    grants_id,
    sorted_grants,
)
from replication.visibility.rows import Block

# How rows are written into blocks. Another number makes all stored ones worthless.
_FORMAT = 1
# The last block's range ends here.
LAST_ID = UUID(int=2**128 - 1)
# Blocks that are read at a time, and at least so many changed rows with them.
_BLOCKS_AT_ONCE = 16
_FEW_CHANGES = 100
# A set of more grants is one user's own, and shared by nobody.
_MOST_GRANTS = 64
_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A row of `sync.segment`. `rev` is its sigma: the clock when it was built."""

    id: int
    grants: frozenset[Grant]
    rev: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """Rows of one range of ids; `up_to` is the last id of the range."""

    segment_id: int
    first_row: UUID | None
    up_to: UUID
    rows: int
    size: int
    frame: bytes

    @property
    def is_last(self) -> bool:
        return self.up_to == LAST_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Neighbouring blocks, and the ids in their ranges that moved since, in order."""

    segment: Segment
    blocks: Sequence[StoredBlock]
    moved: Sequence[bytes]

    def moved_in(self, after: str | None, block: StoredBlock) -> Sequence[bytes]:
        begin = bisect_right(self.moved, UUID(after).bytes) if after else 0
        return self.moved[begin : bisect_right(self.moved, block.up_to.bytes)]


def layout_of(table: TableAccess) -> str:
    """Names the columns, and all that decides how their values are written."""
    definition = table.source.definition
    written = [(c.name, c.type.value, c.scale) for c in table.columns]
    identity: list[object] = [definition.key, definition.version_column]
    if definition.form > 1:
        identity.append(definition.form)
    return content_id("l", [_FORMAT, identity, written])


def usable(
    conn: psycopg.Connection, table: TableAccess, reading: ClockReading
) -> tuple[Segment, ...]:
    """Segments of the table that are true in this snapshot, the largest first.

    One from before the horizon is dead: tombstones that would tell what left it may
    be gone.
    """
    found = conn.execute(
        "SELECT id, grants, sigma, row_count FROM sync.segment"
        " WHERE source_id = %(source)s AND layout = %(layout)s"
        " AND epoch = %(epoch)s AND sigma >= %(horizon)s AND sigma <= %(rev)s"
        " ORDER BY row_count DESC, sigma DESC",
        {
            "source": table.source.id,
            "layout": layout_of(table),
            "epoch": reading.epoch,
            "horizon": reading.horizon,
            "rev": reading.rev,
        },
    )
    return tuple(
        Segment(id=i, grants=grants_of(grants), rev=rev, rows=count)
        for i, grants, rev, count in found
    )


def grants_of(stored: Iterable[Sequence[int | None]]) -> frozenset[Grant]:
    return frozenset(as_grant(numbers) for numbers in stored)


def best(
    segments: Iterable[Segment], holding: Holding
) -> tuple[Segment, str | None] | None:
    """The first of them whose grants are all scanned and have come equally far,
    with the place that they have reached."""
    for segment in segments:
        reached = {holding.grants.get(grant) for grant in segment.grants}
        progress = reached.pop()
        if not reached and progress is not None and progress.state == "scan":
            return segment, progress.position
    return None


def read(
    conn: psycopg.Connection, segment: Segment, *, after: str | None
) -> Run | None:
    """The next blocks; None when so much has changed in them that they save nothing."""
    with conn.cursor(binary=True) as cursor:
        blocks = [
            StoredBlock(
                segment_id=segment.id,
                first_row=first_row,
                up_to=up_to,
                rows=count,
                size=size,
                frame=frame,
            )
            for first_row, up_to, count, size, frame in cursor.execute(
                "SELECT first_row, up_to, row_count, byte_count, frame"
                " FROM sync.segment_block WHERE segment_id = %s"
                " AND (%s::uuid IS NULL OR up_to > %s::uuid) ORDER BY up_to LIMIT %s",
                (segment.id, after, after, _BLOCKS_AT_ONCE),
            )
        ]
    if not blocks:
        return None
    most = max(_FEW_CHANGES, sum(block.rows for block in blocks) // 2)
    moved = _moved(conn, segment, after=after, up_to=blocks[-1].up_to, limit=most + 1)
    if len(moved) > most:
        return None
    return Run(segment=segment, blocks=blocks, moved=moved)


def _moved(
    conn: psycopg.Connection,
    segment: Segment,
    *,
    after: str | None,
    up_to: UUID,
    limit: int,
) -> list[bytes]:
    """Ids of rows with an entry of these grants, live or not, that is newer."""
    begin = sql.SQL("e.row_id > {}").format(UUID(after)) if after else sql.SQL("true")
    newer = entries.of_each_rule(
        segment.grants,
        lambda feed, condition: sql.SQL(
            "(SELECT DISTINCT e.row_id FROM {} e WHERE e.rev > {} AND {}"
            " AND {} AND e.row_id <= {} LIMIT {})"
        ).format(feed, segment.rev, condition, begin, up_to, limit),
    )
    query = sql.SQL("SELECT DISTINCT row_id FROM ({}) u ORDER BY row_id LIMIT {}")
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(query.format(newer, limit))
        return [row_id.bytes for (row_id,) in found]


def is_clean(
    block: StoredBlock, *, after: str | None, moved: Collection[bytes]
) -> bool:
    """It is handed out as it is stored."""
    if moved or block.first_row is None:
        return False
    return after is None or block.first_row > UUID(after)


def patched(
    conn: psycopg.Connection,
    table: TableAccess,
    run: Run,
    block: StoredBlock,
    *,
    after: str | None,
    rev: int,
) -> Block:
    """The block's rows after this place, those that moved as they are now.

    Of these, the ones whose entries are all newer than `rev`, or that are gone, come
    with the delta.
    """
    moved = run.moved_in(after, block)
    parts = _kept(conn, block, after=after, moved=frozenset(moved))
    count = len(parts)
    if moved:
        text, found = _present(conn, table, run.segment, ids=moved, rev=rev)
        parts += [text] if text else []
        count += found
    return Block(upserts=b",".join(parts), upsert_count=count)


def _kept(
    conn: psycopg.Connection,
    block: StoredBlock,
    *,
    after: str | None,
    moved: frozenset[bytes],
) -> list[bytes]:
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(
            "SELECT row_ids, row_ends FROM sync.segment_block"
            " WHERE segment_id = %s AND up_to = %s",
            (block.segment_id, block.up_to),
        ).fetchone()
    assert row is not None
    ids, ends = row[0], struct.unpack(f"<{block.rows}I", row[1])
    content: bytes = zstandard.ZstdDecompressor().decompress(block.frame)
    lowest = UUID(after).bytes if after else b""
    kept, begin = [], 0
    for number, end in enumerate(ends):
        row_id = ids[number * _ID_BYTES : (number + 1) * _ID_BYTES]
        if row_id > lowest and row_id not in moved:
            kept.append(content[begin:end])
        begin = end + 1
    return kept


def _present(
    conn: psycopg.Connection,
    table: TableAccess,
    segment: Segment,
    *,
    ids: Iterable[bytes],
    rev: int,
) -> tuple[bytes | None, int]:
    """Those of the rows that a live entry of at most `rev` gives."""
    wanted = sql.Literal([UUID(bytes=one) for one in ids])
    definition = table.source.definition
    held = entries.of_each_rule(
        segment.grants,
        lambda feed, condition: sql.SQL(
            "SELECT e.row_id FROM {} e WHERE e.row_id = ANY({}::uuid[])"
            " AND e.live AND e.rev <= {} AND {}"
        ).format(feed, wanted, rev, condition),
    )
    query = sql.SQL(
        "SELECT convert_to(string_agg({row}, ','), 'UTF8'), count(*)"
        " FROM (SELECT DISTINCT row_id FROM ({held}) u) d"
        " JOIN {relation} t ON t.{row_id} = d.row_id"
    ).format(
        row=rows.json_row(table),
        held=held,
        relation=schema.relation(definition),
        row_id=columns.row_id(definition),
    )
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(query).fetchone()
    assert found is not None
    return found[0], found[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A device has begun to download this set."""

    table: TableAccess
    grants: frozenset[Grant]


def demands(table: TableAccess, grants: frozenset[Grant]) -> list[Demand]:
    """What could be stored for this scan: the set, which others may share wholly, and
    each of its grants, which more may share."""
    if not 0 < len(grants) <= _MOST_GRANTS:
        return []
    sets = {grants, *(frozenset({grant}) for grant in grants)}
    return [Demand(table=table, grants=one) for one in sets]


def note_demand(
    conn: psycopg.Connection, demanded: Iterable[Demand], *, device_id: UUID
) -> None:
    """Remember who downloads what, for the worker that builds segments."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO sync.segment_demand"
            " (source_id, layout, grants_id, device_id, columns, grants)"
            " VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (source_id, layout, grants_id, device_id)"
            " DO UPDATE SET asked_at = now()",
            [
                (
                    one.table.source.id,
                    layout_of(one.table),
                    grants_id(one.grants),
                    device_id,
                    _json([column.name for column in one.table.columns]),
                    _json(sorted_grants(one.grants)),
                )
                for one in demanded
            ],
        )


def _json(content: object) -> str:
    return msgspec.json.encode(content).decode()
