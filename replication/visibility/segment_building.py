"""Build one segment: a scan of its grants in one snapshot, written block by block.

Everything happens in one transaction, so a worker that dies leaves nothing, and the
clock is not held. Memory is bound by a block and the rows that are fetched at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import psycopg
import zstandard
from psycopg import sql

from project.errors import RejectedError
from provisioning import failpoints
from replication.staging import clock, columns, connections, registry, schema
from replication.staging.registry import SourceTable
from replication.visibility import entries, rows, rules
from replication.visibility.access import TableAccess
from replication.visibility.checkpoints import Grant, grants_id, sorted_grants
from replication.visibility.segments import LAST_ID, layout_of

# Worth its time: a block is compressed once and handed out many times.
_LEVEL = 9
_FETCHED_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows of which table, in which columns."""

    source_id: int
    layout: str
    columns: tuple[str, ...]
    grants: frozenset[Grant]

    @property
    def key(self) -> tuple[int, str, frozenset[Grant]]:
        return self.source_id, self.layout, self.grants


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What one block and one segment hold."""

    block_rows: int = 1_000
    block_bytes: int = 2**20
    least_rows: int = 5_000


class TooLargeError(RejectedError):
    """A segment would take up more room than there is."""

    code = "segment_too_large"


@dataclass(frozen=True, slots=True)
class Places:
    """What a segment is of: tables as they look now, and the rules in use."""

    tables: Mapping[int, SourceTable]
    rules: Mapping[int, int]

    @classmethod
    def of(cls, conn: psycopg.Connection) -> Places:
        return cls(
            {table.id: table for table in registry.tables(conn)},
            {r.id: r.source_id for r in rules.living(conn) if r.state == "active"},
        )

    def table(self, wanted: Wanted) -> TableAccess | None:
        """None when nothing can be handed out in this way any more."""
        source = self.tables.get(wanted.source_id)
        named = {self.rules.get(grant[0]) for grant in wanted.grants}
        if source is None or named != {wanted.source_id}:
            return None
        by_name = {column.name: column for column in source.definition.columns}
        if not by_name.keys() >= set(wanted.columns):
            return None
        table = TableAccess(
            source=source,
            grants=wanted.grants,
            columns=tuple(by_name[name] for name in wanted.columns),
            writable=False,
            conflicts="server_wins",
            sync_interval_minutes=0,
        )
        return table if layout_of(table) == wanted.layout else None


def build(
    conn: psycopg.Connection, wanted: Wanted, *, sizes: Sizes, most_bytes: int
) -> bool:
    """Store the rows as they are now, unless they are too few.

    :raises TooLargeError: nothing is stored.
    """
    with connections.snapshot(conn, read_only=False):
        reading, table = clock.read(conn), Places.of(conn).table(wanted)
        if reading is None or table is None:
            return False
        if not _are_enough(conn, wanted.grants, least=sizes.least_rows):
            return False
        made = _Made(conn, _insert(conn, wanted, reading), sizes, most_bytes)
        for row_id, text in _rows(conn, table):
            made.add(row_id, text)
        made.finish()
        failpoints.reach("segment.written")
        _replace_older(conn, wanted, made)
    return True


def _insert(
    conn: psycopg.Connection, wanted: Wanted, reading: clock.ClockReading
) -> int:
    row = conn.execute(
        "INSERT INTO sync.segment (source_id, layout, columns, grants_id, grants,"
        " epoch, sigma, row_count, byte_count)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 0) RETURNING id",
        (
            wanted.source_id,
            wanted.layout,
            msgspec.json.encode(wanted.columns).decode(),
            grants_id(wanted.grants),
            msgspec.json.encode(sorted_grants(wanted.grants)).decode(),
            reading.epoch,
            reading.rev,
        ),
    ).fetchone()
    assert row is not None
    segment_id: int = row[0]
    return segment_id


def _replace_older(conn: psycopg.Connection, wanted: Wanted, made: _Made) -> None:
    conn.execute(
        "UPDATE sync.segment SET row_count = %s, byte_count = %s WHERE id = %s",
        (made.rows, made.size, made.segment_id),
    )
    drop(
        conn,
        [
            older
            for (older,) in conn.execute(
                "SELECT id FROM sync.segment WHERE source_id = %s AND layout = %s"
                " AND grants_id = %s AND id <> %s",
                (
                    wanted.source_id,
                    wanted.layout,
                    grants_id(wanted.grants),
                    made.segment_id,
                ),
            )
        ],
    )


def drop(conn: psycopg.Connection, segment_ids: list[int]) -> None:
    """Whoever reads one of them goes on in his snapshot, and then without."""
    conn.execute(
        "WITH gone AS (DELETE FROM sync.segment WHERE id = ANY(%(ids)s))"
        " DELETE FROM sync.segment_block WHERE segment_id = ANY(%(ids)s)",
        {"ids": segment_ids},
    )


def _live(grants: frozenset[Grant], limit: sql.Composable) -> sql.Composed:
    """Ids of the rows that the grants give, each once."""
    held = entries.of_each_rule(
        grants,
        lambda feed, condition: sql.SQL(
            "SELECT e.row_id FROM {} e WHERE e.live AND {}"
        ).format(feed, condition),
    )
    return sql.SQL("SELECT DISTINCT row_id FROM ({}) u {}").format(held, limit)


def _are_enough(
    conn: psycopg.Connection, grants: frozenset[Grant], *, least: int
) -> bool:
    some = _live(grants, sql.SQL("LIMIT {}").format(least))
    row = conn.execute(sql.SQL("SELECT count(*) FROM ({}) d").format(some)).fetchone()
    return row == (least,)


def _rows(conn: psycopg.Connection, table: TableAccess) -> Iterator[tuple[UUID, bytes]]:
    """Every row with its text, in the order of ids."""
    definition = table.source.definition
    query = sql.SQL(
        "SELECT d.row_id, convert_to({row}, 'UTF8') FROM ({ids}) d"
        " JOIN {relation} t ON t.{row_id} = d.row_id ORDER BY d.row_id"
    ).format(
        row=rows.json_row(table),
        ids=_live(table.grants, sql.SQL("")),
        relation=schema.relation(definition),
        row_id=columns.row_id(definition),
    )
    with conn.cursor(name="segment") as cursor:
        cursor.itersize = _FETCHED_AT_ONCE
        cursor.format = psycopg.pq.Format.BINARY
        yield from cursor.execute(query)


@dataclass(slots=True)
class _Made:
    """The segment so far; `size` is what it takes up."""

    conn: psycopg.Connection
    segment_id: int
    sizes: Sizes
    most_bytes: int
    rows: int = 0
    size: int = 0
    _ids: list[UUID] = field(default_factory=list)
    _texts: list[bytes] = field(default_factory=list)
    _length: int = 0
    _compressor: zstandard.ZstdCompressor = field(
        default_factory=lambda: zstandard.ZstdCompressor(level=_LEVEL)
    )

    def add(self, row_id: UUID, text: bytes) -> None:
        is_full = len(self._ids) >= self.sizes.block_rows
        if self._ids and (is_full or self._length + len(text) > self.sizes.block_bytes):
            self._write(self._ids[-1])
        self._ids.append(row_id)
        self._texts.append(text)
        self._length += len(text) + 1

    def finish(self) -> None:
        self._write(LAST_ID)

    def _write(self, up_to: UUID) -> None:
        content = b",".join(self._texts)
        ends, end = [], -1
        for text in self._texts:
            end += 1 + len(text)
            ends.append(end)
        ids = b"".join(row_id.bytes for row_id in self._ids)
        frame = self._compressor.compress(content)
        self.conn.execute(
            "INSERT INTO sync.segment_block (segment_id, up_to, first_row, row_count,"
            " byte_count, frame, row_ids, row_ends)"
            " VALUES (%b, %b, %b, %b, %b, %b, %b, %b)",
            (
                self.segment_id,
                up_to,
                self._ids[0] if self._ids else None,
                len(self._ids),
                len(content),
                frame,
                ids,
                struct.pack(f"<{len(ends)}I", *ends),
            ),
        )
        failpoints.reach("segment.block")
        self.rows += len(self._ids)
        self.size += len(frame) + len(ids) + 4 * len(ends)
        self._ids, self._texts, self._length = [], [], 0
        if self.size > self.most_bytes:
            raise TooLargeError("The segment takes up too much room.")
