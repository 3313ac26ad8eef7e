"""Read what a client sent, strictly: unknown, repeated and ill-formed is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError

from project.errors import RejectedError

T = TypeVar("T")

MAX_PARAMETERS = 20
MAX_DEVICE_BODY_BYTES = 64 * 1024
# PostgreSQL has no room for NUL in text.
NO_NUL = r"^[^\x00]*$"

_GUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII
)
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
_MISSING_FIELD = re.compile(r"missing required field `([^`]*)`")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


class MalformedError(RejectedError):
    """The request breaks the protocol; `errors` names the members."""

    code = "malformed"

    def __init__(self, *errors: tuple[str, str]) -> None:
        text = "; ".join(f"{member}: {message}" for member, message in errors)
        super().__init__(text)
        self.errors = tuple(
            {"member": member, "message": message} for member, message in errors
        )


class TooLargeError(RejectedError):
    """The request is larger than the limit that its message names."""

    code = "too_large"


def parameters_of(query: str, *, allowed: frozenset[str]) -> dict[str, str]:
    """Return the query's parameters, each at most once and none unknown.

    :raises MalformedError: naming every parameter that is not so.
    """
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        raise MalformedError(("query", "cannot be read")) from error
    found: dict[str, str] = {}
    errors = []
    for name, value in pairs:
        if name not in allowed:
            errors.append((name[:60], "is not known"))
        elif name in found:
            errors.append((name, "stands twice"))
        found[name] = value
    if errors:
        raise MalformedError(*errors)
    return found


def guid(text: str, *, member: str) -> UUID:
    """:raises MalformedError: it is not a lower-case GUID with hyphens."""
    if not is_guid(text):
        raise MalformedError((member, "must be a lower-case GUID with hyphens"))
    return UUID(text)


def is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


def body_of(request: HttpRequest, *, into: type[T]) -> T:
    """Decode a small JSON body into a msgspec struct.

    :raises TooLargeError: it is larger than a device has reason to send.
    :raises MalformedError: it is no such document.
    """
    return decoded(read_body(request, limit=MAX_DEVICE_BODY_BYTES), into=into)


def read_body(request: HttpRequest, *, limit: int) -> bytes:
    """Read the body whole, if it is not larger than the limit.

    :raises TooLargeError: it is larger.
    :raises MalformedError: it could not be read to its end.
    """
    try:
        content = request.read(limit + 1)
    except (UnreadablePostError, RawPostDataException) as error:
        raise MalformedError(("body", "was cut")) from error
    if len(content) > limit:
        raise TooLargeError(f"The body may have {limit} bytes.")
    return bytes(content)


def decoded(content: bytes, *, into: type[T]) -> T:
    """:raises MalformedError: it is no such document."""
    return decoded_by(msgspec.json.Decoder(into).decode, content)


def decoded_by(decode: Callable[[bytes], T], content: bytes) -> T:
    """The same, by a msgspec decoder that was made before.

    :raises MalformedError: it is no such document.
    """
    try:
        return decode(content)
    except msgspec.ValidationError as error:
        raise MalformedError(_explained(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(("body", "is not JSON in UTF-8")) from error


def _explained(message: str) -> tuple[str, str]:
    """Split msgspec's sentence into the member and what is wrong with it."""
    path = _PATH.search(message)
    prefix = path.group(1) if path else ""
    text = _PATH.sub("", message)
    for pattern, explanation in (
        (_UNKNOWN_FIELD, "is not known"),
        (_MISSING_FIELD, "is missing"),
    ):
        if found := pattern.search(text):
            return ".".join(filter(None, (prefix, found.group(1)))), explanation
    return prefix or "body", text


def only(mapping: Mapping[str, str], name: str) -> str:
    """:raises MalformedError: the parameter is missing."""
    value = mapping.get(name)
    if not value:
        raise MalformedError((name, "is missing"))
    return value
