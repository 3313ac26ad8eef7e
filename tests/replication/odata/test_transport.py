"""What one answer may cost, whom a token reaches, and which addresses are allowed."""

from __future__ import annotations

import gzip
import os
import socket
from typing import Any

import pytest

from replication.odata.credentials import FixedCredential
from replication.odata.errors import (
    AnswerTooLargeError,
    ForeignLinkError,
    MalformedAnswerError,
    SourceTimeoutError,
    SourceUnavailableError,
    UnsafeEndpointError,
    UntrustedSourceError,
)
from replication.odata.transport import Limits, RequestsTransport
from tests.replication.odata.servers import Answer, in_turn, json_answer

OK = json_answer({"value": []})
SMALL = Limits(body=100_000, ratio=20)


def transport_to(server, **settings):
    given: dict[str, Any] = {
        "credential": FixedCredential("Bearer sesame"),
        "allow_loopback": True,
    }
    return RequestsTransport(server.endpoint, **given | settings)


def get(server, url=None, **settings):
    transport = transport_to(server, **settings)
    return transport.get(url or f"{server.endpoint}/contacts", headers={})


def zipped(body, **headers):
    return Answer(
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
        | headers,
        body=body,
    )


class Renewable:
    """A credential whose first token has gone stale."""

    def __init__(self, *, fresh="Bearer fresh"):
        self.fresh = fresh
        self.refused = []

    def authorization(self):
        return "Bearer stale"

    def renew(self, *, refused):
        self.refused.append(refused)
        return self.fresh


def test_a_request_carries_what_odata_and_the_source_expect(start):
    server = start(in_turn(OK))

    transport_to(server).get(f"{server.endpoint}/contacts", headers={"Prefer": "x"})

    expected = {
        "authorization": "Bearer sesame",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "odata-version": "4.0",
        "odata-maxversion": "4.0",
        "if-none-match": "null",
        "prefer": "x",
        "user-agent": "Waystation/1",
    }
    assert expected.items() <= server.last.headers.items()
    assert len(server.last.header("x-ms-client-request-id")) == 36


def test_an_opaque_link_goes_back_as_it_came(start):
    server = start(in_turn(OK))
    target = (
        "/api/data/v9.2/contacts?$skiptoken=%3Ccookie%20a=%22%2522~%7E!*'(x)%22/%3E"
    )

    get(server, f"{server.url}{target}")

    assert server.last.target == target


@pytest.mark.parametrize(
    "link",
    [
        "{other}/api/data/v9.2/contacts",
        "https://127.0.0.1:{port}/contacts",
        "http://127.0.0.1:{port}@evil.example/contacts",
        "http://sesame@127.0.0.1:{port}/contacts",
        "http://127.0.0.1:{port}.evil.example/contacts",
        "http://evil.example\\@127.0.0.1:{port}/contacts",
        "http://evil.example#@127.0.0.1:{port}/contacts",
        "http://127.0.0.1:99999/contacts",
        "//evil.example/contacts",
        "file:///etc/passwd",
    ],
)
def test_a_token_never_leaves_for_a_foreign_address(start, link):
    server, other = start(in_turn(OK)), start(in_turn(OK))
    port = server.url.rpartition(":")[2]

    with pytest.raises(ForeignLinkError):
        get(server, link.format(other=other.url, port=port))

    assert server.requests == other.requests == []


def test_a_redirect_is_not_followed(start):
    other = start(in_turn(OK))
    server = start(in_turn(Answer(status=302, headers={"Location": other.url})))

    assert get(server).status == 302
    assert other.requests == []


def test_a_refused_token_is_renewed_once(start):
    server = start(in_turn(Answer(status=401), OK))
    credential = Renewable()

    assert get(server, credential=credential).status == 200
    assert credential.refused == ["Bearer stale"]
    assert [r.header("Authorization") for r in server.requests] == [
        "Bearer stale",
        "Bearer fresh",
    ]


def test_a_second_refusal_is_the_last_word(start):
    server = start(in_turn(Answer(status=401)))

    assert get(server, credential=Renewable()).status == 401
    assert len(server.requests) == 2


def test_a_fixed_token_is_sent_once(start):
    server = start(in_turn(Answer(status=401)))

    assert get(server).status == 401
    assert len(server.requests) == 1


def test_cookies_are_not_kept(start):
    server = start(in_turn(json_answer({}, Set_Cookie="ARRAffinity=1; Path=/")))
    transport = transport_to(server)

    for _ in range(2):
        transport.get(f"{server.endpoint}/contacts", headers={})

    assert server.last.header("Cookie") is None


