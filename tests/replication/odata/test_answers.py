"""What a source's refusal means, and how long to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from requests.structures import CaseInsensitiveDict

from project.errors import MisconfiguredError, TransientError
from replication.odata.answers import Reply, check, failure_of, retry_after
from replication.odata.connections import check_address
from replication.odata.errors import (
    AccessRefusedError,
    MalformedAnswerError,
    RequestRefusedError,
    SignInRefusedError,
    SourceTimeoutError,
    SourceUnavailableError,
    ThrottledError,
    UnsafeEndpointError,
)
from replication.source import ResyncRequiredError
from tests.replication.odata.factories import NOON


def reply(status=200, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=CaseInsensitiveDict(named), body=body)


def error_body(code="0x80040217", message="It failed."):
    return f'{{"error":{{"code":"{code}","message":"{message}"}}}}'.encode()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, MalformedAnswerError),
        (202, MalformedAnswerError),
        (204, MalformedAnswerError),
        (400, RequestRefusedError),
        (401, SignInRefusedError),
        (403, AccessRefusedError),
        (404, RequestRefusedError),
        (405, RequestRefusedError),
        (408, SourceTimeoutError),
        (410, ResyncRequiredError),
        (429, ThrottledError),
        (500, SourceUnavailableError),
        (501, RequestRefusedError),
        (502, SourceUnavailableError),
        (503, SourceUnavailableError),
        (504, SourceUnavailableError),
    ],
)
def test_a_status_says_who_has_to_act(status, error):
    assert type(failure_of(reply(status, error_body()))) is error
    assert type(failure_of(reply(status, b"<html>Oops</html>"))) is error


@pytest.mark.parametrize("status", [400, 403, 410, 500])
@pytest.mark.parametrize(
    "body",
    [
        error_body("0x80044352"),
        error_body("-2147204270"),
        error_body("", "Version stamp has expired. Please perform a full sync."),
    ],
)
def test_an_expired_cursor_is_recognised_whatever_the_status(status, body):
    assert isinstance(failure_of(reply(status, body)), ResyncRequiredError)


def test_the_kinds_decide_whether_to_wait_or_to_halt():
    assert issubclass(ResyncRequiredError, TransientError)
    assert issubclass(MalformedAnswerError, TransientError)
    assert issubclass(RequestRefusedError, MisconfiguredError)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, None),
        ({"Retry_After": "37"}, timedelta(seconds=37)),
        ({"Retry_After": "0"}, timedelta()),
        ({"Retry_After": "1.5"}, timedelta(seconds=1.5)),
        ({"Retry_After": "999999"}, timedelta(hours=1)),
        ({"Retry_After": "Sun, 01 Mar 2026 12:00:30 GMT"}, timedelta(seconds=30)),
        ({"Retry_After": "Sun, 01 Mar 2026 11:00:00 GMT"}, timedelta()),
        ({"Retry_After": "Mon, 01 Mar 2027 12:00:00 GMT"}, timedelta(hours=1)),
        (
            {
                "Retry_After": "Sun, 01 Mar 2026 09:00:30 GMT",
                "Date": "Sun, 01 Mar 2026 09:00:10 GMT",
            },
            timedelta(seconds=20),
        ),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "soon"}, None),
    ],
)
def test_the_pause_is_the_one_the_source_asked_for(headers, pause):
    assert retry_after(reply(429, **headers).headers, now=NOON) == pause


@pytest.mark.parametrize("status", [408, 429, 503])
def test_the_pause_travels_with_the_error(status):
    error = failure_of(reply(status, Retry_After="37"))

    assert isinstance(error, TransientError)
    assert error.retry_after == timedelta(seconds=37)


def test_the_message_tells_code_words_and_request():
    error = failure_of(
        reply(403, error_body("0x80040220", "No.\\n"), x_ms_request_id="ab-1")
    )

    assert str(error) == ("The source answered 403 0x80040220: No. (request ab-1)")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"code":"","message":{"lang":"en","value":"Ada"}}}', ": Ada"),
        (b'{"Message":"Ada","ErrorCode":7}', " 7: Ada"),
        (b'{"message":"Ada"}', ": Ada"),
        (b'{"error":"invalid_token","error_description":"Ada"}', " invalid_token: Ada"),
        (b"[]", ""),
        (b'{"error":[]}', ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_every_known_shape_of_an_error_is_read(body, words):
    assert str(failure_of(reply(400, body))) == f"The source answered 400{words}"


def test_a_token_in_a_message_is_not_repeated():
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"
    body = error_body("x", f"Bearer abc refused, {token} too. " + "y" * 5000)

    text = str(failure_of(reply(401, body)))

    assert "abc" not in text
    assert "eyJ" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html></html>", "text/html"),
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"", "application/json"),
        (b"  \n", "application/json"),
    ],
)
def test_an_answer_that_is_no_json_is_malformed(body, content_type):
    with pytest.raises(MalformedAnswerError):
        check(reply(200, body, Content_Type=content_type), content_type="json")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; odata.metadata=minimal"]
)
def test_json_is_json_with_any_parameters(content_type):
    check(reply(200, b"{}", Content_Type=content_type), content_type="json")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",  # noqa: S104  # refused, not listened on
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "168.63.129.16",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "192.0.0.8",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
def test_an_address_that_no_source_has_is_refused(address):
    with pytest.raises(UnsafeEndpointError):
        check_address(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["20.1.2.3", "10.0.0.7", "2603:1000::1"])
def test_public_and_private_addresses_are_allowed(address):
    check_address(address, allow_loopback=False)


def test_allowing_loopback_allows_nothing_else():
    check_address("127.0.0.1", allow_loopback=True)
    with pytest.raises(UnsafeEndpointError):
        check_address("169.254.169.254", allow_loopback=True)
