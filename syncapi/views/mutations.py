"""Take the edits of devices, and tell what became of them (PROTOCOL §7)."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from replication.domain import mutations as domain
from replication.domain.mutations import Upload
from replication.services.serving import (
    MUTATIONS_PER_REQUEST,
    REQUEST_BYTES,
)
from syncapi import parsing
from syncapi.callers import Caller, device_of, served_caller_of, uploader_of
from syncapi.engine import Engine
from syncapi.parsing import MalformedError, TooLargeError
from syncapi.services import devices
from syncapi.views.answers import insist_on_method, private

PARAMETERS = frozenset({"device", "after"})
MAX_SEQUENCE_DIGITS = 18


def mutations(request: HttpRequest, org: str, *, engine: Engine) -> HttpResponse:
    """Nothing here asks whether the user may go offline: uploads stay open."""
    insist_on_method(request, "GET", "POST")
    caller = served_caller_of(request.META.get("HTTP_AUTHORIZATION"), organization=org)
    if request.method == "POST":
        return _accept(request, caller, engine=engine)
    return _outcomes(request, caller, engine=engine)


def _accept(request: HttpRequest, caller: Caller, *, engine: Engine) -> HttpResponse:
    parsing.parameters_of(request.META["QUERY_STRING"], allowed=frozenset())
    upload = _upload(request)
    device = device_of(caller, device_id=UUID(upload.device))
    devices.record_seen(device)

    outcomes = engine.accept(
        caller.organization.id,
        uploader=uploader_of(caller, device),
        sent=upload.mutations,
    )

    return _answered(outcomes)


def _outcomes(request: HttpRequest, caller: Caller, *, engine: Engine) -> HttpResponse:
    parameters = parsing.parameters_of(request.META["QUERY_STRING"], allowed=PARAMETERS)
    device_id = parsing.guid(parsing.only(parameters, "device"), member="device")
    after = _sequence(parameters.get("after", "0"))
    device = device_of(caller, device_id=device_id)

    outcomes = engine.outcomes_after(
        caller.organization.id,
        device_id=device.device_id,
        user_id=device.user_id,
        sequence=after,
    )

    return _answered(outcomes)


def _upload(request: HttpRequest) -> Upload:
    """:raises TooLargeError: it is over one of the limits that `/model` names."""
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise MalformedError(("Content-Encoding", "must be identity"))
    if int(request.META.get("CONTENT_LENGTH") or 0) > REQUEST_BYTES:
        raise TooLargeError(f"The body may have {REQUEST_BYTES} bytes.")
    content = parsing.read_body(request, limit=REQUEST_BYTES)
    upload = parsing.decoded_by(domain.decoded, content)
    if len(upload.mutations) > MUTATIONS_PER_REQUEST:
        message = f"A request may have {MUTATIONS_PER_REQUEST} mutations."
        raise TooLargeError(message)
    return upload


def _answered(outcomes: bytes) -> HttpResponse:
    content = b'{"outcomes":[%b]}' % outcomes
    return private(HttpResponse(content, content_type="application/json"))


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_SEQUENCE_DIGITS:
        raise MalformedError(("after", "must be a sequence"))
    return int(text)