def test_a_netrc_file_does_not_replace_the_token(start, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password lovelace\n")
    monkeypatch.setitem(os.environ, "NETRC", str(netrc))
    server = start(in_turn(OK))

    get(server)

    assert server.last.header("Authorization") == "Bearer sesame"


def test_gzip_is_decoded_also_in_several_members(start):
    body = gzip.compress(b'{"value"') + gzip.compress(b":[]}")

    assert get(start(in_turn(zipped(body)))).body == b'{"value":[]}'


def test_a_redirect_has_no_right_to_a_larger_body(start):
    bomb = zipped(gzip.compress(b" " * 5_000_000), Location="/elsewhere")
    bomb.status = 302

    with pytest.raises(AnswerTooLargeError):
        get(start(in_turn(bomb)), limits=SMALL)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(os.urandom(50_000) * 4),
        gzip.compress(b" " * 5_000_000),
        gzip.compress(b" " * 90_000) * 20,
    ],
    ids=["large", "bomb", "many small members"],
)
def test_a_body_too_large_when_decoded_is_refused(start, body):
    with pytest.raises(AnswerTooLargeError, match="larger than 100000 bytes"):
        get(start(in_turn(zipped(body))), limits=SMALL)


def test_a_body_compressed_beyond_reason_is_refused(start):
    bomb = zipped(gzip.compress(b" " * 20_000_000))

    with pytest.raises(AnswerTooLargeError, match="compressed over 100 times"):
        get(start(in_turn(bomb)))


def test_a_large_body_without_compression_is_refused(start):
    with pytest.raises(AnswerTooLargeError):
        get(start(in_turn(Answer(body=b" " * 100_001))), limits=SMALL)


@pytest.mark.parametrize(
    "answer",
    [
        zipped(gzip.compress(b'{"value":[]}')[:-4]),
        zipped(b'{"value":[]}'),
        zipped(b"{}", **{"Content-Encoding": "br"}),
    ],
    ids=["cut", "not gzip", "brotli"],
)
def test_a_body_that_cannot_be_decoded_is_refused(start, answer):
    with pytest.raises(MalformedAnswerError):
        get(start(in_turn(answer)))


def test_a_body_that_is_cut_is_no_answer(start):
    with pytest.raises(SourceUnavailableError):
        get(start(in_turn(Answer(body=b'{"value":[]}', promised=1000))))


def test_a_body_that_only_drips_is_cut_off_when_the_total_time_is_over(start):
    dripping = Answer(body=b"{", promised=1_000_000, drips=True)

    with pytest.raises(SourceTimeoutError, match=r"not complete after 0\.3 s"):
        get(start(in_turn(dripping)), limits=Limits(total=0.3))


def test_a_body_that_only_drips_is_cut_off_under_tls_too(start, authority):
    certificate, tls = authority
    dripping = Answer(body=b"{", promised=1_000_000, drips=True)

    with pytest.raises(SourceTimeoutError):
        get(
            start(in_turn(dripping), tls=tls),
            ca_certificate=certificate,
            limits=Limits(total=0.5),
        )


def test_a_silent_source_is_left_when_the_read_time_is_over():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        transport = RequestsTransport(
            endpoint,
            credential=FixedCredential(None),
            allow_loopback=True,
            limits=Limits(read=0.2),
        )

        with pytest.raises(SourceTimeoutError):
            transport.get(f"{endpoint}/contacts", headers={})


def test_a_source_that_accepts_and_then_says_nothing_is_cut_off_too():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        transport = RequestsTransport(
            endpoint,
            credential=FixedCredential(None),
            allow_loopback=True,
            limits=Limits(total=0.3),
        )

        with pytest.raises(SourceTimeoutError, match="not complete"):
            transport.get(f"{endpoint}/contacts", headers={})


def test_a_source_that_is_not_there_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    transport = RequestsTransport(
        endpoint, credential=FixedCredential(None), allow_loopback=True
    )

    with pytest.raises(SourceUnavailableError):
        transport.get(f"{endpoint}/contacts", headers={})


def test_a_certificate_of_the_given_authority_is_trusted(start, authority):
    certificate, tls = authority
    server = start(in_turn(OK), tls=tls)

    assert get(server, ca_certificate=certificate).status == 200


def test_a_certificate_of_anybody_else_is_not_and_no_token_is_sent(start, authority):
    server = start(in_turn(OK), tls=authority[1])

    with pytest.raises(UntrustedSourceError):
        get(server)

    assert server.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://contoso.example/api",
        "ftp://contoso.example/api",
        "contoso.example/api",
        "https:///api",
        "https://ada@contoso.example/api",
        "https://contoso.example:port/api",
        "https://contoso.example/api?x=1",
        "http://127.0.0.2.example/api",
    ],
)
def test_an_endpoint_that_is_not_https_is_refused(endpoint):
    with pytest.raises(UnsafeEndpointError):
        RequestsTransport(
            endpoint, credential=FixedCredential(None), allow_loopback=True
        )


def test_loopback_is_refused_unless_it_is_allowed(start, authority):
    certificate, tls = authority
    server = start(in_turn(OK), tls=tls)

    with pytest.raises(UnsafeEndpointError, match="off limits"):
        get(server, ca_certificate=certificate, allow_loopback=False)

    assert server.requests == []


def test_a_broken_ca_certificate_is_the_operators_to_mend():
    with pytest.raises(UnsafeEndpointError, match="PEM"):
        RequestsTransport(
            "https://contoso.example/api",
            credential=FixedCredential(None),
            ca_certificate="-----BEGIN nonsense",
        )
