"""Translates what a source answered into the words of `errors`, once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from project.errors import SyncError
from replication.odata.errors import (
    AccessRefusedError,
    MalformedAnswerError,
    RequestRefusedError,
    SignInRefusedError,
    SourceTimeoutError,
    SourceUnavailableError,
    ThrottledError,
)
from replication.source import ResyncRequiredError

# A source may ask for more patience, but an operator should see it try again.
LONGEST_PAUSE = timedelta(hours=1)

_MESSAGE_LENGTH = 300

# ExpiredVersionStamp; which HTTP status comes with it is not documented.
_EXPIRED = frozenset({"0x80044352", "-2147204270"})
_EXPIRED_WORDS = "please perform a full sync"

_REQUEST_IDS = ("x-ms-service-request-id", "REQ_ID", "x-ms-request-id", "request-id")

_TOKEN = re.compile(r"(?i:bearer|basic)\s+\S+|eyJ[\w-]+\.[\w-]+(\.[\w-]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

_BUSY = frozenset(
    {
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with its decoded body; names of headers ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check(reply: Reply, *, content_type: str) -> None:
    """Return when the reply is a document of this type (`json`, `xml`).

    :raises SyncError: a leaf that says what the source meant.
    """
    if reply.status != HTTPStatus.OK:
        raise failure_of(reply)
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not kind.endswith(content_type):
        raise MalformedAnswerError(
            f"The source answered with {safe_text(kind) or 'no content type'}"
            f" instead of {content_type}."
        )
    if not reply.body.strip():
        raise MalformedAnswerError("The source answered with an empty body.")


def failure_of(reply: Reply) -> SyncError:
    """Return the error that a reply with another status than 200 stands for."""
    code, message = error_in(reply)
    text = described(reply, code, message)
    pause = retry_after(reply.headers, now=datetime.now(UTC))
    status = reply.status
    if status == HTTPStatus.GONE or _is_expired(code, message):
        return ResyncRequiredError(text)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError(text, retry_after=pause)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return SourceTimeoutError(text, retry_after=pause)
    if status == HTTPStatus.UNAUTHORIZED:
        return SignInRefusedError(text)
    if status == HTTPStatus.FORBIDDEN:
        return AccessRefusedError(text)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _server_failure(status, text, pause)
    if status >= HTTPStatus.BAD_REQUEST:
        return RequestRefusedError(text)
    return MalformedAnswerError(text)


def _server_failure(status: int, text: str, pause: timedelta | None) -> SyncError:
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return RequestRefusedError(text)
    return SourceUnavailableError(text, retry_after=pause)


def _is_expired(code: str, message: str) -> bool:
    return code.lower() in _EXPIRED or _EXPIRED_WORDS in message.lower()


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return the pause that `Retry-After` asks for, in seconds or as a date.

    A date is read against the source's own clock when it sends one.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return min(timedelta(seconds=float(value)), LONGEST_PAUSE)
    until = _http_date(value)
    if until is None:
        return None
    pause = until - (_http_date(headers.get("Date", "")) or now)
    return max(timedelta(), min(pause, LONGEST_PAUSE))


def time_of(reply: Reply, *, now: datetime) -> datetime:
    """Return the source's own time, as far as it tells it."""
    return _http_date(reply.headers.get("Date", "")) or now


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_in(reply: Reply) -> tuple[str, str]:
    """Return code and message of an error body, in any of its known shapes."""
    try:
        document = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    error = document.get("error")
    if isinstance(error, str):
        return error, _words(document.get("error_description"))
    body = error if isinstance(error, dict) else document
    code = body.get("code") or body.get("ErrorCode")
    message = body.get("message") or body.get("Message")
    if isinstance(message, dict):
        message = message.get("value")
    return _words(code), _words(message)


def _words(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def described(reply: Reply, code: str, message: str) -> str:
    parts = [f"The source answered {reply.status}"]
    if reply.status // 100 == 3:
        parts.append("; redirects are not followed")
    if code:
        parts.append(f" {safe_text(code)}")
    if message:
        parts.append(f": {safe_text(message)}")
    named = (reply.headers.get(name) for name in _REQUEST_IDS)
    request_id = next((value for value in named if value), None)
    if request_id:
        parts.append(f" (request {safe_text(request_id)[:64]})")
    return "".join(parts)


def safe_text(text: str) -> str:
    """Return text of a stranger fit for a log: one line, short, without tokens."""
    line = _CONTROL.sub(" ", _TOKEN.sub("[token]", text)).strip()
    return line if len(line) <= _MESSAGE_LENGTH else f"{line[:_MESSAGE_LENGTH]}…"
