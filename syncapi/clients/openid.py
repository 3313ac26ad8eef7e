"""Fetch an authority's signing keys by OpenID Connect discovery.

Guarded as sources are: addresses and hosts, own origin only, no redirects, limits of
time and size.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import jwt
import msgspec
import requests
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings

from project.errors import TransientError
from replication.odata.connections import Network, deadline, new_session, trust
from replication.odata.errors import SourceTimeoutError, UnsafeEndpointError

CONNECT_SECONDS = 5.0
READ_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 100
MIN_KEY_BITS = 2048


class KeysUnavailableError(TransientError):
    """The authority does not answer, or not with what it should."""

    code = "unavailable"


def fetch_signing_keys(
    authority: str, *, ca_certificate: str
) -> Mapping[str, RSAPublicKey]:
    """Return the authority's RSA keys by id.

    :raises KeysUnavailableError: they cannot be had now.
    """
    origin = _checked(urlsplit(authority))
    with _session(authority, ca_certificate) as session:
        about = _document(session, f"{authority}/.well-known/openid-configuration")
        jwks_uri = str(about.get("jwks_uri", ""))
        if _origin(urlsplit(jwks_uri)) != origin:
            raise KeysUnavailableError("The authority keeps its keys elsewhere.")
        keys = _document(session, jwks_uri).get("keys")
    usable = _usable(keys if isinstance(keys, list) else [])
    if not usable:
        # An empty answer must not replace keys that are known to be good.
        raise KeysUnavailableError("The authority publishes no usable key.")
    return usable


def _session(authority: str, ca_certificate: str) -> requests.Session:
    """Return a session with the guard that sources have: trust, addresses, no cookies.

    :raises KeysUnavailableError: the authority must not be talked to.
    """
    try:
        session = new_session(
            authority,
            context=trust(ca_certificate, also_system=True),
            allow_loopback=settings.SOURCE_ALLOW_LOOPBACK,
            network=Network(
                hosts=settings.SOURCE_HOSTS,
                allow_private=settings.SOURCE_ALLOW_PRIVATE,
            ),
        )
    except UnsafeEndpointError as error:
        raise KeysUnavailableError(str(error)) from error
    session.headers["Accept"] = "application/json"
    return session


def _document(session: requests.Session, url: str) -> dict[str, Any]:
    # Not through the session: it would read the body of a redirect, whatever its size.
    adapter = session.get_adapter(url)
    request = session.prepare_request(requests.Request("GET", url))
    try:
        with (
            deadline(TOTAL_SECONDS / 2),
            adapter.send(
                request,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                proxies=session.proxies,
            ) as response,
        ):
            if response.status_code != requests.codes.ok:
                message = f"The authority answered {response.status_code}."
                raise KeysUnavailableError(message)
            content = _limited(response)
        return msgspec.json.decode(content, type=dict[str, Any])
    except (UnsafeEndpointError, SourceTimeoutError) as error:
        raise KeysUnavailableError(str(error)) from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        UnicodeError,
    ) as error:
        raise KeysUnavailableError("The authority does not answer.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise KeysUnavailableError("The authority answers no JSON.") from error


def _limited(response: requests.Response) -> bytes:
    content = bytearray()
    for piece in response.iter_content(16 * 1024):
        content += piece
        if len(content) > MAX_DOCUMENT_BYTES:
            raise KeysUnavailableError("The authority's document is too large.")
    return bytes(content)


def _usable(keys: list[Any]) -> dict[str, RSAPublicKey]:
    found: dict[str, RSAPublicKey] = {}
    for description in keys[:MAX_KEYS]:
        if isinstance(description, dict) and _may_verify(description):
            try:
                key = jwt.PyJWK(description, algorithm="RS256").key
            except (jwt.PyJWTError, ValueError, TypeError):
                continue  # one key that cannot be read does not spoil the others
            if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS:
                found[description["kid"]] = key
    return found


def _may_verify(description: dict[str, Any]) -> bool:
    return (
        isinstance(description.get("kid"), str)
        and description.get("kty") == "RSA"
        and description.get("use", "sig") == "sig"
        and description.get("alg", "RS256") == "RS256"
    )


def _checked(url: SplitResult) -> tuple[str, str, int | None]:
    """Insist on HTTPS; plain HTTP only to this machine, where that is allowed."""
    is_allowed = url.scheme == "https" or (
        url.scheme == "http"
        and settings.SOURCE_ALLOW_LOOPBACK
        and _is_loopback(url.hostname or "")
    )
    if not is_allowed:
        raise KeysUnavailableError("The authority must be reached by HTTPS.")
    return _origin(url)


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    try:
        return url.scheme, url.hostname or "", url.port
    except ValueError as error:
        raise KeysUnavailableError("The authority's address is not one.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
