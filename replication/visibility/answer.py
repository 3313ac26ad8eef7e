"""One answer to a device: the algorithm of FEED §3, piece by piece.

Every piece has a snapshot of its own, so that no snapshot waits for a slow phone;
the delta of all tables is read from a single one, so that an answer ends even if
commits never do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg

from project.errors import RejectedError
from replication.staging import clock, connections, mutations
from replication.staging.clock import ClockReading
from replication.visibility import holdings, rows, segments, subscriptions
from replication.visibility.access import Access, OfflineNotAllowedError, TableAccess
from replication.visibility.cached_access import cached_access
from replication.visibility.checkpoints import Checkpoint
from replication.visibility.holdings import Holdings
from replication.visibility.member import NotReadyError
from replication.visibility.messages import Begin, Message, NothingNew
from replication.visibility.pieces import Bearer, Limits, Piece
from replication.visibility.security_age import is_security_stale
from replication.visibility.subscriptions import ResyncRequiredError


class ModelChangedError(RejectedError):
    """The client model is newer than the one that the device named."""

    code = "model_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesRequest:
    """`object_id`, if given, must still be the user's at the identity provider."""

    user_id: UUID
    device_id: UUID
    model: str
    checkpoint: Checkpoint | None = None
    reset: frozenset[str] = frozenset()
    digest: bool = False
    object_id: UUID | None = None


