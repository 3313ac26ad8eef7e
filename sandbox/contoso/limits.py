"""Service protection: how much one user may ask for, and how long he is told to wait.

Counted by user over a sliding window, as Dataverse does. Whoever asks again
before the time that he was told is told twice as long, up to two windows. Off
unless switched on by settings.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from time import monotonic

from sandbox.contoso.errors import (
    TOO_MANY_AT_ONCE,
    TOO_MANY_REQUESTS,
    TOO_MUCH_TIME,
    WebApiError,
)

WINDOW_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is allowed in a window; 0 allows anything."""

    requests: int = 0
    execution_seconds: int = 0
    concurrent: int = 0
    window_seconds: int = WINDOW_SECONDS

    @property
    def are_off(self) -> bool:
        return not (self.requests or self.execution_seconds or self.concurrent)


@dataclass(slots=True)
class _Usage:
    """One user's requests of the window: when each ended, and how long it took."""

    finished: deque[tuple[float, float]] = field(default_factory=deque)
    running: int = 0
    blocked_until: float = 0.0
    told: int = 0
    refusal: tuple[str, str] | None = None

    def forget(self, before: float) -> None:
        while self.finished and self.finished[0][0] <= before:
            self.finished.popleft()

    @property
    def spent(self) -> float:
        return sum(seconds for _, seconds in self.finished)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of the window after a request; None where nothing is counted."""

    requests: int | None = None
    seconds: float | None = None


class Gate:
    """Lets requests through while their user has something left."""

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._usages: dict[str, _Usage] = {}
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, user: str, limits: Limits) -> Iterator[None]:
        """:raises WebApiError: too much was asked for; 429 with `Retry-After`."""
        if limits.are_off:
            yield
            return
        began = self._now()
        with self._lock:
            usage = self._usages.setdefault(user, _Usage())
            usage.forget(began - limits.window_seconds)
            _insist(usage, limits, now=began)
            usage.running += 1
        try:
            yield
        finally:
            ended = self._now()
            with self._lock:
                usage.running -= 1
                usage.finished.append((ended, ended - began))

    def remaining(self, user: str, limits: Limits) -> Remaining:
        with self._lock:
            usage = self._usages.get(user)
            if usage is None or limits.are_off:
                return Remaining()
            left = limits.requests - len(usage.finished) if limits.requests else None
            seconds = limits.execution_seconds
            return Remaining(left, seconds - usage.spent if seconds else None)

    def clear(self) -> None:
        with self._lock:
            self._usages.clear()


def _insist(usage: _Usage, limits: Limits, *, now: float) -> None:
    refusal = _refusal(usage, limits)
    if refusal is None and now < usage.blocked_until:
        refusal = usage.refusal
    if refusal is None:
        return
    code, message = refusal
    wait = 1
    if code != TOO_MANY_AT_ONCE:
        oldest = usage.finished[0][0] if usage.finished else now
        wait = max(1, ceil(oldest + limits.window_seconds - now))
        if now < usage.blocked_until:
            # Ignored: the answer grows, up to two windows.
            wait = max(wait, min(usage.told * 2, limits.window_seconds * 2))
        usage.told, usage.blocked_until, usage.refusal = wait, now + wait, refusal
    raise WebApiError(429, code, message, headers={"Retry-After": str(wait)})


def _refusal(usage: _Usage, limits: Limits) -> tuple[str, str] | None:
    window = limits.window_seconds
    if limits.concurrent and usage.running >= limits.concurrent:
        return (
            TOO_MANY_AT_ONCE,
            f"Number of concurrent requests exceeded the limit of {limits.concurrent}.",
        )
    if limits.requests and len(usage.finished) + usage.running >= limits.requests:
        return (
            TOO_MANY_REQUESTS,
            (
                f"Number of requests exceeded the limit of {limits.requests} over time"
                f" window of {window} seconds."
            ),
        )
    if limits.execution_seconds and usage.spent >= limits.execution_seconds:
        return (
            TOO_MUCH_TIME,
            (
                "Combined execution time of incoming requests exceeded limit of"
                f" {limits.execution_seconds * 1000:,} milliseconds over time window of"
                f" {window} seconds. Decrease number of concurrent requests or reduce"
                " the duration of requests and try again later."
            ),
        )
    return None
