"""Devices register, report how they fare, and sign off (PROTOCOL §4)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from django.http import HttpRequest, HttpResponse

from syncapi import parsing
from syncapi.callers import caller_of, device_of, served_caller_of, user_of
from syncapi.engine import Engine
from syncapi.parsing import NO_NUL
from syncapi.services import devices
from syncapi.services.devices import Description, DeviceUser, StatusReport
from syncapi.views.answers import insist_on_method, json_answer, no_content

MAX_COUNT = 2**63 - 1

Name = Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)]
Word = Annotated[str, msgspec.Meta(max_length=60, pattern=NO_NUL)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Report = Annotated[str, msgspec.Meta(max_length=4_000, pattern=NO_NUL)]


class DeviceBody(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    platform: Word = ""
    app_version: Word = ""


class StatusBody(msgspec.Struct, forbid_unknown_fields=True):
    pending_mutations: Count | None = None
    last_error: Report | None = None
    free_bytes: Count | None = None


def device(
    request: HttpRequest, org: str, device: str, *, engine: Engine
) -> HttpResponse:
    insist_on_method(request, "PUT", "DELETE")
    if request.method == "PUT":
        return _register(request, org, device, engine=engine)
    return _sign_off(request, org, device)


def status(request: HttpRequest, org: str, device: str) -> HttpResponse:
    insist_on_method(request, "POST")
    caller = caller_of(request.headers.get("Authorization"), organization=org)
    facts = device_of(caller, device_id=parsing.guid(device, member="device"))
    body = parsing.body_of(request, into=StatusBody)

    devices.report_status(
        facts,
        report=StatusReport(
            pending_mutations=body.pending_mutations,
            last_error=body.last_error or "",
            free_bytes=body.free_bytes,
        ),
    )

    return no_content()


def _register(
    request: HttpRequest, org: str, device: str, *, engine: Engine
) -> HttpResponse:
    caller = served_caller_of(request.headers.get("Authorization"), organization=org)
    device_id = parsing.guid(device, member="device")
    body = parsing.body_of(request, into=DeviceBody)
    user = user_of(caller, engine=engine)

    facts, is_new = devices.register(
        caller.organization.id,
        device_id=device_id,
        user=DeviceUser(id=user.id, object_id=caller.principal.person, name=user.name),
        about=Description(
            name=body.name, platform=body.platform, app_version=body.app_version
        ),
    )

    next_sequence = engine.know_device(
        caller.organization.id, device_id=device_id, user_id=user.id, is_new=is_new
    )

    document = {
        "device": facts.device_id,
        "user": {"id": user.id, "name": user.name},
        "state": facts.state,
        "next_sequence": next_sequence,
    }
    return json_answer(document, status=201 if is_new else 200)


def _sign_off(request: HttpRequest, org: str, device: str) -> HttpResponse:
    caller = caller_of(request.headers.get("Authorization"), organization=org)

    devices.sign_off(
        caller.organization.id,
        device_id=parsing.guid(device, member="device"),
        object_id=caller.principal.person,
    )

    return no_content()
