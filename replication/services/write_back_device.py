"""One device's turn: its edits go to the source one after the other, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psycopg

from replication.domain import upload_order
from replication.domain.upload_order import Failed
from replication.odata.writing import SourceWriter
from replication.services.write_back_files import FileUnit
from replication.services.write_back_links import with_table
from replication.services.write_back_plan import LINK_OPS, Edit
from replication.services.write_back_run import Batch, Draft, Run
from replication.services.write_back_unit import Unit
from replication.staging import registry, write_backs
from replication.staging.write_backs import Stored
from replication.visibility.writable import Writable, writable

# Edits of one device that are looked at together, and sent before others' turn.
AT_ONCE = 50
# A group is never split; a request has no more mutations than this.
_LARGEST_GROUP = 1_000


@dataclass(slots=True, kw_only=True)
class Context:
    """What was true of a few mutations when their turn began."""

    edits: list[Edit]
    people: Mapping[UUID, Writable]
    failed: list[Failed]
    versions: dict[tuple[str, str], tuple[str, UUID]]
    # Rows that were edited since: what staging says of them is old.
    touched: set[tuple[str, str]] = field(default_factory=set)


class Carrier:
    """Carries devices' edits with one connection to staging and one to the source."""

    def __init__(
        self, run: Run, conn: psycopg.Connection, writer: SourceWriter
    ) -> None:
        self._run = run
        self._conn = conn
        self._writer = writer
        self._unrecorded: Batch | None = None

    def turn(self, device_id: UUID) -> bool:
        """Carry the device's next edits; False when none can go now.

        :raises RunOverError: the run has ended meanwhile.
        :raises SyncError: something that concerns all devices.
        """
        stored = self._load(device_id)
        if not stored:
            return False
        context = self._context(device_id, stored)
        try:
            return self._carry_all(device_id, context)
        finally:
            self._flush()

    def _load(self, device_id: UUID) -> list[Stored]:
        """Whole groups only: the last one may go on beyond what was read.

        After one that is tried again come, as a turn of their own, those that follow
        what was done since.
        """
        stored = _without_gaps(write_backs.queue(self._conn, device_id, limit=AT_ONCE))
        last = stored[-1].group_id if len(stored) == AT_ONCE else None
        if last is None:
            return stored
        whole = [one for one in stored if one.group_id != last]
        if whole:
            return whole
        more = write_backs.queue(self._conn, device_id, limit=_LARGEST_GROUP + AT_ONCE)
        return [one for one in more if one.group_id == last]

    def _context(self, device_id: UUID, stored: Sequence[Stored]) -> Context:
        tables = {t.definition.name: t for t in registry.tables(self._conn)}
        stored = self._with_tables(stored, tables)
        edits = [
            Edit(
                stored=one,
                table=tables[one.table].definition if one.table in tables else None,
            )
            for one in stored
        ]
        rows = {one.row for one in stored if one.row is not None}
        keys = {key for _, key in rows}
        keys |= {key for edit in edits for _, key in edit.place.names}
        history = write_backs.history(
            self._conn,
            device_id,
            keys,
            before=stored[0].sequence,
            accepted_at=min(one.accepted_at for one in stored),
        )
        users = {one.user_id for one in stored}
        return Context(
            edits=edits,
            people={user: writable(self._conn, user, rows) for user in users},
            failed=list(history.failed),
            versions=dict(history.versions),
        )

    def _with_tables(
        self, stored: Sequence[Stored], names: Collection[str]
    ) -> list[Stored]:
        created: dict[str, str] = {}
        found = []
        for one in stored:
            if one.op == "create" and one.row is not None:
                created[one.row[1]] = one.row[0]
            found.append(with_table(self._conn, one, names=names, created=created))
        return found

    def _carry_all(self, device_id: UUID, context: Context) -> bool:
        by_id = {edit.stored.id: edit for edit in context.edits}
        for unit in upload_order.units([edit.place for edit in context.edits]):
            if self._run.is_over:
                return True
            edits = [by_id[place.id] for place in unit]
            waits = max(e.stored.waits or timedelta() for e in edits)
            if waits > timedelta():
                self._run.note_wait(waits)
                return False
            if self._must_look_again(context, edits):
                return True
            kind = FileUnit if edits[0].stored.op == "file" else Unit
            unit_turn = kind(
                self._run,
                self._conn,
                self._writer,
                device_id=device_id,
                known=context,
                edits=edits,
            )
            drafts = unit_turn.carry()
            if drafts is None:
                return False
            self._hand_over(context, drafts, is_marked=unit_turn.is_marked)
        return True

    def _must_look_again(self, context: Context, edits: Sequence[Edit]) -> bool:
        """Whether what was read of these rows is too old for a decision."""
        keys = {key for _, key in context.touched}
        return any(
            edit.stored.row in context.touched
            or (
                edit.stored.op in LINK_OPS
                and not keys.isdisjoint(key for _, key in edit.place.names)
            )
            for edit in edits
        )

    def _hand_over(
        self, context: Context, drafts: Sequence[Draft], *, is_marked: bool
    ) -> None:
        for draft in drafts:
            stored = draft.edit.stored
            if draft.has_failed:
                failed = Failed(
                    id=stored.id,
                    sequence=stored.sequence,
                    op=stored.op,
                    row=stored.row,
                    blocked_by=draft.blocked_by,
                )
                context.failed.append(failed)
            if stored.row is None or not draft.is_read_again:
                continue
            if draft.left_version is None:
                context.touched.add(stored.row)
            else:
                context.versions[stored.row] = (draft.left_version, stored.user_id)
        self._unrecorded = self._run.record(drafts)
        if not is_marked:
            # Without a marker, what is not recorded can hardly be found out later.
            self._flush()

    def _flush(self) -> None:
        batch, self._unrecorded = self._unrecorded, None
        if batch is not None:
            # Batches are recorded in the order in which they were handed over.
            self._run.wait_for(batch)


def _without_gaps(stored: Sequence[Stored]) -> list[Stored]:
    return [
        one
        for place, one in enumerate(stored)
        if one.sequence == stored[0].sequence + place
    ]
