"""Sends requests one after the other, as fast as the source bears, and says how it went."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from project.errors import SyncError, TransientError
from replication.odata.answers import Reply, retry_after
from replication.odata.errors import (
    SourceTimeoutError,
    SourceUnavailableError,
    UnknownOutcomeError,
)
from replication.odata.transport import Transport, writing

_THROTTLED = HTTPStatus.TOO_MANY_REQUESTS
_FAILED = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
_TIMED_OUT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})


class SourceShutError(TransientError):
    """The source asked for patience or is broken; nothing was requested."""

    code = "source_shut"


class Observer(Protocol):
    """Decides whether a request may be made now, and hears what became of it."""

    def admit(self) -> None:
        """Return when a request may be sent; wait for a moment at most.

        :raises SourceShutError: not soon.
        """

    def answered(self) -> None:
        """The source did its work, whatever it thinks of the request."""

    def throttled(self, pause: timedelta | None) -> None:
        """The source wants fewer requests."""

    def timed_out(self, took: timedelta, pause: timedelta | None) -> None:
        """The source hangs."""

    def failed(self, took: timedelta, pause: timedelta | None) -> None:
        """The source, or the way to it, is down."""


class MeasuredTransport:
    """A transport with one request in flight, watched by an observer."""

    def __init__(self, transport: Transport, observer: Observer) -> None:
        self._transport = transport
        self._observer = observer
        self._one_at_a_time = threading.Lock()

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """See `Transport.get`.

        :raises SourceShutError: nobody may ask the source now.
        """
        return self._watched(lambda: self._transport.get(url, headers=headers))

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """See `WritingTransport.send`.

        :raises SourceShutError: nobody may ask the source now.
        """
        inner = writing(self._transport)
        return self._watched(
            lambda: inner.send(method, url, headers=headers, body=body)
        )

    @property
    def time_limit(self) -> timedelta:
        return writing(self._transport).time_limit

    def _watched(self, request: Callable[[], Reply]) -> Reply:
        with self._one_at_a_time:
            self._observer.admit()
            began = time.monotonic()
            try:
                reply = request()
            except UnknownOutcomeError as error:
                self._note(error.reason, took=_since(began))
                raise
            except (SourceTimeoutError, SourceUnavailableError) as error:
                self._note(error, took=_since(began))
                raise
            self._judge(reply, took=_since(began))
            return reply

    def _note(self, error: SyncError, *, took: timedelta) -> None:
        if isinstance(error, SourceTimeoutError):
            self._observer.timed_out(took, error.retry_after)
        elif isinstance(error, SourceUnavailableError):
            self._observer.failed(took, error.retry_after)

    def _judge(self, reply: Reply, *, took: timedelta) -> None:
        status = reply.status
        if status < HTTPStatus.BAD_REQUEST:
            self._observer.answered()
            return
        pause = retry_after(reply.headers, now=datetime.now(UTC))
        if status == _THROTTLED:
            self._observer.throttled(pause)
        elif status in _TIMED_OUT:
            self._observer.timed_out(took, pause)
        elif status in _FAILED:
            self._observer.failed(took, pause)
        else:
            self._observer.answered()


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)
