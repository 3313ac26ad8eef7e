"""Let a device wait until its organization has news (PROTOCOL §6)."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from syncapi import parsing
from syncapi.callers import device_of, served_caller_of
from syncapi.checkpoints import CheckpointSigner, Holder
from syncapi.engine import Engine
from syncapi.parsing import MalformedError
from syncapi.services import devices
from syncapi.views.answers import insist_on_method, json_answer

PARAMETERS = frozenset({"device", "checkpoint", "seconds"})
LONGEST = timedelta(seconds=300)


def wait(request: HttpRequest, org: str, *, engine: Engine) -> HttpResponse:
    insist_on_method(request, "GET")
    if not settings.WAITING_DEVICES:
        raise Http404
    caller = served_caller_of(request.META.get("HTTP_AUTHORIZATION"), organization=org)
    parameters = parsing.parameters_of(request.META["QUERY_STRING"], allowed=PARAMETERS)
    device_id = parsing.guid(parsing.only(parameters, "device"), member="device")
    token = parsing.only(parameters, "checkpoint")
    seconds = _seconds(parsing.only(parameters, "seconds"))
    device = device_of(caller, device_id=device_id)
    devices.record_seen(device)
    holder = Holder(
        organization_id=caller.organization.id,
        user_id=device.user_id,
        device_id=device_id,
    )
    signer = CheckpointSigner(
        key=settings.CHECKPOINT_KEY, validity=settings.CHECKPOINT_VALIDITY
    )

    is_changed = engine.wait_for_news(
        caller.organization.id,
        checkpoint=signer.verify(token, holder=holder, now=time.time()),
        seconds=seconds,
    )

    return json_answer({"changed": is_changed})


def _seconds(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len("300")
    if not is_number or not 1 <= int(text) <= LONGEST.total_seconds():
        raise MalformedError(("seconds", "must be from 1 to 300"))
    return int(text)
