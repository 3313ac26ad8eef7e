"""Sends requests to one source, within limits of time and size.

The token is attached after the address was compared with the source's origin, and
never leaves it: redirects are not followed.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Protocol, runtime_checkable
from uuid import uuid4

import requests
import urllib3

from project.errors import SyncError
from replication.odata import links
from replication.odata.answers import Reply
from replication.odata.connections import (
    ANYWHERE,
    Network,
    deadline,
    new_session,
    trust,
    was_sent,
)
from replication.odata.credentials import Credential
from replication.odata.errors import (
    AnswerTooLargeError,
    MalformedAnswerError,
    SourceTimeoutError,
    SourceUnavailableError,
    UnknownOutcomeError,
    UntrustedSourceError,
)

USER_AGENT = "Waystation/1"

_CHUNK = 64 * 1024

# Small bodies may be as repetitive as they like.
_RATIO_FLOOR = 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one answer may cost; times in seconds, sizes in bytes."""

    connect: float = 5
    read: float = 60
    total: float = 120
    body: int = 32 * 1024 * 1024
    # Decoded bytes for each byte that travelled.
    ratio: int = 100


class Transport(Protocol):
    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Return the answer, whatever its status.

        :raises TransientError: no answer came, or it passes the limits.
        :raises MisconfiguredError: the source must not be talked to.
        """


@runtime_checkable
class WritingTransport(Transport, Protocol):
    """A transport that changes things, too."""

    @property
    def time_limit(self) -> timedelta:
        """No request of `send` lasts longer."""

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Make a request that changes something; return the answer, as `get` does.

        :raises UnknownOutcomeError: it was sent, and no answer could be had.
        :raises SyncError: any other says that nothing was sent.
        """


def writing(transport: Transport) -> WritingTransport:
    """Return the transport as one that changes things.

    :raises TypeError: it only reads.
    """
    if not isinstance(transport, WritingTransport):
        raise TypeError("The transport only reads.")
    return transport


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


_Exchange = Callable[[str, _Request, str | None], Reply]


class RequestsTransport:
    """Talks to one source with `requests`; threads may share it."""

    def __init__(
        self,
        endpoint: str,
        *,
        credential: Credential,
        ca_certificate: str = "",
        allow_loopback: bool = False,
        limits: Limits | None = None,
        network: Network = ANYWHERE,
    ) -> None:
        self._origin = links.origin_of(endpoint, allow_loopback=allow_loopback)
        self._credential = credential
        self._limits = limits or Limits()
        self._session = new_session(
            endpoint,
            context=trust(ca_certificate),
            allow_loopback=allow_loopback,
            network=network,
        )

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """See `Transport.get`; a refused token is renewed once."""
        # Keeps caches on the way from answering.
        sent = {"If-None-Match": "null", **headers}
        return self._authorized(_Request("GET", url, sent), self._exchange)

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """See `Transport.send`; a refused token is renewed once."""
        asked = _Request(method, url, headers, body)
        return self._authorized(asked, self._exchange_once)

    @property
    def time_limit(self) -> timedelta:
        return timedelta(seconds=self._limits.connect + self._limits.total)

    def close(self) -> None:
        self._session.close()

    def _authorized(self, asked: _Request, exchange: _Exchange) -> Reply:
        target = links.target_of(asked.url, origin=self._origin)
        authorization = self._credential.authorization()
        reply = exchange(target, asked, authorization)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return reply
        renewed = self._credential.renew(refused=authorization)
        if renewed is None:
            return reply
        return exchange(target, asked, renewed)

    def _exchange_once(
        self, target: str, asked: _Request, authorization: str | None
    ) -> Reply:
        """Tell a request that failed on its way from one that was not sent."""
        try:
            return self._exchange(target, asked, authorization)
        except SyncError as error:
            if was_sent():
                raise UnknownOutcomeError(error) from error
            raise

    def _exchange(
        self, target: str, asked: _Request, authorization: str | None
    ) -> Reply:
        request = self._prepared(target, asked, authorization)
        limits = self._limits
        # Not through the session: it reads the body of a redirect whole, past our
        # limits, even when told not to follow.
        adapter = self._session.get_adapter(str(self._origin))
        try:
            with (
                deadline(limits.total),
                adapter.send(
                    request,
                    stream=True,
                    timeout=(limits.connect, limits.read),
                    proxies=self._session.proxies,
                ) as response,
            ):
                body = b"".join(_decoded(response, limits))
                return Reply(
                    status=response.status_code, headers=response.headers, body=body
                )
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            raise _translated(error) from error

    def _prepared(
        self, target: str, asked: _Request, authorization: str | None
    ) -> requests.PreparedRequest:
        sent = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "OData-Version": "4.0",
            "OData-MaxVersion": "4.0",
            "x-ms-client-request-id": str(uuid4()),
            **asked.headers,
        }
        if authorization is not None:
            sent["Authorization"] = authorization
        request = self._session.prepare_request(
            requests.Request(
                asked.method, f"{self._origin}/", headers=sent, data=asked.body
            )
        )
        # Set here, because requests would decode and encode an opaque link anew.
        request.url = f"{self._origin}{target}"
        return request


