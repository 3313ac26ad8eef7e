"""One mutation, or a group of them: sent once, and what became of it.

An attempt is written down before it is sent. Whatever nobody heard the end of is found
out before anything is sent again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import UUID

import psycopg

from project.errors import MisconfiguredError, SyncError, TransientError
from provisioning import failpoints
from replication.domain import upload_order
from replication.domain.writing_back import Send, Settled
from replication.odata.errors import UnknownOutcomeError
from replication.odata.measured import SourceShutError
from replication.odata.writing import (
    EditFailedError,
    Marker,
    MarkerExistsError,
    MarkerRefusedError,
    PreconditionFailedError,
    Sent,
    SourceWriter,
    WriteRefusedError,
)
from replication.services import write_back_doubts as doubts
from replication.services.write_back_decisions import (
    Decider,
    Known,
    Step,
    attempt_of,
    first_failure,
)
from replication.services.write_back_plan import (
    GROUP_FAILED,
    NOBODY,
    VOID,
    Edit,
)
from replication.services.write_back_run import Draft, Found, Run
from replication.staging import write_backs
from replication.staging.write_backs import Pages

# How often a row that keeps changing under our hands is decided on anew.
_DECISIONS = 5


class Unit:
    """A mutation, or a group of them, that is done all or none."""

    def __init__(
        self,
        run: Run,
        conn: psycopg.Connection,
        writer: SourceWriter,
        *,
        device_id: UUID,
        known: Known,
        edits: Sequence[Edit],
    ) -> None:
        self._run = run
        self._conn = conn
        self._writer = writer
        self._device = device_id
        self._known = known
        self._edits = edits
        self._sequences = [edit.stored.sequence for edit in edits]
        self._caller = edits[0].stored.object_id if self._writer.impersonates else None
        # An earlier attempt may have been carried out.
        self._is_repeated = False
        # This one was written down.
        self._has_begun = False
        self._sending: list[int] = []
        self.is_marked = True

    def carry(self) -> list[Draft] | None:
        """Do what can be done; None: later, and until then the device waits.

        :raises SyncError: something that concerns all devices.
        """
        try:
            return self._carry()
        except UnknownOutcomeError as error:
            self._put_off(error, is_unknown=True)
        except SourceShutError as error:
            self._put_off(error, is_unknown=self._is_repeated, counts=False)
            raise
        except EditFailedError as error:
            attempts = self._edits[0].stored.attempts + 1
            if attempts >= upload_order.HOPELESS_AFTER:
                return self._given_up(attempts)
            self._put_off(error, is_unknown=self._is_repeated)
        except TransientError as error:
            self._put_off(error, is_unknown=self._is_repeated)
        except MisconfiguredError as error:
            self._put_off(error, is_unknown=self._is_repeated, counts=False)
            raise
        return None

    def _carry(self) -> list[Draft] | None:
        blocked_by = self._blocker()
        if blocked_by is not None:
            return [self._parked(edit, blocked_by) for edit in self._edits]
        if self._edits[0].stored.op == "void" and len(self._edits) == 1:
            return [self._draft(self._edits[0], VOID)]
        if self._writer.impersonates and self._caller is None:
            return self._rejected(0, NOBODY, is_read_again=False)
        if any(edit.stored.sent_at is not None for edit in self._edits):
            found = self._found_out()
            if found is not None:
                return found
        return self._send()

    def _blocker(self) -> UUID | None:
        for edit in self._edits:
            blocked_by = upload_order.blocker(edit.place, self._known.failed)
            if blocked_by is not None:
                return blocked_by
        return None

    # An attempt of which nobody knows what became.

    def _found_out(self) -> list[Draft] | None:
        """What became of an earlier attempt; None: nothing, it may be made again.

        :raises TransientError: it cannot be told yet.
        """
        self._is_repeated = True
        answer = doubts.find_out(self._writer, self._edits, caller=self._caller)
        failpoints.reach("upload.found_out")
        if answer.is_done:
            return [
                self._draft(
                    edit,
                    doubts.outcome_of(edit),
                    is_uncertain=edit.stored.id in answer.uncertain,
                    is_read_again=True,
                    was_sent=True,
                )
                for edit in self._edits
            ]
        attempts = self._edits[0].stored.attempts
        if attempts >= upload_order.HOPELESS_AFTER:
            return self._given_up(attempts)
        return None

    def _given_up(self, attempts: int) -> list[Draft]:
        message = f"The source failed {attempts} times at this edit."
        return self._rejected(
            0, Settled(status="rejected", reason="other", message=message)
        )

    # Sending.

    def _send(self) -> list[Draft]:
        decider = Decider(self._writer, self._known, self._conn)
        for _ in range(_DECISIONS):
            steps = [decider.step(edit) for edit in self._edits]
            drafts = self._without_sending(steps)
            if drafts is None:
                drafts = self._tried(decider, steps)
            if drafts is not None:
                return drafts
        raise TransientError("The row changed each time it was to be written.")

    def _without_sending(self, steps: Sequence[Step]) -> list[Draft] | None:
        """Outcomes that need no write, None if there is something to be sent."""
        failing = first_failure(steps)
        if failing is not None:
            if self._was_done_before():
                return self._done_before()
            return self._failed(failing, steps)
        if any(isinstance(step.decision, Send) for step in steps):
            return None
        return [
            self._draft(edit, step.settled, is_read_again=True, found=step.found)
            for edit, step in zip(self._edits, steps, strict=True)
        ]

    def _tried(self, decider: Decider, steps: Sequence[Step]) -> list[Draft] | None:
        """Send it; None: it has to be decided on anew."""
        try:
            return self._attempt(steps)
        except PreconditionFailedError as error:
            if self._was_done_before():
                return self._done_before()
            self._doubt(error)
            decider.look_again(self._edits[self._sending[error.index]])
        except MarkerExistsError:
            return self._done_before()
        except MarkerRefusedError:
            # The writer knows now, and the next attempt goes without.
            return None
        except WriteRefusedError as error:
            if self._was_done_before():
                return self._done_before()
            return self._refused(error)
        return None

    def _attempt(self, steps: Sequence[Step]) -> list[Draft] | None:
        """Send once: written down before, so that nobody ever sends it blindly again."""
        self.is_marked = self._writer.may_mark(caller=self._caller)
        self._sending = [n for n, s in enumerate(steps) if isinstance(s.decision, Send)]
        pages = self._begin(steps)
        self._has_begun = True
        if pages is None:
            # An operator has discarded it.
            return []
        failpoints.reach("upload.begun")
        sent = self._writer.send(
            [steps[n].write for n in self._sending],
            caller=self._caller,
            marker=self._marker() if self.is_marked else None,
        )
        failpoints.reach("upload.sent")
        by_place = dict(zip(self._sending, sent, strict=True))
        return [
            self._sent(edit, step, by_place.get(n), pages)
            for n, (edit, step) in enumerate(zip(self._edits, steps, strict=True))
        ]

    def _begin(self, steps: Sequence[Step]) -> Pages | None:
        attempts = {
            edit.stored.sequence: attempt_of(step, is_marked=self.is_marked)
            for edit, step in zip(self._edits, steps, strict=True)
        }
        # Where writes are answered with the row, what is committed since counts.
        answers = not self._writer.impersonates
        tables = {e.stored.table for e in self._edits if answers and e.stored.table}
        return write_backs.begin_attempt(
            self._conn,
            self._device,
            attempts,
            epoch=self._run.epoch,
            tables=tables,
        )

    def _marker(self) -> Marker:
        first = self._edits[0].stored
        return Marker(id=first.marker_id, name=f"{self._device} {first.sequence}")

    def _sent(self, edit: Edit, step: Step, sent: Sent | None, pages: Pages) -> Draft:
        row = sent.row if sent else None
        return self._draft(
            edit,
            step.settled,
            left_version=row.version if row else None,
            was_sent=sent is not None,
            is_read_again=True,
            found=Found(row=row, pages=pages) if row is not None else None,
        )

    def _was_done_before(self) -> bool:
        """Whether a refusal only says that an earlier attempt was carried out.

        It may have been one that this database never heard of: it was restored, and
        the device has sent its edits again.
        """
        if self._writer.may_mark(caller=self._caller):
            return self._writer.has_marker(self._edits[0].stored.marker_id)
        return False

    def _done_before(self) -> list[Draft]:
        return [
            self._draft(
                edit, doubts.outcome_of(edit), is_read_again=True, was_sent=True
            )
            for edit in self._edits
        ]

    # What becomes of refusals.

    def _doubt(self, error: SyncError) -> None:
        """Without a marker, what a repeated attempt met may be the first one's work.

        :raises UnknownOutcomeError: so it may be; the row will tell.
        """
        if self._is_repeated and not self.is_marked:
            raise UnknownOutcomeError(error)

    def _refused(self, error: WriteRefusedError) -> list[Draft]:
        number = self._sending[error.index]
        edit = self._edits[number]
        if error.reason in {"exists", "not_found"}:
            self._doubt(error)
        if self._is_done_anyway(edit, error):
            return [self._draft(edit, Settled(status="applied"), is_read_again=True)]
        settled = Settled(status="rejected", reason=error.reason, message=str(error))
        return self._rejected(number, settled)

    def _is_done_anyway(self, edit: Edit, error: WriteRefusedError) -> bool:
        """The source has what the edit wants: its row is gone, or is this very one."""
        if len(self._edits) > 1:
            return False
        if edit.stored.op == "delete":
            return error.reason == "not_found"
        is_create = edit.stored.op == "create" and error.reason == "exists"
        if not is_create or self.is_marked or edit.table is None:
            return False
        if not edit.table.has_guid_key:
            return False
        return doubts.looks_done(edit, self._writer.read(edit.table, edit.key))

    def _rejected(
        self, number: int, settled: Settled, *, is_read_again: bool = True
    ) -> list[Draft]:
        """The group fails with one of its mutations, and each says why."""
        failing = self._edits[number]
        others = Settled(
            status="rejected",
            reason="other",
            message=GROUP_FAILED.format(failing.stored.id),
        )
        return [
            self._draft(
                edit,
                settled if edit is failing else others,
                is_read_again=is_read_again,
            )
            for edit in self._edits
        ]

    def _failed(self, number: int, steps: Sequence[Step]) -> list[Draft]:
        step = steps[number]
        settled = step.settled
        if isinstance(step.decision, Send):
            # Part of it could be done alone, but not of a group.
            lost = tuple(sorted(self._edits[number].values))
            settled = Settled(status="conflict", lost=lost)
        # What the user may not do was never asked of the source.
        was_asked = step.found is not None
        return self._rejected(number, settled, is_read_again=was_asked)

    def _parked(self, edit: Edit, blocked_by: UUID) -> Draft:
        return Draft(
            device_id=self._device,
            edit=edit,
            settled=Settled(status="parked"),
            blocked_by=blocked_by,
        )

    def _draft(
        self,
        edit: Edit,
        settled: Settled,
        *,
        is_uncertain: bool = False,
        was_sent: bool = False,
        left_version: str | None = None,
        is_read_again: bool = False,
        found: Found | None = None,
    ) -> Draft:
        return Draft(
            device_id=self._device,
            edit=edit,
            settled=settled,
            is_uncertain=is_uncertain,
            was_sent=was_sent,
            left_version=left_version,
            is_read_again=is_read_again and edit.is_of_row and edit.table is not None,
            found=found,
        )

    def _put_off(
        self,
        error: Exception,
        *,
        is_unknown: bool = False,
        counts: bool = True,
    ) -> None:
        attempts = self._edits[0].stored.attempts + 1
        jitter = random.random()  # noqa: S311  spreads attempts, hides nothing
        delay = upload_order.delay_after(attempts, jitter=jitter)
        wanted = getattr(error, "retry_after", None)
        delay = max(delay, wanted) if wanted else delay
        write_backs.put_off(
            self._conn,
            self._device,
            self._sequences,
            epoch=self._run.epoch,
            delay=delay,
            error=str(error),
            is_unknown=is_unknown,
            counts=counts or not self._has_begun,
        )
        self._run.note_wait(delay)
