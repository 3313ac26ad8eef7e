"""One piece of an answer, computed in one snapshot (FEED §3, steps 3 to 6)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from replication.staging.clock import ClockReading
from replication.visibility import outcomes, rows, segments
from replication.visibility.access import Access
from replication.visibility.checkpoints import (
    DONE,
    Checkpoint,
    Grant,
    Holding,
    Progress,
)
from replication.visibility.holdings import Holdings
from replication.visibility.messages import (
    CheckpointLine,
    Reset,
    Rows,
    StoredRows,
)
from replication.visibility.outcomes import Group
from replication.visibility.rows import Block
from replication.visibility.segments import Demand, Run, Segment, StoredBlock
from replication.visibility.spool import Spool

# Bytes from segments, compressed or patched, after which a piece ends: it is held in
# memory.
_STORED_BYTES = 4 * 2**20

# Until a table's rows have been seen.
_ASSUMED_ROW_BYTES = 2048.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """PROTOCOL §6: what lies between two checkpoint lines; what one answer holds."""

    rows: int = 5_000
    piece_bytes: int = 4 * 2**20
    answer_bytes: int = 64 * 2**20
    answer_seconds: float = 30.0
    # Scans of fewer rows are not worth a segment.
    segment_rows: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose checkpoints these are."""

    organization: UUID
    user: UUID
    device: UUID


