"""Decides which links belong to a source, and where they lead. Pure.

Links are opaque: what follows the origin is sent back exactly as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

from replication.odata.errors import ForeignLinkError, UnsafeEndpointError

_PORTS = {"https": 443, "http": 80}
_AUTHORITY = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#\\]*)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a source; whatever differs is another's."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(endpoint: str, *, allow_loopback: bool) -> Origin:
    """Return the origin of a source's endpoint.

    :raises UnsafeEndpointError: not HTTPS (plain HTTP is for loopback only, where
        that is allowed), or not an address of a service at all.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise UnsafeEndpointError("The endpoint is no URL.") from error
    host = (parts.hostname or "").rstrip(".")
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise UnsafeEndpointError("The endpoint must be https://host[:port]/path.")
    local = allow_loopback and is_loopback_name(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise UnsafeEndpointError("The endpoint must begin with https://.")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])


def is_loopback_name(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def resolve(link: str, *, request_url: str) -> str:
    """Return the absolute form of a link; an absolute one stays as it is.

    :raises ForeignLinkError: it is no link.
    """
    if _AUTHORITY.match(link):
        return link
    if "\\" in link:
        raise ForeignLinkError("The source sent a link with a backslash.")
    try:
        return urljoin(request_url, link)
    except ValueError as error:
        raise ForeignLinkError("The source sent a link that is no URL.") from error


def target_of(url: str, *, origin: Origin) -> str:
    """Return the path and query of a URL, verbatim.

    A request is then sent to the origin with this target, so that no two readers
    of a URL can ever disagree about its host.

    :raises ForeignLinkError: the URL belongs to somebody else.
    """
    match = _AUTHORITY.match(url)
    if match is None or _origin(match["scheme"], match["host"]) != origin:
        raise ForeignLinkError(f"A link leads away from {origin}; it was not followed.")
    target = url[match.end() :].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _origin(scheme: str, authority: str) -> Origin | None:
    scheme = scheme.lower()
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        port = parts.port or _PORTS.get(scheme)
    except ValueError:
        return None
    if "@" in authority or not parts.hostname or port is None:
        return None
    return Origin(scheme, parts.hostname.rstrip("."), port)
