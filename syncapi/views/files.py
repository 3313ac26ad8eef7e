"""Hand out and take the files of rows (PROTOCOL §8)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

import psycopg
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.http.response import HttpResponseBase, HttpResponseNotModified

from project.errors import SyncError
from replication.services.serving import (
    LARGEST_FILE,
    Conditions,
    FileEdit,
    Held,
    Piece,
    Served,
    Unchanged,
    Wanted,
)
from syncapi import parsing
from syncapi.callers import (
    Caller,
    device_of,
    served_caller_of,
    sole_device_of,
    uploader_of,
)
from syncapi.engine import Engine
from syncapi.parsing import MalformedError, TooLargeError
from syncapi.services import devices
from syncapi.services.devices import DeviceFacts
from syncapi.views.answers import insist_on_method, private

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/octet-stream"
PARAMETERS = frozenset({"device"})
MAX_KEY = 1024
MAX_NAME = 255

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_DIGITS = r"[0-9]{1,18}"
_RANGE = re.compile(rf"bytes=(?:({_DIGITS})-({_DIGITS})?|-({_DIGITS}))", re.ASCII)
_PLACE = re.compile(rf"bytes (?:({_DIGITS})-({_DIGITS})|\*)/({_DIGITS})", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]{0,128})"|\*', re.ASCII)
_FILE_NAME = re.compile(r"filename\*=UTF-8''([^;\s]{1,2000})", re.I | re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")


def file(
    request: HttpRequest, org: str, table: str, key: str, column: str, *, engine: Engine
) -> HttpResponseBase:
    insist_on_method(request, "GET", "PUT")
    caller = served_caller_of(request.META.get("HTTP_AUTHORIZATION"), organization=org)
    parameters = parsing.parameters_of(request.META["QUERY_STRING"], allowed=PARAMETERS)
    _insist_on_names(table, key, column)
    device = _device(caller, parameters.get("device"))
    devices.record_seen(device)
    if request.method == "PUT":
        return _take(request, caller, device, (table, key, column), engine=engine)
    return _give(request, caller, device, (table, key, column), engine=engine)


# Downloads.


def _give(
    request: HttpRequest,
    caller: Caller,
    device: DeviceFacts,
    names: tuple[str, str, str],
    *,
    engine: Engine,
) -> HttpResponseBase:
    table, key, column = names
    found = engine.fetch_file(
        caller.organization.id,
        user_id=device.user_id,
        table=table,
        key=key,
        column=column,
        wanted=_wanted(request.META.get("HTTP_RANGE", "")),
        conditions=Conditions(
            if_match=_etags(request.META.get("HTTP_IF_MATCH"), member="If-Match"),
            if_none_match=_etags(
                request.META.get("HTTP_IF_NONE_MATCH"), member="If-None-Match"
            ),
            if_range=_if_range(request.META.get("HTTP_IF_RANGE")),
        ),
    )
    if isinstance(found, Unchanged):
        unchanged = HttpResponseNotModified()
        unchanged.headers["ETag"] = f'"{found.version}"'
        return unchanged
    return _streamed(found)


def _streamed(found: Served) -> StreamingHttpResponse:
    response = StreamingHttpResponse(
        _until_failure(found.content),
        status=206 if found.is_part else 200,
        content_type=CONTENT_TYPE,
    )
    response.headers["ETag"] = f'"{found.version}"'
    response.headers["Content-Length"] = str(found.length)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Disposition"] = _disposition(found.name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    if found.is_part:
        last = found.start + found.length - 1
        response.headers["Content-Range"] = f"bytes {found.start}-{last}/{found.size}"
    return response


def _until_failure(content: Iterator[bytes]) -> Iterator[bytes]:
    """End where the source fails: the device asks for the rest."""
    try:
        yield from content
    except (SyncError, psycopg.Error) as error:
        logger.warning("A file was cut", extra={"reason": str(error)})


def _disposition(name: str | None) -> str:
    if not name:
        return "attachment"
    return f"attachment; filename*=UTF-8''{quote(name[:MAX_NAME], safe='')}"


def _wanted(text: str) -> Wanted | None:
    """Several ranges, or none that can be read, count as none (RFC 9110 §14.2)."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    if found[3] is not None:
        return Wanted(suffix=int(found[3]))
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        return None
    return Wanted(first=first, last=last)


# Uploads.


def _take(
    request: HttpRequest,
    caller: Caller,
    device: DeviceFacts,
    names: tuple[str, str, str],
    *,
    engine: Engine,
) -> HttpResponse:
    edit, piece = _sent(request, names)

    found = engine.take_file(
        caller.organization.id,
        uploader=uploader_of(caller, device),
        edit=edit,
        piece=piece,
    )

    if isinstance(found, Held):
        return _held(found.size)
    return private(
        HttpResponse(
            b'{"outcomes":[%b]}' % found.outcome,
            status=202,
            content_type="application/json",
            headers={
                "Waystation-Mutation": edit.id,
                "Waystation-Sequence": str(edit.sequence),
            },
        )
    )


