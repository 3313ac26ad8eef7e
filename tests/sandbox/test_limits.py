"""Service protection: 429 by user, with waits that grow when they are ignored."""

from __future__ import annotations

from sandbox.contoso.errors import WebApiError
from sandbox.contoso.limits import Gate, Limits
from tests.sandbox.running import as_person


def refused(gate, limits):
    try:
        with gate.turn("ada", limits):
            return None
    except WebApiError as error:
        return error.code, int(error.headers["Retry-After"])


def test_whoever_waits_as_told_is_let_in_again():
    times = [0.0]
    gate, limits = Gate(now=lambda: times[0]), Limits(requests=1, window_seconds=60)

    first = refused(gate, limits)
    times[0] = 50.0
    early = refused(gate, limits)
    times[0] = 60.0
    later = refused(gate, limits)

    assert (first, later) == (None, None)
    assert early == ("0x80072322", 10)


def test_requests_at_the_same_time_are_counted():
    gate, limits = Gate(), Limits(concurrent=1)

    with gate.turn("ada", limits):
        beside = refused(gate, limits)
    after = refused(gate, limits)

    assert beside == ("0x80072326", 1)
    assert after is None


def test_time_is_counted_too():
    times = [0.0]
    gate = Gate(now=lambda: times[0])
    limits = Limits(execution_seconds=5, window_seconds=60)

    with gate.turn("ada", limits):
        times[0] = 5.0

    assert refused(gate, limits) == ("0x80072321", 60)


def test_too_many_requests_are_told_to_wait_longer_and_longer(alone):
    settings = {"limit_requests": 3, "limit_window_seconds": 300}
    alone.control("POST", "settings", settings)

    answers = [alone.get("WhoAmI") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
    left = "x-ms-ratelimit-burst-remaining-xrm-requests"
    assert [answer.headers[left] for answer in answers[:3]] == ["2", "1", "0"]
    error = answers[3].json()["error"]
    assert error["code"] == "0x80072322"
    assert error["message"] == (
        "Number of requests exceeded the limit of 3 over time window of 300 seconds."
    )
    waits = [int(answer.headers["Retry-After"]) for answer in answers[3:]]
    assert 290 <= waits[0] <= 300
    assert waits[1:] == [waits[0] * 2, 600]
    assert as_person(alone.running, "hedy").get("WhoAmI").status_code == 200


def test_the_time_that_requests_take_is_limited_too(alone):
    alone.control("POST", "settings", {"limit_execution_seconds": 1})

    answer = alone.get("WhoAmI")

    left = float(answer.headers["x-ms-ratelimit-time-remaining-xrm-requests"])
    assert 0 < left <= 1


def test_the_real_limits_are_one_word(alone):
    told = alone.control("POST", "settings", {"limits": "real"}).json()
    off = alone.control("POST", "settings", {"limits": "off"}).json()

    assert (told["limit_requests"], told["limit_concurrent"]) == ("6000", "52")
    assert off["limit_requests"] == "0"
