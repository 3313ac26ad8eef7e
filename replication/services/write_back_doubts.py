"""Find out what became of an attempt whose answer nobody heard.

The marker says it where there is one. Elsewhere the row is read and compared with what
was to be done to it; if that cannot decide, the edit counts as done, says so, and is
never sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from project.errors import TransientError
from replication.domain import writing_back
from replication.domain.writing_back import Send, Settled
from replication.odata.writing import ReadRow, SourceWriter
from replication.services.write_back_decisions import as_server_row
from replication.services.write_back_plan import LINK_OPS, Edit


class Fate(Enum):
    """What became of one edit, as far as its row tells."""

    DONE = "done"
    UNDONE = "undone"
    # The row is neither as before nor as it was to be.
    UNCLEAR = "unclear"


class StillUnderWayError(TransientError):
    """The source may still be at work on the first attempt; nothing guards a second."""

    code = "still_under_way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`is_done` False: nothing was done, and it may be sent again."""

    is_done: bool
    # Of what counts as done: the mutations of which that is not certain.
    uncertain: frozenset[UUID] = field(default_factory=frozenset)


def find_out(
    writer: SourceWriter, edits: Sequence[Edit], *, caller: UUID | None
) -> Answer:
    """Find out what became of the last attempt at a unit.

    :raises SyncError: the source cannot be asked.
    :raises StillUnderWayError: too early to tell.
    """
    marked = next((e for e in edits if e.stored.sent_as.is_marked), None)
    if marked is not None:
        # Whatever was sent is done together with the marker, or not at all.
        return Answer(is_done=writer.has_marker(edits[0].stored.marker_id))
    fates = {
        edit.stored.id: _fate(writer, edit)
        for edit in edits
        if edit.stored.op != "void"
    }
    found = set(fates.values())
    # All or none: one that is clear decides for the others.
    if Fate.DONE in found:
        return Answer(is_done=True, uncertain=_unclear(fates))
    if Fate.UNDONE in found:
        return Answer(is_done=False)
    return Answer(is_done=True, uncertain=_unclear(fates))


def _unclear(fates: dict[UUID, Fate]) -> frozenset[UUID]:
    return frozenset(id_ for id_, fate in fates.items() if fate is Fate.UNCLEAR)


def _fate(writer: SourceWriter, edit: Edit) -> Fate:
    if edit.table is None:
        return Fate.UNDONE
    if edit.stored.op in LINK_OPS:
        # Done twice, it is done once.
        return Fate.UNDONE
    row = writer.read(edit.table, edit.key)
    if edit.stored.op == "create":
        return _fate_of_create(writer, edit, row)
    if row is None:
        # An update may have been made before somebody deleted the row.
        return Fate.DONE if edit.stored.op == "delete" else Fate.UNCLEAR
    return _fate_of_row(writer, edit, row)


def _fate_of_create(writer: SourceWriter, edit: Edit, row: ReadRow | None) -> Fate:
    if row is None:
        # A first attempt that comes late would bring a row back that was deleted since.
        _insist_on_end(writer, edit)
        return Fate.UNDONE
    return Fate.DONE if looks_done(edit, row) else Fate.UNCLEAR


def _fate_of_row(writer: SourceWriter, edit: Edit, row: ReadRow) -> Fate:
    if edit.stored.op == "delete":
        # It would not have come back.
        _insist_on_end(writer, edit)
        return Fate.UNDONE
    if looks_done(edit, row):
        return Fate.DONE
    if _is_as_before(edit, row):
        _insist_on_end(writer, edit)
        return Fate.UNDONE
    return Fate.UNCLEAR


def looks_done(edit: Edit, row: ReadRow | None) -> bool:
    """Whether the row is as the edit would leave it."""
    values = edit.stored.sent_as.values
    intent = writing_back.Intent(
        op=edit.intent.op, values=edit.values if values is None else values
    )
    return writing_back.is_done(intent, as_server_row(row), same=edit.same)


def _is_as_before(edit: Edit, row: ReadRow) -> bool:
    guard = edit.stored.sent_as.if_match
    if guard is not None:
        return guard == row.etag
    base = edit.body.base_values
    return bool(base) and all(
        name in base and edit.same(name, row.values.get(name), base[name])
        for name in edit.values
    )


def _insist_on_end(writer: SourceWriter, edit: Edit) -> None:
    """What nothing guards may be sent again only when the first attempt is over."""
    if edit.stored.sent_as.if_match is not None:
        return
    ago = edit.stored.sent_ago
    if ago is not None and ago < writer.time_limit:
        raise StillUnderWayError(
            "The source may still be at work on it.",
            retry_after=writer.time_limit - ago,
        )


def outcome_of(edit: Edit) -> Settled:
    """What was to be recorded of the attempt, had its answer been heard."""
    attempt = edit.stored.sent_as
    return Send(merged=attempt.merged, lost=attempt.lost).outcome
