"""What a device does when it is refused, has to wait, or reaches nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.device.errors import RefusedError, SignInError, UnavailableError
from tests.sandbox.device.answers import (
    ADA,
    checkpoint,
    download,
    model,
    names,
    snapshot,
)
from tests.sandbox.device.scripted import (
    Answer,
    Download,
    ScriptedService,
    json_answer,
    ndjson,
    problem,
)

MODEL = "GET /sync/v1/orgs/contoso/model"
CHANGES = "GET /sync/v1/orgs/contoso/changes"
M1 = model()
LINES = download(M1, [ADA, "Ada", "1"])


@pytest.fixture
def service():
    with ScriptedService() as running:
        running.answer(MODEL, json_answer(M1))
        running.answer(CHANGES, Download(LINES))
        yield running


def test_a_service_that_never_gets_further_is_given_up(service, make_device, waits):
    service.answer(CHANGES, ndjson([snapshot(M1), checkpoint("k1")]))
    device = make_device(retries=3)

    with pytest.raises(UnavailableError):
        device.sync()

    assert len(waits) == 3


@pytest.mark.parametrize(("status", "code"), [(429, "throttled"), (503, "not_ready")])
def test_the_time_that_the_service_asks_for_is_waited(
    service, device, waits, status, code
):
    busy = problem(status, code, headers={"Retry-After": "7"})
    service.answer(CHANGES, busy, busy, Download(LINES))

    device.sync()

    assert (names(device.store), waits) == ({ADA: "Ada"}, [7, 7])


def test_a_wait_that_is_too_long_is_left_to_the_caller(service, device, waits):
    service.answer(
        CHANGES, problem(503, "unavailable", headers={"Retry-After": "86400"})
    )

    with pytest.raises(UnavailableError) as caught:
        device.sync()

    assert (caught.value.retry_after, waits) == (timedelta(days=1), [])


def test_a_service_that_fails_is_asked_again_ever_more_slowly(service, device, waits):
    broken = Answer(status=502, body=b"<html>Bad Gateway</html>")
    service.answer(CHANGES, broken, broken, broken, Download(LINES))

    device.sync()

    assert names(device.store) == {ADA: "Ada"}
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1 <= waits[2] <= 2


def test_a_service_that_cannot_be_reached_is_given_up_in_the_end(make_device, waits):
    with ScriptedService() as stopped:
        url = stopped.url
    device = make_device(url=url, retries=2)

    with pytest.raises(UnavailableError):
        device.sync()

    assert len(waits) == 2


class Tokens:
    """A token source that notes when its token was refused."""

    def __init__(self) -> None:
        self.number = 1

    def __call__(self) -> str:
        return f"token{self.number}"

    def forget(self) -> None:
        self.number += 1


def test_a_refused_token_is_replaced_once(service, make_device):
    tokens = Tokens()
    service.answer(CHANGES, problem(401, "unauthenticated"), Download(LINES))

    make_device(token=tokens).sync()

    sent = [seen.headers["Authorization"] for seen in service.requests(CHANGES)]
    assert sent == ["Bearer token1", "Bearer token2"]


def test_a_second_refusal_of_the_token_is_for_the_user(service, make_device):
    service.answer(CHANGES, problem(401, "unauthenticated"))

    with pytest.raises(SignInError):
        make_device(token=Tokens()).sync()

    assert len(service.requests(CHANGES)) == 2


def test_a_request_that_the_service_finds_malformed_is_not_repeated(service, device):
    service.answer(CHANGES, problem(400, "malformed", detail="model is missing"))

    with pytest.raises(RefusedError, match="model is missing"):
        device.sync()

    assert len(service.requests(CHANGES)) == 1
