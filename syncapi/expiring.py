"""A small store in memory that forgets: by age, and the oldest when it is full."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Safe for threads. Holds at most `capacity` values, each for `seconds`."""

    def __init__(
        self,
        *,
        capacity: int,
        seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            until, value = found
            if until <= self._now():
                del self._values[key]
                return None
            self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V, *, at_most_seconds: float | None = None) -> None:
        seconds = self._seconds
        if at_most_seconds is not None:
            seconds = min(seconds, at_most_seconds)
        with self._lock:
            self._values[key] = (self._now() + seconds, value)
            self._values.move_to_end(key)
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)

    def discard(self, key: K) -> None:
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
