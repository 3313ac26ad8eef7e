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
    url: str, *, context: ssl.SSLContext, allow_loopback: bool
) -> requests.Session:
    """Return a session for this address without cookies, `.netrc` and redirects.

    Cookies would pin us to one of the source's servers. A proxy does come from the
    environment, as in any production network; it then decides about addresses.
    """
    session = requests.Session()
    session.trust_env = False
    if not is_loopback_name(urlsplit(url).hostname or ""):
        session.proxies = get_environ_proxies(url)
    session.max_redirects = 0
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(context, allow_loopback=allow_loopback)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _InFlight(threading.local):
    """The connection on which this thread waits for an answer."""

    connection: HTTPConnection | None = None


_in_flight = _InFlight()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Cut this thread's connection when the time is over.

    A read time-out alone starts anew with every byte: a source that sends one byte
    a minute would hold a worker for ever.

    :raises SourceTimeoutError: the time was over.
    """
    _in_flight.connection = None
    mine = _in_flight.__dict__
    passed = threading.Event()

    def cut() -> None:
        passed.set()
        sock = getattr(mine.get("connection"), "sock", None)
        if sock is not None:
            _shut_down(sock)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, urllib3.exceptions.HTTPError) as error:
        if passed.is_set():
            message = f"The answer was not complete after {seconds:g} s."
            raise SourceTimeoutError(message) from error
        raise
    finally:
        timer.cancel()
        _in_flight.connection = None


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

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if self.proxy is None:
            try:
                check_address(sock.getpeername()[0], allow_loopback=self.may_be_local)
            except UnsafeEndpointError:
                sock.close()
                raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        _in_flight.connection = self
        super().request(*args, **kwargs)


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


class _LocalGuarded(_Guarded):
    may_be_local = True


class _LocalGuardedTLS(_GuardedTLS):
    may_be_local = True


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


class _LocalPool(HTTPConnectionPool):
    ConnectionCls = _LocalGuarded


class _LocalTLSPool(HTTPSConnectionPool):
    ConnectionCls = _LocalGuardedTLS


def check_address(address: str, *, allow_loopback: bool) -> None:
    """Refuse addresses that no source has.

    :raises UnsafeEndpointError: it is one of them.
    """
    peer = ip_address(address.partition("%")[0])
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    if peer.is_loopback and allow_loopback:
        return
    if peer.is_loopback or any(peer in network for network in _OFF_LIMITS):
        raise UnsafeEndpointError(
            "The endpoint leads to an address that is off limits."
        )


class _Adapter(HTTPAdapter):
    """Uses our trust and our connections, also through a proxy."""

    def __init__(self, context: ssl.SSLContext, *, allow_loopback: bool) -> None:
        self._context = context
        self._pools: dict[str, type[HTTPConnectionPool]] = (
            {"http": _LocalPool, "https": _LocalTLSPool}
            if allow_loopback
            else {"http": _Pool, "https": _TLSPool}
        )
        super().__init__(max_retries=0)

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
