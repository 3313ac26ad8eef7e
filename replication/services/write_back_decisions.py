"""What an edit is to do now, by the user's rights and the source's row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import psycopg

from replication.domain import writing_back
from replication.domain.upload_order import Failed
from replication.domain.writing_back import Decision, Send, ServerRow, Settled
from replication.odata.writing import ReadRow, SourceWriter, Write
from replication.services.write_back_links import refusal_of_other
from replication.services.write_back_plan import LINK_OPS, VOID, Edit, refusal
from replication.services.write_back_run import Found
from replication.staging import write_backs
from replication.staging.write_backs import Attempt
from replication.visibility.writable import Writable


class Known(Protocol):
    """What was read of staging for these edits."""

    people: Mapping[UUID, Writable]
    failed: list[Failed]
    versions: dict[tuple[str, str], tuple[str, UUID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is decided of one edit, and by which row if the source was asked."""

    edit: Edit
    decision: Decision
    if_match: str | None = None
    found: Found | None = None

    @property
    def write(self) -> Write:
        values = self.decision.values if isinstance(self.decision, Send) else None
        return self.edit.write(values=values, if_match=self.if_match)

    @property
    def settled(self) -> Settled:
        """The outcome, once what is to be sent was done."""
        if isinstance(self.decision, Send):
            return self.decision.outcome
        return self.decision


class Decider:
    """Decides on the edits of one unit; rows are read only where that is needed.

    Where a row's ETag follows from its version, the version that the device saw is
    sent as the guard, and the source itself says whether the row is still so.
    """

    def __init__(
        self, writer: SourceWriter, known: Known, conn: psycopg.Connection
    ) -> None:
        self._writer = writer
        self._known = known
        self._conn = conn
        self._found: dict[UUID, Found] = {}

    def look_again(self, edit: Edit) -> None:
        """The row is another one than was thought: read it."""
        self._found[edit.stored.id] = read(self._writer, self._conn, edit)

    def step(self, edit: Edit) -> Step:
        """:raises SyncError: the source cannot be asked."""
        if edit.stored.op == "void":
            return Step(edit=edit, decision=VOID)
        rights = self._known.people[edit.stored.user_id]
        own = self._known.versions.get(edit.stored.row) if edit.stored.row else None
        refused = refusal(edit, rights, own=own)
        if refused is not None:
            return self._refused(edit, rights, refused)
        if edit.stored.op in LINK_OPS:
            alone = refusal_of_other(
                self._writer, self._conn, edit, self._known.versions
            )
            return Step(edit=edit, decision=alone or Send())
        if edit.stored.op == "create":
            return Step(edit=edit, decision=Send(values=edit.values))
        own_version = own[0] if own else None
        if edit.stored.id not in self._found:
            current = self._believed(edit, rights, own_version)
            if current is not None and writing_back.is_as_seen(
                current, edit.intent.base_version, own_version=own_version
            ):
                decision = Send(values=edit.values)
                # Dataverse makes its ETags from versions.
                return Step(edit=edit, decision=decision, if_match=f'W/"{current}"')
            self.look_again(edit)
        return self._decided(edit, rights, own_version)

    def _refused(self, edit: Edit, rights: Writable, refused: Settled) -> Step:
        """A row that is gone has been deleted, whoever asks for it."""
        is_gone = (
            edit.stored.op == "delete"
            and refused.reason == "not_found"
            and edit.stored.row is not None
            and rights.row(edit.stored.row).version is None
        )
        if is_gone:
            self.look_again(edit)
            if self._found[edit.stored.id].row is None:
                return Step(edit=edit, decision=Settled(status="applied"))
        return Step(edit=edit, decision=refused)

    def _believed(
        self, edit: Edit, rights: Writable, own_version: str | None
    ) -> str | None:
        """The row's version, as far as is known here, if an ETag can be made of it."""
        if edit.table is None or edit.table.version_column is None:
            return None
        assert edit.stored.row is not None
        staged = rights.row(edit.stored.row).version
        versions = [version for version in (staged, own_version) if version]
        return max(versions, key=int) if versions else None

    def _decided(self, edit: Edit, rights: Writable, own_version: str | None) -> Step:
        found = self._found[edit.stored.id]
        table = rights.table(edit.stored.table)
        assert table is not None
        decision = writing_back.decide(
            edit.intent,
            as_server_row(found.row),
            policy="client_wins" if edit.stored.is_forced else table.conflicts,
            own_version=own_version,
            same=edit.same,
        )
        etag = found.row.etag if found.row else None
        return Step(edit=edit, decision=decision, if_match=etag, found=found)


def read(writer: SourceWriter, conn: psycopg.Connection, edit: Edit) -> Found:
    """Read the edit's row as the application user.

    :raises SyncError: the source cannot be asked.
    """
    assert edit.table is not None
    pages = write_backs.last_pages(conn, [edit.table.name])
    return Found(row=writer.read(edit.table, edit.key), pages=pages)


def as_server_row(row: ReadRow | None) -> ServerRow | None:
    return None if row is None else ServerRow(version=row.version, values=row.values)


def first_failure(steps: Sequence[Step]) -> int | None:
    """The first edit of a unit that will not be done; of a group, also if only a part
    of it would be."""
    for number, step in enumerate(steps):
        is_partly_done = isinstance(step.decision, Send) and len(steps) == 1
        if step.settled.status != "applied" and not is_partly_done:
            return number
    return None


def attempt_of(step: Step, *, is_marked: bool) -> Attempt:
    decision = step.decision
    if not isinstance(decision, Send):
        return Attempt(is_marked=is_marked)
    return Attempt(
        if_match=step.write.if_match,
        values=dict(step.write.values) if decision.merged else None,
        merged=decision.merged,
        lost=decision.lost,
        is_marked=is_marked,
    )
