"""Changes: what is asked of the engine, and how its answer travels."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from uuid import UUID

import pytest
import zstandard
from django.db import OperationalError

from project.errors import TransientError
from replication.services.serving import (
    CheckpointLine,
    ModelChangedError,
    NotReadyError,
    OfflineNotAllowedError,
    Reset,
    ResyncRequiredError,
)
from syncapi.models import Device
from syncapi.services import devices
from syncapi.views.changes import Answer, Body
from tests.syncapi.engines import DEVICE, begin, checkpoint, point, rows

ADAS_USER = UUID(int=2)
PATH = f"/sync/v1/orgs/contoso/changes?device={DEVICE}&model=7f3c"


def messages(response):
    return [json.loads(line) for line in response.getvalue().splitlines()]


def test_an_answer_is_one_message_a_line(ada, device, engine):
    engine.says(
        begin(),
        rows("Fabrikam", "Ünïcode", deletes=b'"9b"'),
        Reset(table="contact"),
        replace(point(), digest={"account": (2, "00ff")}, through_mutation=17),
    )

    response = ada.get(PATH)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/x-ndjson"
    first, second, third, last = messages(response)
    assert first == {
        "type": "begin",
        "kind": "snapshot",
        "snapshot": "c1",
        "model": "7f3c",
        "columns": {"account": ["accountid", "name", "_version"]},
    }
    assert second == {
        "type": "rows",
        "table": "account",
        "deletes": ["9b"],
        "upserts": [["Fabrikam", "Fabrikam", "1"], ["Ünïcode", "Ünïcode", "1"]],
    }
    assert third == {"type": "reset", "table": "contact"}
    assert last.pop("checkpoint")
    assert last == {
        "type": "checkpoint",
        "complete": True,
        "rows": 2,
        "expected_rows": 2,
        "through_mutation": 17,
        "digest": {"account": [2, "00ff"]},
    }


def test_what_is_not_said_is_left_out(ada, device, engine):
    engine.says(
        replace(begin(), kind="delta", snapshot=None),
        CheckpointLine(checkpoint=checkpoint(), complete=False, rows=0),
    )

    first, last = messages(ada.get(PATH))

    assert "snapshot" not in first
    assert sorted(last) == ["checkpoint", "complete", "rows", "type"]


def test_the_checkpoint_of_an_answer_continues_it(ada, contoso, device, engine):
    engine.says(begin(), point(seen=42))
    token = messages(ada.get(PATH))[-1]["checkpoint"]

    ada.get(f"{PATH}&checkpoint={token}&reset=account,contact&digest=1")

    organization_id, request = engine.asked[-1]
    assert organization_id == contoso.id
    assert request.checkpoint == checkpoint(seen=42)
    assert (request.user_id, request.device_id) == (ADAS_USER, DEVICE)
    assert (request.model, request.digest) == ("7f3c", True)
    assert request.reset == {"account", "contact"}


def test_nothing_new_is_a_checkpoint_without_a_body(
    ada, contoso, device, engine, signed
):
    engine.says_nothing_new()

    response = ada.get(f"{PATH}&checkpoint={signed(organization=contoso)}")

    assert (response.status_code, response.content) == (204, b"")
    token = response.headers["Waystation-Checkpoint"]
    ada.get(f"{PATH}&checkpoint={token}")
    assert engine.asked[-1][1].checkpoint == checkpoint()


def test_an_empty_poll_asks_the_catalog_nothing(
    ada, device, engine, django_assert_num_queries
):
    engine.says_nothing_new()
    ada.get(PATH)

    with django_assert_num_queries(0):
        assert ada.get(PATH).status_code == 204


def test_an_answer_sets_no_cookie_and_is_kept_by_nobody(ada, device, engine):
    engine.says(begin(), point())

    response = ada.get(PATH)

    assert not response.cookies
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("gzip", lambda content: zlib.decompress(content, 31)),
        (
            "zstd",
            lambda content: (
                zstandard.ZstdDecompressor().decompressobj().decompress(content)
            ),
        ),
    ],
)
def test_coded_answers_say_the_same(ada, device, engine, coding, decode):
    engine.says(begin(), rows(*["Fabrikam"] * 1_000), point())
    plain = ada.get(PATH)
    assert "Content-Encoding" not in plain.headers

    response = ada.get(PATH, headers={"Accept-Encoding": coding})

    assert response.headers["Content-Encoding"] == coding
    assert "Accept-Encoding" in response.headers["Vary"]
    coded = b"".join(response.streaming_content)
    assert len(coded) < 1_000
    # The last line differs by the second in which its checkpoint was signed.
    assert decode(coded).splitlines()[:2] == plain.getvalue().splitlines()[:2]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ResyncRequiredError("Another epoch."), 410, "resync_required"),
        (ModelChangedError("It is newer."), 409, "model_changed"),
        (OfflineNotAllowedError("No role."), 403, "offline_not_allowed"),
        (NotReadyError("Stale."), 503, "not_ready"),
        (TransientError("Host db7 is down."), 503, "unavailable"),
        (OperationalError("Host db7 is down."), 503, "unavailable"),
    ],
)
def test_a_refusal_before_the_first_line_is_a_proper_answer(
    ada, device, engine, error, status, code
):
    for tell in (engine.refuses, lambda error: engine.says(then=error)):
        tell(error)

        response = ada.get(PATH)

        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["Content-Type"] == "application/problem+json"
        assert ("Retry-After" in response.headers) == (status == 503)
        assert "db7" not in response.text


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_a_failure_in_the_middle_ends_the_answer_without_a_checkpoint(
    ada, device, engine, coding, caplog
):
    engine.says(begin(), rows("Fabrikam"), then=TransientError("Staging went away."))

    response = ada.get(PATH, headers={"Accept-Encoding": coding})

    content = b"".join(response.streaming_content)
    if coding == "gzip":
        content = zlib.decompress(content, 31)
    if coding == "zstd":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    kinds = [json.loads(line)["type"] for line in content.splitlines()]
    assert kinds == ["begin", "rows"]
    assert "An answer was cut" in caplog.messages
    assert Device.objects.get().last_completed_at is None


def test_a_client_that_goes_away_frees_the_engine_at_once(ada, device, engine):
    engine.says(begin(), *[rows("Fabrikam")] * 100, point())
    response = ada.get(PATH)
    next(iter(response.streaming_content))

    response.close()

    assert engine.was_closed


def test_a_client_that_never_reads_frees_the_engine_too(ada, device, engine):
    engine.says(begin(), point())
    response = ada.get(PATH)

    response.close()

    assert engine.was_closed


def test_closing_does_not_wait_for_the_garbage_collector(engine):
    engine.says(begin(), point())
    held = engine.script(None)
    next(held)
    body = Body(Answer(None, iter(()), held), coding="identity")

    body.close()

    assert engine.was_closed
    assert list(held) == []


def test_the_operator_sees_when_a_device_was_last_complete(ada, device, engine):
    engine.says(begin(), point(complete=False))
    ada.get(PATH).getvalue()
    device.refresh_from_db()
    assert (device.last_seen_at is not None, device.last_completed_at) == (True, None)

    engine.says(begin(), point())
    ada.get(PATH).getvalue()

    device.refresh_from_db()
    assert device.last_completed_at is not None


def test_a_device_that_polls_often_is_noted_once_a_minute(
    ada, device, engine, django_assert_num_queries
):
    engine.says_nothing_new()
    ada.get(PATH)
    device.refresh_from_db()
    seen_at = device.last_seen_at

    # Another process would not know that it was noted, and ask the catalog to.
    devices.forget()
    ada.get(PATH)

    device.refresh_from_db()
    assert device.last_seen_at == seen_at
