"""Turn failures into problem+json answers (PROTOCOL §1), in one place."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from django.http import HttpResponse

from project.errors import MisconfiguredError, RejectedError, SyncError, TransientError

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
DEFAULT_RETRY_SECONDS = 5

# code -> (status, title). Nothing else in the apps mentions an error's status.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request breaks the protocol."),
    "unauthenticated": (401, "A valid access token is needed."),
    "forbidden": (403, "This is for operators."),
    "offline_not_allowed": (403, "This user may not go offline now."),
    "device_revoked": (403, "The operator revoked this device."),
    "unknown_organization": (404, "There is no such organization."),
    "unknown_device": (404, "There is no such device."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address does not take that method."),
    "model_changed": (409, "The client model is newer than the one named."),
    "reused": (409, "The same id came with another body."),
    "rejected": (409, "The request cannot be carried out as things are."),
    "resync_required": (410, "Start again without a checkpoint."),
    "precondition_failed": (412, "The file is another one than the one named."),
    "too_large": (413, "The request is too large."),
    "range_not_satisfiable": (416, "The file has no such bytes."),
    "organization_elsewhere": (421, "Another endpoint serves this organization."),
    "throttled": (429, "Too many requests; wait."),
    "internal": (500, "Something went wrong on our side."),
    "not_ready": (503, "The organization is not ready yet; wait."),
    "unavailable": (503, "The service is not available now; wait."),
}

# What failures that carry no code of ours are called, by status.
_CODE_OF_STATUS = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "throttled",
    503: "unavailable",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as plain values: what a view of any framework needs to answer."""

    code: str
    detail: str = ""
    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return PROBLEMS[self.code][0]

    def body(self) -> bytes:
        status, title = PROBLEMS[self.code]
        document: dict[str, object] = {
            "type": f"urn:waystation:problem:{self.code}",
            "title": title,
            "status": status,
            "code": self.code,
            # What went wrong inside is for the log, not for the caller.
            "detail": title if status >= 500 else (self.detail or title),
        }
        return msgspec.json.encode(document | dict(self.members))


class MethodNotAllowedError(RejectedError):
    """The address exists but does not take this method."""

    code = "method_not_allowed"

    def __init__(self, *allowed: str) -> None:
        super().__init__(f"This address takes {', '.join(allowed)}.")
        self.allowed = allowed


def problem_of(error: SyncError) -> Problem:
    """Say what the caller learns of an anticipated failure."""
    code = _code_of(error)
    return Problem(
        code=code,
        detail=str(error),
        members=_members_of(error),
        headers=_headers_of(error, code=code),
    )


def problem_of_status(status: int) -> Problem:
    """Say what the caller learns of a failure that only has a status."""
    fallback = "internal" if status >= 500 else "malformed"
    return Problem(code=_CODE_OF_STATUS.get(status, fallback))


def answer(problem: Problem) -> HttpResponse:
    response = HttpResponse(
        problem.body(),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=dict(problem.headers),
    )
    response.headers["Cache-Control"] = "no-store"
    # Whoever caught the failure logged what there was to log: Django must not do
    # it again for the status.
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
    return response


def answer_error(error: SyncError) -> HttpResponse:
    return answer(problem_of(error))


def log_refusal(error: SyncError, *, request_id: str) -> None:
    """Log what the caller is not told: why the service could not answer."""
    problem = problem_of(error)
    if problem.status < 500:
        return
    is_for_operators = isinstance(error, MisconfiguredError)
    logger.log(
        logging.ERROR if is_for_operators else logging.WARNING,
        "A request was put off",
        extra={"request_id": request_id, "code": error.code, "reason": str(error)},
    )


def _code_of(error: SyncError) -> str:
    if error.code in PROBLEMS:
        return error.code
    if isinstance(error, TransientError | MisconfiguredError):
        return "unavailable"
    return "malformed" if getattr(error, "errors", None) else "rejected"


def _members_of(error: SyncError) -> dict[str, object]:
    members: dict[str, object] = {}
    if errors := getattr(error, "errors", None):
        members["errors"] = list(errors)
    if getattr(error, "wipe", False):
        members["wipe"] = True
    return members


def _headers_of(error: SyncError, *, code: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    if code == "unauthenticated":
        headers["WWW-Authenticate"] = getattr(error, "challenge", "Bearer")
    if code == "range_not_satisfiable":
        headers["Content-Range"] = f"bytes */{getattr(error, 'size', 0)}"
    if PROBLEMS[code][0] in {429, 503}:
        headers["Retry-After"] = str(_retry_seconds(error))
    return headers


def _retry_seconds(error: SyncError) -> int:
    wait = error.retry_after if isinstance(error, TransientError) else None
    if wait is None:
        return DEFAULT_RETRY_SECONDS
    return max(1, math.ceil(wait.total_seconds()))
