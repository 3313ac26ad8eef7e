"""Give a device what it does not hold yet (PROTOCOL §6), line by line."""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from project.errors import SyncError
from replication.services.serving import (
    ChangesRequest,
    Checkpoint,
    Message,
    NothingNew,
)
from syncapi.callers import Caller, device_of, served_caller_of, user_of
from syncapi.checkpoints import CheckpointSigner, Holder
from syncapi.compression import IDENTITY, chosen_coding, pieces
from syncapi.engine import Engine
from syncapi.ndjson import AnyLine, lines
from syncapi.parsing import MalformedError, is_guid, parameters_of
from syncapi.services import devices
from syncapi.services.devices import DeviceFacts
from syncapi.views.answers import insist_on_method, no_content

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/x-ndjson"
PARAMETERS = frozenset({"device", "model", "checkpoint", "reset", "digest"})
MAX_RESET_TABLES = 500

_MODEL = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesQuery:
    """What the query of the request says, before anything is looked up."""

    device_id: UUID
    model: str
    checkpoint: str | None
    reset: frozenset[str]
    digest: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, as plain values: a checkpoint alone, or lines."""

    nothing_new: str | None
    lines: Iterator[AnyLine]
    messages: Iterator[Message]

    def close(self) -> None:
        """Let go of what the engine holds, also if no line was ever asked for."""
        for iterator in (self.lines, self.messages):
            if isinstance(iterator, Generator):
                iterator.close()


class Body:
    """The coded lines. The server closes it when the client is gone."""

    def __init__(self, answer: Answer, *, coding: str) -> None:
        self._answer = answer
        self._pieces = pieces(answer.lines, coding=coding)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._pieces.close()
        self._answer.close()


def changes(request: HttpRequest, org: str, *, engine: Engine) -> HttpResponseBase:
    insist_on_method(request, "GET")
    caller = served_caller_of(request.META.get("HTTP_AUTHORIZATION"), organization=org)
    query = changes_query(
        parameters_of(request.META["QUERY_STRING"], allowed=PARAMETERS)
    )

    found = answer(caller, query=query, engine=engine, signer=_signer())

    if found.nothing_new is not None:
        response = no_content()
        response.headers["Waystation-Checkpoint"] = found.nothing_new
        return response
    return _streamed(found, request=request)


def changes_query(parameters: Mapping[str, str]) -> ChangesQuery:
    """:raises MalformedError: naming every parameter that cannot be."""
    device, model = parameters.get("device", ""), parameters.get("model", "")
    reset = parameters["reset"].split(",") if "reset" in parameters else []
    digest = parameters.get("digest", "0")
    faults = [
        (member, message)
        for member, message, is_right in (
            ("device", "must be a lower-case GUID with hyphens", is_guid(device)),
            ("model", "must be the model's version", _MODEL.fullmatch(model)),
            ("reset", "must be names of tables", _are_tables(reset)),
            ("digest", "must be 0 or 1", digest in {"0", "1"}),
        )
        if not is_right
    ]
    if faults:
        raise MalformedError(*faults)
    return ChangesQuery(
        device_id=UUID(device),
        model=model,
        checkpoint=parameters.get("checkpoint"),
        reset=frozenset(reset),
        digest=digest == "1",
    )


def answer(
    caller: Caller, *, query: ChangesQuery, engine: Engine, signer: CheckpointSigner
) -> Answer:
    """Compute the answer as far as its first line.

    :raises SyncError: nothing has been answered yet.
    """
    device = device_of(caller, device_id=query.device_id)
    devices.record_seen(device)
    if caller.principal.told is not None:
        # Claims change from token to token, and with them what the user may hold.
        user_of(caller, engine=engine)
    holder = Holder(
        organization_id=caller.organization.id,
        user_id=device.user_id,
        device_id=device.device_id,
    )

    def sign(checkpoint: Checkpoint) -> str:
        return signer.sign(checkpoint, holder=holder, now=time.time())

    found = engine.changes(
        caller.organization.id,
        request=ChangesRequest(
            user_id=device.user_id,
            device_id=device.device_id,
            model=query.model,
            checkpoint=_checkpoint(query, holder=holder, signer=signer),
            reset=query.reset,
            digest=query.digest,
            object_id=device.user_object_id,
        ),
    )
    if isinstance(found, NothingNew):
        devices.record_completed(device)
        return Answer(sign(found.checkpoint), iter(()), iter(()))
    # Errors come with the first message at the latest: before the status is sent.
    messages = itertools.chain([next(found)], found)
    return Answer(
        None, _until_failure(lines(messages, sign=sign), device=device), found
    )


def _until_failure(
    found: Iterator[AnyLine], *, device: DeviceFacts
) -> Iterator[AnyLine]:
    """End where the engine fails: the client goes on from its last checkpoint."""
    try:
        for line in found:
            yield line
            if line.is_complete:
                devices.record_completed(device)
    except (SyncError, OperationalError, InterfaceError) as error:
        extra = {"device_id": str(device.device_id), "reason": str(error)}
        logger.warning("An answer was cut", extra=extra)


def _streamed(found: Answer, *, request: HttpRequest) -> StreamingHttpResponse:
    coding = chosen_coding(request.META.get("HTTP_ACCEPT_ENCODING", ""))
    response = StreamingHttpResponse(
        Body(found, coding=coding), content_type=CONTENT_TYPE
    )
    if coding != IDENTITY:
        response.headers["Content-Encoding"] = coding
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "no-store"
    # Proxies that collect an answer before they pass it on would make the client
    # wait for checkpoints that were sent long ago.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _checkpoint(
    query: ChangesQuery, *, holder: Holder, signer: CheckpointSigner
) -> Checkpoint | None:
    if query.checkpoint is None:
        return None
    return signer.verify(query.checkpoint, holder=holder, now=time.time())


def _signer() -> CheckpointSigner:
    return CheckpointSigner(
        key=settings.CHECKPOINT_KEY, validity=settings.CHECKPOINT_VALIDITY
    )


def _are_tables(names: list[str]) -> bool:
    return len(names) <= MAX_RESET_TABLES and all(map(_TABLE.fullmatch, names))
