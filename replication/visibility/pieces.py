"""One piece of an answer, computed in one snapshot (FEED §3, steps 3 to 6)."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

import psycopg

from replication.staging.clock import ClockReading
from replication.visibility import rows
from replication.visibility.access import Access
from replication.visibility.checkpoints import (
    DONE,
    Checkpoint,
    Grant,
    Holding,
    Progress,
)
from replication.visibility.holdings import Holdings
from replication.visibility.messages import CheckpointLine, Message, Reset, Rows
from replication.visibility.rows import Block

# Answers larger than this are written to a temporary file while their snapshot
# lasts.
_SPOOLED_ABOVE = 8 * 2**20

# Until a table's rows have been seen.
_ASSUMED_ROW_BYTES = 2048.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """PROTOCOL §6: what lies between two checkpoint lines; what one answer holds."""

    rows: int = 5_000
    piece_bytes: int = 4 * 2**20
    answer_bytes: int = 64 * 2**20
    answer_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose checkpoints these are."""

    organization: UUID
    user: UUID
    device: UUID


class Spool:
    """Messages in order; the first few MiB in memory, the rest in a file."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque()
        self._kept_bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, message: Message) -> None:
        if self._file is None and self._kept_bytes > _SPOOLED_ABOVE:
            self._file = TemporaryFile()  # noqa: SIM115  closed by `close`
        if self._file is not None:
            pickle.dump(message, self._file, pickle.HIGHEST_PROTOCOL)
            return
        self._kept.append(message)
        if isinstance(message, Rows):
            self._kept_bytes += len(message.upserts) + len(message.deletes)

    def drain(self) -> Iterator[Message]:
        while self._kept:
            yield self._kept.popleft()
        if self._file is not None:
            end = self._file.tell()
            self._file.seek(0)
            while self._file.tell() < end:
                message: Message = pickle.load(self._file)  # noqa: S301  written above
                yield message

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


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
    # Bytes per row of each table, as learnt in this answer.
    row_bytes: dict[str, float]
    wants_digest: bool = False
    expected_rows: int | None = None
    spool: Spool = field(default_factory=Spool)
    named_sets: dict[str, frozenset[Grant]] = field(default_factory=dict)
    is_complete: bool = False
    has_news: bool = False
    size: int = 0
    _last: Checkpoint | None = None
    _rows: int = 0
    _bytes: int = 0

    def compute(self, resets: Collection[str]) -> None:
        """Fill the spool; it ends with a checkpoint line."""
        for name in resets:
            self.spool.append(Reset(table=name))
            self.has_news = True
        while (unfinished := self._unfinished()) and self._has_room():
            self._drop_or_scan(unfinished)
        if self._unfinished() or not self._delta():
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

    def _drop_or_scan(self, name: str) -> None:
        holding = self.holdings[name]
        state: rows.Walk = "drop" if holding.has("drop") else "scan"
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
        if not block.rows:
            return
        self.spool.append(
            Rows(table=table, deletes=block.deletes, upserts=block.upserts)
        )
        self.has_news = True
        self._rows += block.rows
        self._bytes += block.size
        self.size += block.size
        self.sent += block.rows

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
                through_mutation=0 if complete else None,
                digest=digest,
            )
        )
        self._rows = self._bytes = 0
