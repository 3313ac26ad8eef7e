"""Says what a refused write means: for the device's queue, and in words for its user.

Status comes first, then the code, then the message: codes are not tied to statuses,
and many answers have none (SOURCE §3.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from project.errors import MisconfiguredError, RejectedError, SyncError
from replication.odata.answers import (
    Reply,
    described,
    error_in,
    failure_of,
    retry_after,
    safe_text,
)
from replication.odata.errors import (
    ImpersonationRefusedError,
    SourceTimeoutError,
    SourceUnavailableError,
    UnknownOutcomeError,
)
from replication.odata.writes import Write

# PROTOCOL §7.
Reason = Literal[
    "not_found",
    "exists",
    "not_permitted",
    "not_writable",
    "invalid",
    "too_large",
    "other",
]

# What an outcome's message may be long; texts of plug-ins are for users.
_MESSAGE_LENGTH = 300

_VERSION_MISMATCH = frozenset({"0x80060882", "-2147088254"})
_DUPLICATES: frozenset[str] = frozenset(
    {
        "0x80040237",
        "-2147220937",
        "0x80060892",
        "-2147088238",
        "0x80040333",
        "-2147220685",
    }
)
_PLUG_IN = frozenset({"0x80040265", "-2147220891"})
_TOO_LONG = frozenset({"0x80044331", "-2147204303"})
_ON_BEHALF = "prvactonbehalfofanotheruser"
_COLUMN_RIGHTS = re.compile(r"Attribute(Permission|Privilege)|field[- ]level security")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)

# Answers that may have been given before, or after, the work was done.
_UNDECIDED = frozenset({HTTPStatus.REQUEST_TIMEOUT})


class WriteRefusedError(RejectedError):
    """The source, or we in its stead, refused a write for good; nothing was written."""

    code = "write_refused"

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        index: int = 0,
        column: str | None = None,
        detail: str = "",
    ) -> None:
        # The message is fit for the user who made the edit.
        super().__init__(message)
        self.reason = reason
        # Which of the writes was refused.
        self.index = index
        # The staging column at fault, as far as it is known.
        self.column = column
        # What the source said, for operators; empty when it was not asked.
        self.detail = detail


class EditFailedError(SourceUnavailableError):
    """The source broke down at one write, and said so; nothing was written."""

    code = "edit_failed"


class PreconditionFailedError(RejectedError):
    """The row is not the one that the write expects; nothing was written."""

    code = "precondition_failed"

    def __init__(self, message: str, *, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class MarkerRefusedError(RejectedError):
    """The user may not create rows of the marker table; nothing was written."""

    code = "marker_refused"


class MarkersGoneError(MisconfiguredError):
    """The marker table is no longer there, so nobody can tell what was made."""

    code = "markers_gone"


class MarkerExistsError(RejectedError):
    """The marker is there already, so its edits are; nothing was written again."""

    code = "marker_exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """A refusal as it came."""

    write: Write
    index: int
    status: int
    source_code: str
    message: str
    # For operators.
    detail: str

    def as_error(self, reason: Reason, message: str) -> WriteRefusedError:
        return WriteRefusedError(
            message, reason=reason, index=self.index, detail=self.detail
        )


def failure_of_write(
    reply: Reply, write: Write, *, index: int = 0, in_change_set: bool = False
) -> SyncError:
    """Return what a reply with a status of failure means for a write.

    A change set that was answered was undone, so that it may be sent again whatever
    went wrong. After any other failure of the server nobody knows.
    """
    source_code, message = error_in(reply)
    refusal = _Refusal(
        write=write,
        index=index,
        status=reply.status,
        source_code=source_code.lower(),
        message=message,
        detail=described(reply, source_code, message),
    )
    known = _by_code(refusal)
    if known is not None:
        return known
    if reply.status < HTTPStatus.BAD_REQUEST:
        return UnknownOutcomeError(failure_of(reply))
    if reply.status in _UNDECIDED or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failed(reply, refusal, in_change_set=in_change_set)
    return _by_status(reply, refusal)


def _failed(reply: Reply, refusal: _Refusal, *, in_change_set: bool) -> SyncError:
    if reply.status == HTTPStatus.NOT_IMPLEMENTED:
        return refusal.as_error("not_writable", "The source does not support this.")
    pause = retry_after(reply.headers, now=datetime.now(UTC))
    is_late = reply.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}
    kind = SourceTimeoutError if is_late else SourceUnavailableError
    if in_change_set and reply.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        # The rest of the source answers: it is the edit that it cannot bear.
        kind = EditFailedError
    failure = kind(refusal.detail, retry_after=pause)
    return failure if in_change_set else UnknownOutcomeError(failure)


def _by_code(refusal: _Refusal) -> SyncError | None:
    """Codes that mean the same with any status."""
    source_code, write = refusal.source_code, refusal.write
    if source_code in _VERSION_MISMATCH:
        return PreconditionFailedError("The row has changed.", index=refusal.index)
    if source_code in _DUPLICATES and refusal.status >= HTTPStatus.BAD_REQUEST:
        words = _words(refusal, "There is such a row already.")
        if write.op != "create" and refusal.status == HTTPStatus.PRECONDITION_FAILED:
            # Another row has the key that this one was to get.
            return refusal.as_error("invalid", words)
        return refusal.as_error("exists", words)
    if source_code in _PLUG_IN:
        return refusal.as_error("other", _words(refusal, "The source refused this."))
    if source_code in _TOO_LONG:
        return refusal.as_error("too_large", _words(refusal, "A value is too long."))
    return None


def _by_status(reply: Reply, refusal: _Refusal) -> SyncError:
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.TOO_MANY_REQUESTS:
            return failure_of(reply)
        case HTTPStatus.FORBIDDEN:
            return _forbidden(refusal)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return _missing(refusal)
        case HTTPStatus.PRECONDITION_FAILED | HTTPStatus.PRECONDITION_REQUIRED:
            return _unmet(refusal)
        case _:
            reason, words = _meaning(reply.status, refusal.write)
            return refusal.as_error(reason, _words(refusal, words))


def _meaning(status: int, write: Write) -> tuple[Reason, str]:
    match status:
        case HTTPStatus.METHOD_NOT_ALLOWED:
            # Rows that others need cannot be deleted; else the table is closed.
            closed: Reason = "other" if write.op == "delete" else "not_writable"
            return closed, "The source does not support this."
        case HTTPStatus.CONFLICT:
            clash: Reason = "exists" if write.op == "create" else "other"
            return clash, "The row conflicts with another."
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.REQUEST_URI_TOO_LONG:
            return "too_large", "The edit is too large."
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            return "invalid", "A value is invalid."
        case _:
            return "other", "The source refused this."


def _forbidden(refusal: _Refusal) -> SyncError:
    if _ON_BEHALF in refusal.message.lower():
        return ImpersonationRefusedError(refusal.detail)
    if _COLUMN_RIGHTS.search(refusal.message):
        # The texts of rights name internals, so users get words of our own.
        return refusal.as_error("not_writable", "You may not write one of the columns.")
    return refusal.as_error("not_permitted", "You do not have the right to do this.")


def _missing(refusal: _Refusal) -> SyncError:
    """The row itself is gone, or one that the edit refers to."""
    named = _GUID.search(refusal.message)
    own = {str(part).lower() for part in refusal.write.key}
    is_create = refusal.write.op == "create"
    if is_create or (named is not None and named[0].lower() not in own):
        return refusal.as_error("invalid", "A row that this one refers to is gone.")
    if "segment" in refusal.message.lower():
        return refusal.as_error("invalid", "The source does not know what was written.")
    return refusal.as_error("not_found", "The row is gone.")


def _unmet(refusal: _Refusal) -> SyncError:
    if refusal.write.op == "create":
        return refusal.as_error("exists", "There is such a row already.")
    return PreconditionFailedError("The row has changed.", index=refusal.index)


def _words(refusal: _Refusal, otherwise: str) -> str:
    """Return the source's own words, which for these refusals are meant for users."""
    return safe_text(refusal.message)[:_MESSAGE_LENGTH] or otherwise


__all__ = [
    "EditFailedError",
    "MarkerExistsError",
    "MarkerRefusedError",
    "MarkersGoneError",
    "PreconditionFailedError",
    "Reason",
    "UnknownOutcomeError",
    "WriteRefusedError",
    "failure_of_write",
]
