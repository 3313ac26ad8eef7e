"""Opens connections to sources and identity providers, on our terms.

Trust, the addresses that may be reached and the total time of a request are
properties of the connection, so that no header, redirect or environment variable
can change them.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from replication.odata.errors import SourceTimeoutError, UnsafeEndpointError
from replication.odata.links import is_loopback_name

# Never the address of a source: instance metadata (link-local), Azure's host agent,
# multicast, "this network", and the IPv6 forms that wrap an IPv4 address. Private
# networks are allowed: a self-hosted source may well stand in one.
_OFF_LIMITS = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "224.0.0.0/3",
        "::/128",
        "64:ff9b::/96",
        "2002::/16",
        "fd00:ec2::254/128",
        "fe80::/10",
        "ff00::/8",
    )
)


# Refused as well where the installation says that its sources are on the internet.
_PRIVATE = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "fc00::/7",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Which hosts this installation talks to; what an operator enters stays within.

    Patterns may have `*` for any part of a name; none at all means any host.
    """

    hosts: tuple[str, ...] = ()
    allow_private: bool = True

    def insist_on(self, host: str) -> None:
        """:raises UnsafeEndpointError: the host is not on the installation's list."""
        name = host.lower().rstrip(".")
        if self.hosts and not any(fnmatchcase(name, known) for known in self.hosts):
            message = "The host is not on this installation's list of sources."
            raise UnsafeEndpointError(message)


ANYWHERE = Network()


def trust(ca_certificate: str, *, also_system: bool = False) -> ssl.SSLContext:
    """Return a context that trusts this CA only, or the system's when it is empty.

    :raises UnsafeEndpointError: the certificate cannot be read.
    """
    if not ca_certificate:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=ca_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise UnsafeEndpointError("The CA certificate is not PEM.") from error
    if also_system:
        context.load_default_certs()
    return context


def new_session(
    url: str,
    *,
    context: ssl.SSLContext,
    allow_loopback: bool,
    network: Network = ANYWHERE,
) -> requests.Session:
    """Return a session for this address without cookies, `.netrc` and redirects.

    Cookies would pin us to one of the source's servers. A proxy does come from the
    environment, as in any production network; it then decides about addresses.

    :raises UnsafeEndpointError: the host is not on the installation's list.
    """
    network.insist_on(urlsplit(url).hostname or "")
    session = requests.Session()
    session.trust_env = False
    if not is_loopback_name(urlsplit(url).hostname or ""):
        session.proxies = get_environ_proxies(url)
    session.max_redirects = 0
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(
        context,
        allow_loopback=allow_loopback,
        allow_private=network.allow_private,
    )
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _InFlight(threading.local):
    """The connection on which this thread waits for an answer."""

    connection: HTTPConnection | None = None
    # A second handle of its socket, as long as TLS has not taken that over.
    handshaking: socket.socket | None = None
    # Whether anything of the latest request may have reached the other side.
    was_sent = False


_in_flight = _InFlight()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Cut this thread's connection when the time is over.

    A read time-out alone starts anew with every byte: a source that sends one byte
    a minute would hold a worker for ever.

    :raises SourceTimeoutError: the time was over.
    """
    _in_flight.connection = None
    _in_flight.was_sent = False
    mine = _in_flight.__dict__
    passed = threading.Event()

    def cut() -> None:
        passed.set()
        for sock in (
            getattr(mine.get("connection"), "sock", None),
            mine.get("handshaking"),
        ):
            if sock is not None:
                _shut_down(sock)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    late = f"The answer was not complete after {seconds:g} s."
    try:
        yield
    except (OSError, urllib3.exceptions.HTTPError) as error:
        if passed.is_set():
            raise SourceTimeoutError(late) from error
        raise
    else:
        # What was cut off in its headers looks like an empty answer.
        if passed.is_set():
            raise SourceTimeoutError(late)
    finally:
        timer.cancel()
        _in_flight.connection = None
        _hands_shaken()


def was_sent() -> bool:
    """Whether the other side may have heard anything of this thread's last request."""
    return _in_flight.was_sent


def _hands_shaken() -> None:
    handle, _in_flight.handshaking = _in_flight.handshaking, None
    if handle is not None:
        handle.close()


def _shut_down(sock: socket.socket) -> None:
    try:
        # The plain method: that of a TLS socket also drops its state, under the
        # feet of the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return


class _Guarded(HTTPConnection):
    """Looks at the address that was reached before anything is sent to it."""

    may_be_local = False
    may_be_private = True

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if self.proxy is None:
            try:
                check_address(
                    sock.getpeername()[0],
                    allow_loopback=self.may_be_local,
                    allow_private=self.may_be_private,
                )
            except UnsafeEndpointError:
                sock.close()
                raise
        _hands_shaken()
        _in_flight.handshaking = sock.dup()
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        _in_flight.connection = self
        _hands_shaken()
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # What fails from here on may have gone out in part.
        _in_flight.was_sent = True
        super().send(data)


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


@cache
def _pools(
    allow_loopback: bool, allow_private: bool
) -> dict[str, type[HTTPConnectionPool]]:
    """Pools by scheme whose connections look at addresses in this way."""
    rules = {"may_be_local": allow_loopback, "may_be_private": allow_private}
    plain = type("_Plain", (_Guarded,), rules)
    secured = type("_Secured", (_GuardedTLS,), rules)
    return {
        "http": type("_Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_TLSPool", (HTTPSConnectionPool,), {"ConnectionCls": secured}),
    }


def check_address(
    address: str, *, allow_loopback: bool, allow_private: bool = True
) -> None:
    """Refuse addresses that no source has.

    :raises UnsafeEndpointError: it is one of them.
    """
    peer = ip_address(address.partition("%")[0])
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    if peer.is_loopback and allow_loopback:
        return
    refused = _OFF_LIMITS if allow_private else _OFF_LIMITS + _PRIVATE
    if peer.is_loopback or any(peer in network for network in refused):
        raise UnsafeEndpointError(
            "The endpoint leads to an address that is off limits."
        )


# Connections to one source that wait for the next request: as many as its budget ever
# has slots, for a new one costs more than the request.
_KEPT_OPEN = 24


class _Adapter(HTTPAdapter):
    """Uses our trust and our connections, also through a proxy."""

    def __init__(
        self, context: ssl.SSLContext, *, allow_loopback: bool, allow_private: bool
    ) -> None:
        self._context = context
        self._pools = _pools(allow_loopback, allow_private)
        super().__init__(pool_maxsize=_KEPT_OPEN, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self._guard(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(
            proxy, **{**kwargs, "ssl_context": self._context}
        )
        self._guard(manager)
        return manager

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Leave trust to the context: requests would add its own list of CAs."""

    def _guard(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = dict(self._pools)