class Answer:
    """Computes pieces until everything is said or the answer is long enough."""

    def __init__(
        self, organization_id: UUID, request: ChangesRequest, limits: Limits
    ) -> None:
        self._organization_id = organization_id
        self._request = request
        self._limits = limits
        self._checkpoint = self._presented = request.checkpoint
        self._held: Holdings | None = None
        self._epoch: UUID | None = None
        self._column_types: dict[str, dict[str, str]] = {}
        self._reset = request.reset
        self._snapshot = self._name_snapshot()
        self._sent = request.checkpoint.rows if request.checkpoint else 0
        self._told = request.checkpoint.told if request.checkpoint else 0
        self._expected: int | None = None
        self._row_bytes: dict[str, float] = {}
        self._bytes = 0
        self._begun_at = time.monotonic()

    def start(self) -> NothingNew | Iterator[Message]:
        """Compute the first piece.

        :raises ResyncRequiredError: the checkpoint cannot be continued.
        :raises ModelChangedError: the device must fetch the model first.
        :raises OfflineNotAllowedError: the user may not go offline now.
        :raises NotReadyError: try again later.
        """
        piece = self._next_piece()
        if piece is None:
            message = f"The model is no longer {self._request.model}."
            raise ModelChangedError(message)
        if piece.is_complete and self._says_nothing(piece):
            return NothingNew(piece.checkpoint())
        return self._messages(piece)

    def _messages(self, piece: Piece | None) -> Iterator[Message]:
        assert piece is not None
        yield Begin.of(piece.access, snapshot=self._snapshot)
        while piece is not None:
            with closing(piece.spool):
                yield from piece.spool.drain()
            if piece.is_complete or self._is_long_enough():
                return
            # A model that changes in mid-answer ends it; the next request learns.
            piece = self._next_piece()

    def _next_piece(self) -> Piece | None:
        """Compute a piece; None when the model is not the one asked for."""
        try:
            return self._read_piece()
        except psycopg.errors.UndefinedTable as error:
            # A retired rule's feed was dropped between look-up and use.
            raise NotReadyError("The rules are being tidied up.") from error

    def _read_piece(self) -> Piece | None:
        with connections.reading(self._organization_id) as conn:
            with connections.snapshot(conn):
                reading = clock.read(conn)
                if reading is not None:
                    piece = self._computed(conn, reading)
            if reading is None:
                clock.renew_epoch(conn)
                raise ResyncRequiredError("The database was restored or copied.")
            if piece is not None:
                subscriptions.store(
                    conn,
                    reading.epoch,
                    grants=piece.named_sets,
                    columns={
                        table.columns_id: table.columns_content
                        for table in piece.access.tables.values()
                    },
                )
                self._note_presented(conn)
                segments.note_demand(
                    conn, piece.demanded, device_id=self._request.device_id
                )
                self._bytes += piece.size
                self._sent = piece.sent
                self._told = piece.told
        return piece

    def _note_presented(self, conn: psycopg.Connection) -> None:
        presented, self._presented = self._presented, None
        if presented is not None:
            subscriptions.note_presented(
                conn,
                device_id=self._request.device_id,
                user_id=self._request.user_id,
                rev=presented.seen,
            )
            mutations.note_delivered(
                conn, device_id=self._request.device_id, told=presented.told
            )

    def _computed(
        self, conn: psycopg.Connection, reading: ClockReading
    ) -> Piece | None:
        if self._held is None:
            self._check(conn, reading)
            self._held = self._load(conn, reading)
        self._check_history(reading)
        access = cached_access(conn, self._request.user_id, reading)
        if self._request.object_id not in (None, access.object_id):
            raise OfflineNotAllowedError("The user belongs to somebody else now.")
        if access.model != self._request.model:
            return None
        self._held, resets = holdings.brought_up_to(
            self._held,
            access,
            rev=reading.rev,
            column_types=self._column_types,
            reset=self._reset,
        )
        self._reset = frozenset()
        self._column_types.update(
            (t.columns_id, dict(t.columns_content)) for t in access.tables.values()
        )
        piece = Piece(
            conn=conn,
            access=access,
            reading=reading,
            bearer=Bearer(
                organization=self._organization_id,
                user=self._request.user_id,
                device=self._request.device_id,
            ),
            limits=self._limits,
            holdings=self._held,
            snapshot=self._snapshot,
            sent=self._sent,
            told=self._told,
            row_bytes=self._row_bytes,
            wants_digest=self._request.digest,
            expected_rows=self._expectation(conn, access, reading),
        )
        piece.compute(resets)
        return piece

    def _check(self, conn: psycopg.Connection, reading: ClockReading) -> None:
        checkpoint = self._checkpoint
        if checkpoint is not None and checkpoint.epoch != reading.epoch:
            raise ResyncRequiredError("The checkpoint is from another epoch.")
        if checkpoint is not None and checkpoint.seen > reading.rev:
            raise NotReadyError("Staging is behind what the device has seen.")
        if is_security_stale(conn):
            raise NotReadyError("The security tables are stale.")

    def _check_history(self, reading: ClockReading) -> None:
        # For every snapshot: a restored database would pass for the one that the
        # answer began with. And by rev: tombstones may be purged between pieces,
        # and the age of a checkpoint proves nothing.
        assert self._held is not None
        if self._epoch not in (None, reading.epoch):
            raise ResyncRequiredError("The database was restored or copied.")
        self._epoch = reading.epoch
        if any(held.rev < reading.horizon for held in self._held.values()):
            raise ResyncRequiredError("The checkpoint is older than the horizon.")

    def _load(self, conn: psycopg.Connection, reading: ClockReading) -> Holdings:
        if self._checkpoint is None:
            return {}
        self._column_types = subscriptions.column_sets(
            conn, reading.epoch, self._checkpoint.columns_ids()
        )
        sets = subscriptions.grant_sets(
            conn, reading.epoch, self._checkpoint.grants_ids()
        )
        return holdings.of_checkpoint(self._checkpoint, sets)

    def _expectation(
        self, conn: psycopg.Connection, access: Access, reading: ClockReading
    ) -> int | None:
        """How many rows a first download has in all; counted once per answer."""
        if self._snapshot is not None and self._expected is None:
            self._expected = sum(
                _expected(conn, table, reading) for table in access.tables.values()
            )
        return self._expected

    def _name_snapshot(self) -> str | None:
        if self._request.checkpoint is None:
            return f"c{uuid4().hex}"
        return self._request.checkpoint.snapshot

    def _says_nothing(self, piece: Piece) -> bool:
        """The device stands where it stood, but for the rev (FEED §3, step 9)."""
        before = self._checkpoint
        if before is None or before.snapshot is not None or self._request.digest:
            return False
        after = piece.checkpoint()
        return not piece.has_news and _standing(before) == _standing(after)

    def _is_long_enough(self) -> bool:
        return (
            self._bytes >= self._limits.answer_bytes
            or time.monotonic() - self._begun_at >= self._limits.answer_seconds
        )


def _expected(
    conn: psycopg.Connection, table: TableAccess, reading: ClockReading
) -> int:
    # A progress bar may be a little wrong; counting takes longer than stored rows.
    for segment in segments.usable(conn, table, reading):
        if segment.grants == table.grants:
            return segment.rows
    return rows.expected(conn, table)


def _standing(checkpoint: Checkpoint) -> dict[str, tuple[object, object]]:
    return {
        name: (held.columns_id, held.sets) for name, held in checkpoint.tables.items()
    }
