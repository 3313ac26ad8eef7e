"""Writes rows of one source: an edit alone, or several that are done all or none.

Who is impersonated is said on the whole request. Dataverse passes over such a header
of a single part of a batch, without a word, and would carry the part out with our own
rights. So a marker is written in the user's name too, and reading back, which has to
see every column, is a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from project.errors import SyncError
from replication.domain.tables import TableDef
from replication.odata import batch, markers, preferences
from replication.odata.answers import Reply, check, error_in, failure_of
from replication.odata.errors import MalformedAnswerError, UnknownOutcomeError
from replication.odata.files import SourceFiles
from replication.odata.literals import escaped
from replication.odata.reading_back import row_of, whole_row_of
from replication.odata.transport import WritingTransport
from replication.odata.ways import Memory
from replication.odata.wire_values import UnfitValueError, key_segment
from replication.odata.write_errors import (
    EditFailedError,
    MarkerExistsError,
    MarkerRefusedError,
    MarkersGoneError,
    PreconditionFailedError,
    Reason,
    WriteRefusedError,
    failure_of_write,
)
from replication.odata.write_requests import Composer, References, WireRequest
from replication.odata.writes import Marker, Op, ReadRow, Sent, Write

# The body of one request; Dataverse and most services take a few times as much.
_LARGEST_BODY = 32 * 1024 * 1024

# How long it is believed that there is no marker table, or that a user may not mark.
_DOUBT_SECONDS = 300.0

# What refusals say of names that metadata may have changed since it was read.
_STALE = re.compile(
    r"undeclared property|invalid property|property named|segment", re.I
)


class SourceWriter:
    """Writes to one source; made by `ODataSource.writer()`. Threads may share it."""

    def __init__(
        self,
        transport: WritingTransport,
        *,
        base: str,
        is_dataverse: bool,
        references: References,
        memory: Memory,
    ) -> None:
        self._transport = transport
        self._base = base
        self._is_dataverse = is_dataverse
        self._references = references
        self._memory = memory
        self._composer = Composer(
            base=base, is_dataverse=is_dataverse, references=references
        )

    @property
    def time_limit(self) -> timedelta:
        """After so long the source is no longer at work on a request of ours."""
        return self._transport.time_limit

    @property
    def impersonates(self) -> bool:
        """Whether writes are made in the name of a user of the source."""
        return self._is_dataverse

    def may_mark(self, *, caller: UUID | None) -> bool:
        """Whether writes of this user can carry a marker: the source has the marker
        table, and did not refuse this user its rows lately. Asks the source at most
        every few minutes.

        :raises SyncError: the source cannot be asked.
        """
        if self.marker_set() is None:
            return False
        return not self._memory.knows("unmarked", str(caller), seconds=_DOUBT_SECONDS)

    def send(
        self,
        writes: Sequence[Write],
        *,
        caller: UUID | None,
        marker: Marker | None = None,
    ) -> list[Sent]:
        """Carry out the writes, all or none, by one request.

        `caller` is the Entra object id of the user in whose name it is done; other
        services than Dataverse know nothing of it. More than one write, or a marker,
        make a change set. To repeat an associate or disassociate does no harm.

        :raises WriteRefusedError: nothing was written; `index` names the write at
            fault, `reason` is that of PROTOCOL §7. Some are refused before anything
            is sent: a column that cannot be written, a value of another type.
        :raises PreconditionFailedError: nothing was written; the row at `index` has
            another ETag than `if_match`.
        :raises MarkerRefusedError: nothing was written; the user may not create
            markers, and `may_mark` says no for a while.
        :raises MarkerExistsError: nothing was written; an earlier try succeeded.
        :raises UnknownOutcomeError: sent, and nobody knows what became of it.
        :raises TransientError: any other says that nothing was written; try later.
        :raises MisconfiguredError: nothing was written; an operator has to act.
        """
        requests = self._requests(writes)
        try:
            return self._sent(writes, requests, caller=caller, marker=marker)
        except WriteRefusedError as error:
            if not _STALE.search(error.detail) or not self._memory.forget():
                raise
            renewed = self._requests(writes)
            if renewed == requests:
                raise
            return self._sent(writes, renewed, caller=caller, marker=marker)

    def has_marker(self, marker_id: UUID) -> bool:
        """Whether the marker is there, that is: whether its writes were done.

        :raises MarkersGoneError: there is no marker table, so nobody can know.
        :raises SyncError: the source cannot be asked.
        """
        entity_set = self.marker_set()
        if entity_set is None:
            raise MarkersGoneError("The source has no marker table any more.")
        address = f"{self._base}/{entity_set}({marker_id})?$select={markers.KEY}"
        reply = self._transport.get(address, headers={})
        if reply.status == HTTPStatus.NOT_FOUND and not _is_no_place(reply):
            return False
        check(reply, content_type="json")
        return True

    def read(self, table: TableDef, key: tuple[Any, ...]) -> ReadRow | None:
        """Return a row as it is now, read by the application user; None when there is
        none.

        :raises SyncError: the source cannot be asked, or staging cannot hold the row.
        """
        try:
            address = f"{quote(table.entity_set)}{key_segment(table, key)}"
        except UnfitValueError:
            # No row can have such a key.
            return None
        reply = self._transport.get(
            f"{self._base}/{address}{_selection(table)}",
            headers=preferences.of_row(table),
        )
        if reply.status == HTTPStatus.NOT_FOUND and not _is_no_place(reply):
            return None
        if reply.status in {HTTPStatus.NO_CONTENT, HTTPStatus.GONE}:
            return None
        check(reply, content_type="json")
        return row_of(table, reply)

    def other_table(self, table: TableDef, relationship: str) -> str | None:
        """Return to which table a relationship leads, None when there is none.

        :raises SyncError: the source cannot be asked.
        """
        link = self._references.link(table.name, relationship)
        return None if link is None else link.other.name

    def files(self) -> SourceFiles:
        """Return what fetches and sends files, where the source has any."""
        return SourceFiles(self._transport, base=self._base)

    def post(self, path: str, body: bytes) -> None:
        """Send a document to a place below the root, with our own rights.

        :raises SyncError: it was not taken, or nobody knows.
        """
        reply = self._transport.send(
            "POST",
            f"{self._base}/{path}",
            headers={"Content-Type": "application/json"},
            body=body,
        )
        if reply.status not in _DONE:
            raise failure_of(reply)

    def marker_set(self) -> str | None:
        """Return the entity set of the marker table, None when there is none.

        :raises SyncError: the source cannot be asked.
        """
        if not self._is_dataverse:
            return None
        if self._memory.knows("no markers", "", seconds=_DOUBT_SECONDS):
            return None
        found = self._references.target(markers.TABLE)
        if found is None:
            self._memory.note("no markers", "")
            self._memory.drop("target", markers.TABLE)
            return None
        return found.entity_set

    def _requests(self, writes: Sequence[Write]) -> list[WireRequest]:
        requests = [
            self._composer.request(write, index=index)
            for index, write in enumerate(writes)
        ]
        size = 0
        for index, request in enumerate(requests):
            size += len(request.body)
            if size > _LARGEST_BODY or index + 1 == batch.MOST_REQUESTS:
                raise WriteRefusedError(
                    "The edit is too large.", reason="too_large", index=index
                )
        return requests

    def _sent(
        self,
        writes: Sequence[Write],
        requests: Sequence[WireRequest],
        *,
        caller: UUID | None,
        marker: Marker | None,
    ) -> list[Sent]:
        if len(writes) == 1 and marker is None:
            return [self._send_alone(writes[0], requests[0], caller=caller)]
        if not self._is_dataverse:
            raise WriteRefusedError(
                "The source cannot do several edits together.", reason="other"
            )
        self._send_together(writes, requests, caller=caller, marker=marker)
        return [Sent() for _ in writes]

    def _send_alone(
        self, write: Write, request: WireRequest, *, caller: UUID | None
    ) -> Sent:
        wants_row = not self._is_dataverse and write.op in {"create", "update"}
        wish = {"Prefer": "return=representation"} if wants_row else {}
        reply = self._transport.send(
            request.method,
            f"{self._base}/{request.path}",
            headers={**request.headers, **wish, **self._in_name_of(caller)},
            body=request.body,
        )
        if reply.status not in _DONE:
            failure = failure_of_write(reply, write)
            if _is_done_already(write, failure):
                return Sent()
            raise failure
        is_row = wants_row and reply.status != HTTPStatus.NO_CONTENT and reply.body
        return Sent(row=whole_row_of(write.table, reply) if is_row else None)

    def _send_together(
        self,
        writes: Sequence[Write],
        requests: Sequence[WireRequest],
        *,
        caller: UUID | None,
        marker: Marker | None,
    ) -> None:
        # The marker comes first: of an edit that was done already, it says so before
        # the edit itself is found to exist.
        ahead = [] if marker is None else [self._marking(marker)]
        content_type, body = batch.change_set(
            [*ahead, *requests], root=urlsplit(self._base).path
        )
        reply = self._transport.send(
            "POST",
            f"{self._base}/$batch",
            headers={"Content-Type": content_type, **self._in_name_of(caller)},
            body=body,
        )
        try:
            parts = _answers(reply, len(ahead) + len(requests), writes[0])
        except MalformedAnswerError as error:
            raise UnknownOutcomeError(error) from error
        failed = next((part for part in parts if part.reply.status not in _DONE), None)
        if failed is None:
            return
        place = (failed.number or len(ahead) + 1) - 1 - len(ahead)
        if marker is not None and (place < 0 or _is_of_marker(failed)):
            raise self._marker_failure(failed.reply, writes[0], caller=caller)
        index = min(max(place, 0), len(writes) - 1)
        failure = failure_of_write(
            failed.reply, writes[index], index=index, in_change_set=True
        )
        if len(writes) > 1 or not _is_done_already(writes[0], failure):
            raise failure

    def _marking(self, marker: Marker) -> WireRequest:
        entity_set = self.marker_set()
        if entity_set is None:
            raise MarkerRefusedError("The source has no marker table.")
        return markers.request(marker, entity_set=entity_set)

    def _marker_failure(
        self, reply: Reply, write: Write, *, caller: UUID | None
    ) -> SyncError:
        failure = failure_of_write(reply, write, in_change_set=True)
        if isinstance(failure, PreconditionFailedError):
            return MarkerExistsError("The edit has been made already.")
        if not isinstance(failure, WriteRefusedError):
            return failure
        _, message = error_in(reply)
        if failure.reason == "exists" or reply.status == HTTPStatus.PRECONDITION_FAILED:
            return MarkerExistsError("The edit has been made already.")
        if failure.reason == "not_permitted" and markers.TABLE not in message.lower():
            # Who may not act at all may not write the edit either.
            return failure
        self._memory.note("unmarked", str(caller))
        self._memory.drop("target", markers.TABLE)
        return MarkerRefusedError(failure.detail)

    def _in_name_of(self, caller: UUID | None) -> Mapping[str, str]:
        if caller is None or not self._is_dataverse:
            return {}
        return {"CallerObjectId": str(caller)}


_DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})


def _answers(reply: Reply, asked: int, write: Write) -> list[batch.PartReply]:
    """Return the answers to a change set, those to all requests or to one that failed.

    :raises MalformedAnswerError: it is neither.
    :raises SyncError: the batch as a whole was refused.
    """
    if not batch.is_multipart(reply):
        if reply.status < HTTPStatus.MULTIPLE_CHOICES:
            raise MalformedAnswerError("The batch was answered by something else.")
        raise failure_of_write(reply, write)
    parts = batch.part_replies(reply)
    if any(part.reply.status >= HTTPStatus.BAD_REQUEST for part in parts):
        return parts
    if len(parts) != asked or any(part.reply.status not in _DONE for part in parts):
        raise MalformedAnswerError("The batch was not answered in all its parts.")
    return parts


def _is_of_marker(part: batch.PartReply) -> bool:
    _, message = error_in(part.reply)
    return part.number is None and markers.TABLE in message.lower()


def _is_done_already(write: Write, failure: SyncError) -> bool:
    """Whether two rows are associated, or apart, as the write wants them."""
    if not isinstance(failure, WriteRefusedError):
        return False
    if write.op == "associate":
        return failure.reason == "exists"
    return write.op == "disassociate" and failure.reason in {"not_found", "invalid"}


def _is_no_place(reply: Reply) -> bool:
    """Whether it is the table that is unknown, and not the row."""
    _, message = error_in(reply)
    return "segment" in message.lower()


def _selection(table: TableDef) -> str:
    if table.whole_rows:
        return ""
    names = dict.fromkeys(column.source_name for column in table.columns)
    return f"?$select={escaped(','.join(names))}"


__all__ = [
    "EditFailedError",
    "Marker",
    "MarkerExistsError",
    "MarkerRefusedError",
    "MarkersGoneError",
    "Op",
    "PreconditionFailedError",
    "ReadRow",
    "Reason",
    "Sent",
    "SourceWriter",
    "UnknownOutcomeError",
    "Write",
    "WriteRefusedError",
]