def _decoded(response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """Yield the body, decoded, as long as it stays within the limits."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    chunks = response.raw.stream(_CHUNK, decode_content=False)
    if encoding in {"", "identity"}:
        yield from _counted(chunks, limits.body)
    elif encoding == "gzip":
        yield from _unzipped(chunks, limits)
    else:
        raise MalformedAnswerError("The source used a compression not asked for.")


def _counted(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        yield chunk


def _unzipped(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield what is inside gzip; it may consist of several members."""
    unzip = zlib.decompressobj(_GZIP)
    travelled = size = 0
    for chunk in chunks:
        travelled += len(chunk)
        rest = chunk
        while rest:
            if unzip.eof:
                unzip = zlib.decompressobj(_GZIP)
            piece = _inflate(unzip, rest, limits.body - size + 1)
            size += len(piece)
            if size > limits.body:
                raise _too_large(limits.body)
            if size > max(_RATIO_FLOOR, travelled * limits.ratio):
                raise AnswerTooLargeError(
                    f"The answer is compressed over {limits.ratio} times."
                )
            yield piece
            rest = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    if travelled and not unzip.eof:
        raise MalformedAnswerError("The compressed answer ends too early.")


def _inflate(unzip: zlib._Decompress, data: bytes, most: int) -> bytes:
    try:
        return unzip.decompress(data, most)
    except zlib.error as error:
        raise MalformedAnswerError("The answer is no gzip.") from error


def _too_large(most: int) -> AnswerTooLargeError:
    return AnswerTooLargeError(f"The answer is larger than {most} bytes.")


def _translated(error: Exception) -> Exception:
    """Return what a failure below HTTP means for a work item."""
    if _has_cause(error, ssl.SSLCertVerificationError):
        return UntrustedSourceError(
            f"The certificate is not trusted: {_reason(error)}."
        )
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return SourceTimeoutError("The source did not answer in time.")
    if _has_cause(error, urllib3.exceptions.NameResolutionError):
        return SourceUnavailableError("The source's host name cannot be resolved.")
    if _has_cause(error, ConnectionRefusedError):
        return SourceUnavailableError("Nobody listens at the source's address.")
    if isinstance(error, requests.exceptions.InvalidURL | UnicodeError):
        return MalformedAnswerError("The link cannot be requested.")
    return SourceUnavailableError(f"The connection failed: {type(error).__name__}.")


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    return _cause(error, kind) is not None


def _reason(error: Exception) -> str:
    found = _cause(error, ssl.SSLCertVerificationError)
    return getattr(found, "verify_message", "") or "verification failed"


def _cause(
    error: BaseException | None, kind: type[BaseException]
) -> BaseException | None:
    """Find an exception among the arguments, reasons and contexts of another."""
    for _ in range(10):
        if error is None or isinstance(error, kind):
            return error
        nested = [error.__cause__, error.__context__, getattr(error, "reason", None)]
        nested += [arg for arg in error.args if isinstance(arg, BaseException)]
        error = next(
            (e for e in reversed(nested) if isinstance(e, BaseException)), None
        )
    return None