def _held(size: int) -> HttpResponse:
    """What is there, in the way of `Range`; nothing while nothing is."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    if size:
        response.headers["Range"] = f"bytes=0-{size - 1}"
    return private(response)


def _sent(
    request: HttpRequest, names: tuple[str, str, str]
) -> tuple[FileEdit, Piece | None]:
    """:raises MalformedError: naming the header that cannot be."""
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise MalformedError(("Content-Encoding", "must be identity"))
    length = _content_length(request)
    at, whole = _placed(request.META.get("HTTP_CONTENT_RANGE"), length)
    if whole > LARGEST_FILE:
        raise TooLargeError(f"A file may have {LARGEST_FILE} bytes.")
    table, key, column = names
    known = _etags(request.META.get("HTTP_IF_MATCH"), member="If-Match")
    if known is not None and len(known) != 1:
        raise MalformedError(("If-Match", "must be one ETag"))
    id_ = parsing.guid(
        request.META.get("HTTP_WAYSTATION_MUTATION", ""), member="Waystation-Mutation"
    )
    edit = FileEdit(
        id=str(id_),
        sequence=_sequence(request.META.get("HTTP_WAYSTATION_SEQUENCE", "")),
        table=table,
        key=key,
        column=column,
        size=whole,
        name=_file_name(request.META.get("HTTP_CONTENT_DISPOSITION", "")),
        if_match=next(iter(known)) if known else None,
    )
    if at is None:
        return edit, None
    return edit, Piece(at=at, length=length, read=_reading(request))


def _reading(request: HttpRequest) -> Callable[[int], bytes]:
    """Read the body in pieces; where it was cut, it ends. What came before is kept."""

    def read(size: int) -> bytes:
        try:
            return bytes(request.read(size))
        except (UnreadablePostError, RawPostDataException):
            return b""

    return read


def _content_length(request: HttpRequest) -> int:
    text = str(request.META.get("CONTENT_LENGTH") or "")
    if not text and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise MalformedError(("Content-Length", "is missing"))
    if text and not re.fullmatch(_DIGITS, text):
        raise MalformedError(("Content-Length", "must be a number"))
    return int(text or 0)


def _placed(text: str | None, length: int) -> tuple[int | None, int]:
    """From where on bytes come, None if there are none; and how many it will be in all.

    :raises MalformedError: it is no such place, or more or fewer bytes come.
    """
    if text is None:
        return 0, length
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        raise MalformedError(("Content-Range", "must be bytes first-last/size"))
    whole = int(found[3])
    if found[1] is None:
        if length:
            raise MalformedError(("Content-Length", "must be 0 with such a range"))
        return None, whole
    first, last = int(found[1]), int(found[2])
    if not first <= last < whole:
        raise MalformedError(("Content-Range", "must lie within the file"))
    if last - first + 1 != length:
        raise MalformedError(("Content-Length", "must be that of the range"))
    return first, whole


def _sequence(text: str) -> int:
    if not re.fullmatch(_DIGITS, text, re.ASCII) or int(text) < 1:
        raise MalformedError(("Waystation-Sequence", "must be a sequence"))
    return int(text)


def _file_name(disposition: str) -> str:
    found = _FILE_NAME.search(disposition)
    if found is None:
        return ""
    name = unquote(found[1], errors="replace")
    return _UNPRINTABLE.sub("_", name)[:MAX_NAME]


# Both.


def _device(caller: Caller, device: str | None) -> DeviceFacts:
    if device is None:
        return sole_device_of(caller)
    return device_of(caller, device_id=parsing.guid(device, member="device"))


def _insist_on_names(table: str, key: str, column: str) -> None:
    faults = [
        (member, message)
        for member, message, is_right in (
            ("table", "must be the name of a table", _NAME.fullmatch(table)),
            ("key", "must be a key", 0 < len(key) <= MAX_KEY and "\0" not in key),
            ("column", "must be the name of a column", _NAME.fullmatch(column)),
        )
        if not is_right
    ]
    if faults:
        raise MalformedError(*faults)


def _etags(text: str | None, *, member: str) -> frozenset[str] | None:
    if text is None:
        return None
    found = [_ETAG.fullmatch(one.strip()) for one in text.split(",")]
    if not all(found):
        raise MalformedError((member, "must be an ETag"))
    return frozenset((one[1] if one[1] is not None else "*") for one in found if one)


def _if_range(text: str | None) -> str | None:
    """A date, or a weak ETag, is never that of a file."""
    if text is None:
        return None
    found = _ETAG.fullmatch(text.strip())
    is_strong = found is not None and text.strip().startswith('"')
    return found[1] if found is not None and is_strong else ""
