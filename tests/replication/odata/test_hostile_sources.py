"""A source that means harm: slow, endless, inflated, or pointing at what is not its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import pytest

from replication.odata.connections import Network, check_address
from replication.odata.credentials import FixedCredential, credential_from
from replication.odata.errors import (
    SourceTimeoutError,
    SourceUnavailableError,
    UnsafeEndpointError,
)
from replication.odata.transport import Limits, RequestsTransport
from tests.replication.odata.servers import Answer, in_turn, json_answer


@pytest.fixture
def talks():
    """Serve raw bytes: each connection is handed to a function of the socket."""
    with contextlib.ExitStack() as stack:

        def listen(speak):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            over = threading.Event()
            stack.callback(over.set)

            def serve():
                with contextlib.suppress(OSError):
                    peer, _ = listener.accept()
                    with peer:
                        speak(peer, over)

            threading.Thread(target=serve, daemon=True).start()
            return listener.getsockname()[1]

        yield listen


def get(endpoint, **settings):
    given: dict[str, Any] = {
        "credential": FixedCredential("Bearer sesame"),
        "allow_loopback": True,
    }
    return RequestsTransport(endpoint, **given | settings).get(
        f"{endpoint}/contacts", headers={}
    )


def endless_headers(peer, over):
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        peer.sendall(b"X-More: of the same\r\n" * 1000)


def one_endless_header(peer, over):
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not over.is_set():
        peer.sendall(b"y" * 65536)


def dripping_headers(peer, over):
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not over.wait(0.02):
        peer.sendall(b"y")


def dripping_handshake(peer, over):
    peer.recv(65536)
    # A record of 16 KB, byte by byte.
    peer.sendall(b"\x16\x03\x03\x40\x00")
    while not over.wait(0.02):
        peer.sendall(b"\x00")


@pytest.mark.parametrize("speak", [endless_headers, one_endless_header])
def test_headers_without_end_are_refused(talks, speak):
    with pytest.raises(SourceUnavailableError):
        get(f"http://127.0.0.1:{talks(speak)}")


def test_headers_that_only_drip_are_cut_off(talks):
    with pytest.raises(SourceTimeoutError, match="not complete"):
        get(
            f"http://127.0.0.1:{talks(dripping_headers)}",
            limits=Limits(total=0.3),
        )


def test_a_handshake_that_only_drips_is_cut_off(talks):
    with pytest.raises(SourceTimeoutError, match="not complete"):
        get(
            f"https://127.0.0.1:{talks(dripping_handshake)}",
            limits=Limits(total=0.3),
        )


def test_a_redirect_to_the_metadata_address_is_an_answer_and_not_followed(start):
    target = "http://169.254.169.254/metadata/identity/oauth2/token"
    server = start(in_turn(Answer(status=307, headers={"Location": target})))

    assert get(server.endpoint).status == 307
    assert len(server.requests) == 1


def test_a_name_that_leads_to_a_forbidden_address_gets_no_request(start, authority):
    server = start(in_turn(json_answer({})), tls=authority[1])
    port = server.url.rpartition(":")[2]

    with pytest.raises(UnsafeEndpointError, match="off limits"):
        get(f"https://localhost:{port}", allow_loopback=False)

    assert server.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "100.64.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fd12:3456::1",
        "::ffff:10.1.2.3",
    ],
)
def test_private_addresses_are_refused_where_sources_are_on_the_internet(address):
    check_address(address, allow_loopback=False)

    with pytest.raises(UnsafeEndpointError):
        check_address(address, allow_loopback=False, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  an address to refuse, not to bind
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_of_machinery_are_never_a_source(address):
    with pytest.raises(UnsafeEndpointError):
        check_address(address, allow_loopback=False)


LISTED = Network(hosts=("*.crm*.dynamics.com", "erp.example"))


@pytest.mark.parametrize(
    "host", ["contoso.crm.dynamics.com", "Contoso.CRM4.dynamics.com.", "erp.example"]
)
def test_a_listed_host_is_allowed(host):
    LISTED.insist_on(host)


@pytest.mark.parametrize(
    "host",
    [
        "contoso.crm4.dynamics.com.evil.example",
        "crm.dynamics.com",
        "evil.example",
        "xerp.example",
        "169.254.169.254",
        "",
    ],
)
def test_a_host_that_is_not_listed_is_refused(host):
    with pytest.raises(UnsafeEndpointError, match="list of sources"):
        LISTED.insist_on(host)


def test_a_source_that_is_not_listed_hears_nothing(start):
    server = start(in_turn(json_answer({})))

    with pytest.raises(UnsafeEndpointError):
        get(server.endpoint, network=LISTED)

    assert server.requests == []


def test_an_authority_that_is_not_listed_gets_no_secret(start, authority):
    server = start(in_turn(json_answer({})), tls=authority[1])
    document = {
        "type": "client_secret",
        "tenant_id": "t",
        "client_id": "c",
        "client_secret": "sesame",
        "authority": server.url,
    }

    with pytest.raises(UnsafeEndpointError):
        credential_from(
            document,
            endpoint="https://erp.example",
            ca_certificate=authority[0],
            allow_loopback=True,
            network=LISTED,
        )

    assert server.requests == []
