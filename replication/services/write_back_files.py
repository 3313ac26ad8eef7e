"""Carry one file of a device to its source, in the order of the device's other edits.

A file cannot share a change set with a marker. What became of an attempt that nobody
heard the end of is told by the file itself: it is fetched and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from project.errors import TransientError
from provisioning import failpoints
from provisioning.services.waiting_files import WaitingFile
from replication.domain import file_edits, upload_order
from replication.domain.file_edits import FileBody
from replication.domain.tables import FileDef
from replication.domain.writing_back import Settled
from replication.odata.files import (
    BLOCK_BYTES,
    FilePlace,
    FileState,
    Parcel,
    SourceFiles,
)
from replication.odata.writing import PreconditionFailedError, WriteRefusedError
from replication.services.write_back_doubts import StillUnderWayError
from replication.services.write_back_plan import Edit, refusal
from replication.services.write_back_run import Draft
from replication.services.write_back_unit import Unit
from replication.staging import registry, write_backs
from replication.staging.write_backs import Attempt
from replication.visibility import member

# How often a row that keeps changing under our hands is decided on anew.
_DECISIONS = 5
# A folder that is not shared may be mended; a file that is lost never comes back.
_LOST_AFTER = timedelta(hours=1)

_LOST = "The service no longer has the file."
_NO_FILE = "{} is no column with a file that may be written."


class FileMissingError(TransientError):
    """The file is not in the folder; perhaps web and worker do not share it."""

    code = "file_missing"


class FileUnit(Unit):
    """A file, sent once, and what became of it."""

    def _found_out(self) -> list[Draft] | None:
        self._is_repeated = True
        edit, body = self._edits[0], self._body()
        place = self._place(edit, body)
        if place is None:
            return None
        files = self._writer.files()
        state = files.look(place)
        before = (edit.stored.sent_as.values or {}).get(body.column)
        failpoints.reach("upload.found_out")
        if state is not None and state.version != before:
            is_ours = _digest(files, place, size=body.size) == body.sha256
            return [self._done(edit, is_uncertain=not is_ours)]
        self._insist_on_end(edit)
        if edit.stored.attempts >= upload_order.HOPELESS_AFTER:
            message = f"The source failed {edit.stored.attempts} times at this file."
            return [self._no("other", message)]
        return None

    def _insist_on_end(self, edit: Edit) -> None:
        """The last block of an earlier attempt may still be on its way."""
        ago = edit.stored.sent_ago
        if ago is not None and ago < self._writer.time_limit:
            raise StillUnderWayError(
                "The source may still be at work on it.",
                retry_after=self._writer.time_limit - ago,
            )

    def _send(self) -> list[Draft]:
        edit, body = self._edits[0], self._body()
        place = self._place(edit, body)
        refused = self._refusal(edit, body, place)
        if refused is not None:
            return [self._settled(edit, refused)]
        assert place is not None
        for _ in range(_DECISIONS):
            drafts = self._try(place, body)
            if drafts is not None:
                return drafts
        raise TransientError("The row changed each time its file was to be written.")

    def _try(self, place: FilePlace, body: FileBody) -> list[Draft] | None:
        """Decide and send; None: the row has changed meanwhile."""
        edit, files = self._edits[0], self._writer.files()
        state = files.look(place)
        if state is None:
            return [self._no("not_found", "The row is gone.")]
        if not self._is_as_seen(state, body):
            lost = Settled(status="conflict", lost=(body.column,))
            return [self._settled(edit, lost, is_read_again=True)]
        try:
            return self._attempt_file(files, place, state)
        except PreconditionFailedError:
            return None
        except WriteRefusedError as error:
            return [self._no(error.reason, str(error))]

    def _attempt_file(
        self, files: SourceFiles, place: FilePlace, state: FileState
    ) -> list[Draft] | None:
        edit, body = self._edits[0], self._body()
        try:
            content = self._waiting(edit, body).open()
        except FileNotFoundError:
            return self._missing(edit)
        with content:
            self.is_marked = False
            attempt = Attempt(if_match=state.etag, values={body.column: state.version})
            if not self._begun(edit, attempt):
                return []
            failpoints.reach("upload.begun")
            parcel = Parcel(
                content=content,
                size=body.size,
                name=body.name or body.column,
                caller=self._caller,
                if_match=state.etag,
            )
            files.send(place, parcel)
            failpoints.reach("upload.sent")
        return [self._done(edit)]

    def _begun(self, edit: Edit, attempt: Attempt) -> bool:
        """Write the attempt down; False if an operator has discarded the edit."""
        begun = write_backs.begin_attempt(
            self._conn,
            self._device,
            {edit.stored.sequence: attempt},
            epoch=self._run.epoch,
            tables=[str(edit.stored.table)],
        )
        self._has_begun = True
        return begun is not None

    def _missing(self, edit: Edit) -> list[Draft]:
        if timezone.now() - edit.stored.accepted_at < _LOST_AFTER:
            raise FileMissingError("The file is not in the folder for files.")
        return [self._no("other", _LOST)]

    def _refusal(
        self, edit: Edit, body: FileBody, place: FilePlace | None
    ) -> Settled | None:
        """Why the user may not write this file now; None if he may."""
        rights = self._known.people[edit.stored.user_id]
        own = self._known.versions.get(edit.stored.row) if edit.stored.row else None
        refused = refusal(edit, rights, own=own)
        if refused is not None:
            return refused
        is_open = place is not None and self._may_write(edit, place.file)
        if is_open:
            return None
        return Settled(
            status="rejected",
            reason="not_writable",
            message=_NO_FILE.format(body.column),
        )

    def _may_write(self, edit: Edit, file: FileDef) -> bool:
        if not file.updatable or not file.secured:
            return file.updatable
        replicated = [known.definition.name for known in registry.tables(self._conn)]
        who = member.member_of(self._conn, edit.stored.user_id, replicated=replicated)
        granted = member.granted_columns(
            self._conn, who, replicated=replicated, right="canupdate"
        )
        return (str(edit.stored.table).lower(), file.name.lower()) in granted

    def _is_as_seen(self, state: FileState, body: FileBody) -> bool:
        """Whether the file is the one that the user saw, or may be written over."""
        edit = self._edits[0]
        table = self._known.people[edit.stored.user_id].table(edit.stored.table)
        if body.if_match in (None, "*", state.version) or edit.stored.is_forced:
            return True
        if table is not None and table.conflicts == "client_wins":
            return True
        own = self._known.versions.get(edit.stored.row) if edit.stored.row else None
        return own is not None and own[0] == state.row_version

    def _place(self, edit: Edit, body: FileBody) -> FilePlace | None:
        file = edit.table.file(body.column) if edit.table else None
        if edit.table is None or file is None:
            return None
        return FilePlace(table=edit.table, key=edit.key, file=file)

    def _body(self) -> FileBody:
        body = file_edits.body_of(self._edits[0].stored.body)
        assert body is not None
        return body

    def _waiting(self, edit: Edit, body: FileBody) -> WaitingFile:
        return waiting_file(self._run.organization_id, self._device, edit, body)

    def _done(self, edit: Edit, *, is_uncertain: bool = False) -> Draft:
        return self._settled(
            edit,
            Settled(status="applied"),
            is_uncertain=is_uncertain,
            was_sent=True,
            is_read_again=True,
        )

    def _no(self, reason: str, message: str) -> Draft:
        settled = Settled(status="rejected", reason=reason, message=message)
        return self._settled(self._edits[0], settled, is_read_again=True)

    def _settled(
        self,
        edit: Edit,
        settled: Settled,
        *,
        is_uncertain: bool = False,
        was_sent: bool = False,
        is_read_again: bool = False,
    ) -> Draft:
        return Draft(
            device_id=self._device,
            edit=edit,
            settled=settled,
            is_uncertain=is_uncertain,
            was_sent=was_sent,
            is_read_again=is_read_again and edit.table is not None,
        )


def waiting_file(
    organization_id: UUID, device_id: UUID, edit: Edit, body: FileBody
) -> WaitingFile:
    stored = edit.stored
    sent = body.edit(id_=stored.id, sequence=stored.sequence)
    return WaitingFile(
        organization_id=organization_id,
        device_id=device_id,
        mutation_id=stored.id,
        label=sent.label,
    )


def forget_done(organization_id: UUID, drafts: Iterable[Draft]) -> None:
    """Remove files that have arrived. Those of failed edits stay for a while, because
    an operator may have them tried again."""
    for draft in drafts:
        if draft.edit.stored.op != "file" or draft.has_failed:
            continue
        body = file_edits.body_of(draft.edit.stored.body)
        if body is not None:
            waiting_file(organization_id, draft.device_id, draft.edit, body).remove()


def _digest(files: SourceFiles, place: FilePlace, *, size: int) -> str | None:
    """SHA-256 of the file as the source has it; None if it has another size."""
    reader, found = files.reader(place), hashlib.sha256()
    at = 0
    while True:
        block = reader.block(at, BLOCK_BYTES)
        if block is None or block.size != size:
            return None
        found.update(block.content)
        at += len(block.content)
        if at >= size or not block.content:
            return found.hexdigest()