@dataclass(slots=True)
class Piece:
    """Computes messages from the holdings and moves these on."""

    conn: psycopg.Connection
    access: Access
    reading: ClockReading
    bearer: Bearer
    limits: Limits
    holdings: Holdings
    snapshot: str | None
    sent: int
    # The rev up to which the device has heard of all outcomes.
    told: int
    # Bytes per row of each table, as learnt in this answer.
    row_bytes: dict[str, float]
    wants_digest: bool = False
    expected_rows: int | None = None
    spool: Spool = field(default_factory=Spool)
    named_sets: dict[str, frozenset[Grant]] = field(default_factory=dict)
    # Sets whose download begins in this piece, for segments.
    demanded: list[Demand] = field(default_factory=list)
    is_complete: bool = False
    has_news: bool = False
    size: int = 0
    _last: Checkpoint | None = None
    _rows: int = 0
    _bytes: int = 0
    # Bytes from segments, as they are held in memory.
    _stored: int = 0
    _segments: dict[str, tuple[Segment, ...]] = field(default_factory=dict)

    def compute(self, resets: Collection[str]) -> None:
        """Fill the spool; it ends with a checkpoint line."""
        for name in resets:
            self.spool.append(Reset(table=name))
            self.has_news = True
        while (unfinished := self._unfinished()) and self._may_walk():
            self._drop_or_scan(unfinished)
        if self._unfinished() or not self._delta() or not self._tell():
            self._line(complete=False)
        else:
            self.is_complete = True
            self._line(complete=True)

    def checkpoint(self) -> Checkpoint:
        """The last one of the piece."""
        assert self._last is not None
        return self._last

    def _unfinished(self) -> str | None:
        for name, holding in self.holdings.items():
            if holding.has("drop") or holding.has("scan"):
                return name
        return None

    def _has_room(self) -> bool:
        return (
            self._rows < self.limits.rows
            and self._bytes < self.limits.piece_bytes * 3 // 4
        )

    def _may_walk(self) -> bool:
        return self._has_room() and not self._is_long()

    def _is_long(self) -> bool:
        """Stored blocks cost so little that they may fill a piece with many
        checkpoint lines; this ends it."""
        return self._stored >= _STORED_BYTES or (
            self._stored > 0 and self.size >= self.limits.answer_bytes
        )

    def _drop_or_scan(self, name: str) -> None:
        holding = self.holdings[name]
        state: rows.Walk = "drop" if holding.has("drop") else "scan"
        if state == "scan" and self._hand_out_stored(name):
            return
        grants, after = holding.furthest_behind(state)
        up_to = holding.next_position(state, after)
        limit, block = self._fitting(
            name,
            lambda limit: rows.walked(
                self.conn,
                self.access.tables[name],
                self._known(grants),
                state=state,
                rev=holding.rev,
                after=after,
                up_to=up_to,
                limit=limit,
            ),
        )
        self._send(name, block)
        is_large = block.entries >= min(limit, self.limits.segment_rows)
        if state == "scan" and after is None and is_large:
            self.demanded += segments.demands(self.access.tables[name], grants)
        if block.entries == limit:
            self._advance(holding, grants, Progress(state, block.reached))
        elif up_to is not None:
            self._advance(holding, grants, Progress(state, up_to))
        elif state == "drop":
            for grant in grants:
                del holding.grants[grant]
        else:
            self._advance(holding, grants, DONE)

    def _advance(
        self, holding: Holding, grants: Collection[Grant], progress: Progress
    ) -> None:
        for grant in grants:
            holding.grants[grant] = progress

    def _hand_out_stored(self, name: str) -> bool:
        """Hand blocks of a segment out; False when there is none that could be.

        A segment goes on to its end before other grants are scanned: what both hold
        is sent twice, but nothing that is stored has to be cut for them.
        """
        table = self.access.tables[name]
        if name not in self._segments:
            self._segments[name] = segments.usable(self.conn, table, self.reading)
        found = segments.best(self._segments[name], self.holdings[name])
        if found is None:
            return False
        segment, after = found
        run = segments.read(self.conn, segment, after=after)
        if run is None:
            return False
        if after is None:
            self.demanded.append(Demand(table=table, grants=segment.grants))
        handed_out = 0
        for block in run.blocks:
            if self._is_long() or not self._hand_out_block(name, run, block):
                break
            handed_out += 1
        return handed_out > 0

    def _hand_out_block(self, name: str, run: Run, block: StoredBlock) -> bool:
        """False when it is larger than what may lie between two checkpoint lines."""
        holding = self.holdings[name]
        (progress,) = {holding.grants[grant] for grant in run.segment.grants}
        message, count, size = self._block_as_of_now(
            name, run, block, after=progress.position
        )
        if not self._fits(count, size) and self._rows:
            self._line(complete=False)
        if not self._fits(count, size):
            return False
        if count:
            self._append(message, rows=count, size=size)
            is_stored = isinstance(message, StoredRows)
            self._stored += len(block.frame) if is_stored else size
        self._advance(
            holding,
            run.segment.grants,
            DONE if block.is_last else Progress("scan", str(block.up_to)),
        )
        return True

    def _block_as_of_now(
        self, name: str, run: Run, block: StoredBlock, *, after: str | None
    ) -> tuple[Rows | StoredRows, int, int]:
        """The block's rows after that place, how many, and how long uncompressed."""
        if segments.is_clean(block, after=after, moved=run.moved_in(after, block)):
            stored = StoredRows(table=name, frame=block.frame)
            return stored, block.rows, block.size
        now = segments.patched(
            self.conn,
            self.access.tables[name],
            run,
            block,
            after=after,
            rev=self.holdings[name].rev,
        )
        return _rows(name, now), now.rows, now.size

    def _fits(self, count: int, size: int) -> bool:
        return (
            self._rows + count <= self.limits.rows
            and self._bytes + size <= self.limits.piece_bytes
        )

    def _delta(self) -> bool:
        """Send what changed, of all tables; False when the answer is full before."""
        for name, holding in self.holdings.items():
            while holding.rev < self.reading.rev:
                if self.size >= self.limits.answer_bytes:
                    return False
                if not self._has_room():
                    self._line(complete=False)
                self._delta_block(name, holding)
        return True

    def _delta_block(self, name: str, holding: Holding) -> None:
        grants = self._known(holding.grants)
        limit, block = self._fitting(
            name,
            lambda limit: rows.changed(
                self.conn,
                self.access.tables[name],
                grants,
                since_rev=holding.rev,
                limit=limit,
            ),
        )
        self._send(name, block)
        holding.rev = block.reached if block.entries == limit else self.reading.rev

    def _tell(self) -> bool:
        """Tell outcomes, of this snapshot; False when the answer is full before."""
        is_more = True
        while is_more:
            groups, is_more = outcomes.untold(
                self.conn, self.access, device_id=self.bearer.device, told=self.told
            )
            for group in groups:
                if self.size >= self.limits.answer_bytes:
                    return False
                self._append_group(group)
        self.told = self.reading.rev
        return True

    def _append_group(self, group: Group) -> None:
        is_first = not self._rows and not self._bytes
        if not is_first and not self._fits(group.row_count, group.size):
            self._line(complete=False)
        for message in group.rows:
            self.spool.append(message)
        self.spool.append(group.outcomes)
        self.told = group.rev
        self._count(rows=group.row_count, size=group.size)

    def _known(self, grants: Collection[Grant]) -> list[Grant]:
        # A rule without a feed has no entries left: its last tombstone was purged.
        return [grant for grant in grants if grant[0] in self.access.known_rules]

    def _fitting(self, name: str, query: Callable[[int], Block]) -> tuple[int, Block]:
        """The largest block that leaves the piece within its limits.

        How many rows that is follows from the sizes of the table's rows so far; a
        block that comes out too large is asked for again, and smaller.
        """
        room = self.limits.piece_bytes - self._bytes
        size = self.row_bytes.get(name, _ASSUMED_ROW_BYTES)
        limit = max(1, min(self.limits.rows - self._rows, int(room / size)))
        block = query(limit)
        while block.size > room and limit > 1:
            limit = max(1, min(limit - 1, block.rows * room // block.size * 3 // 4))
            block = query(limit)
        if block.upsert_count:
            self.row_bytes[name] = 1.1 * len(block.upserts) / block.upsert_count
        return limit, block

    def _send(self, table: str, block: Block) -> None:
        if block.rows:
            self._append(_rows(table, block), rows=block.rows, size=block.size)

    def _append(self, message: Rows | StoredRows, *, rows: int, size: int) -> None:
        self.spool.append(message)
        self._count(rows=rows, size=size)

    def _count(self, *, rows: int, size: int) -> None:
        self.has_news = True
        self._rows += rows
        self._bytes += size
        self.size += size
        self.sent += rows

    def _line(self, *, complete: bool) -> None:
        tables = {}
        for name, holding in self.holdings.items():
            tables[name], named = holding.frozen()
            self.named_sets.update(named)
        checkpoint = Checkpoint(
            organization=self.bearer.organization,
            user=self.bearer.user,
            device=self.bearer.device,
            epoch=self.reading.epoch,
            model=self.access.model,
            snapshot=None if complete else self.snapshot,
            seen=self.reading.rev,
            rows=0 if complete else self.sent,
            tables=tables,
            told=self.told,
        )
        self._last = checkpoint
        digest = None
        if complete and self.wants_digest:
            digest = {
                name: rows.digest(self.conn, table)
                for name, table in self.access.tables.items()
            }
        self.spool.append(
            CheckpointLine(
                checkpoint=checkpoint,
                complete=complete,
                rows=self.sent,
                expected_rows=None if complete else self.expected_rows,
                through_mutation=self._through() if complete else None,
                digest=digest,
            )
        )
        self._rows = self._bytes = 0

    def _through(self) -> int:
        return outcomes.through(self.conn, device_id=self.bearer.device)


def _rows(table: str, block: Block) -> Rows:
    return Rows(table=table, deletes=block.deletes, upserts=block.upserts)
