"""Hold an authority's signing keys: fetched seldom, kept while it is down.

A key is taken by its id from the authority's own document and from nowhere else.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from project.errors import RejectedError
from syncapi.clients.openid import KeysUnavailableError, fetch_signing_keys

__all__ = ["KeyRing", "KeyRings", "KeysUnavailableError", "Pace", "UnknownKeyError"]

MAX_RINGS = 2_000
# How long a request waits for another one that is asking the authority. Short: an
# authority that hangs must not hold all threads of the process.
PATIENCE_SECONDS = 3.0

Fetch = Callable[[], Mapping[str, RSAPublicKey]]


class UnknownKeyError(RejectedError):
    """The authority does not publish a key of this id."""

    code = "unknown_key"


class Authority(Protocol):
    """The part of a trust that says where keys come from."""

    @property
    def authority(self) -> str: ...

    @property
    def ca_certificate(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the authority is asked."""

    refresh: timedelta = timedelta(hours=1)
    # Without a successful refresh for this long, no key is trusted any more.
    keep: timedelta = timedelta(hours=24)
    # An id that the authority does not know must not make every request ask.
    unknown_key_pause: timedelta = timedelta(minutes=5)
    # After a failure: short, because a key that nobody could look up is an outage.
    failure_pause: timedelta = timedelta(seconds=15)


class KeyRing:
    """The keys of one authority. Safe for threads."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        pace: Pace,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._pace = pace
        self._now = now
        self._refreshing = threading.Lock()
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._unknown_at: float | None = None
        self._failed = False

    def key(self, kid: str) -> RSAPublicKey:
        """Return the key of this id; asks the authority when it is time to.

        :raises UnknownKeyError: the authority does not publish it.
        :raises KeysUnavailableError: the authority cannot be asked now.
        """
        found = self._trusted().get(kid)
        if found is None:
            return self._asked_for(kid)
        is_stale = self._is_older(self._fetched_at, self._pace.refresh)
        if is_stale and self._is_older(self._asked_at, self._pace.unknown_key_pause):
            return self._refreshed(kid, known=found)
        return found

    def _refreshed(self, kid: str, *, known: RSAPublicKey) -> RSAPublicKey:
        """Refresh if nobody else does; the others go on with what is known."""
        if not self._refreshing.acquire(blocking=False):
            return known
        try:
            self._refresh()
        except KeysUnavailableError:
            return known
        finally:
            self._refreshing.release()
        return self._published(kid)

    def _asked_for(self, kid: str) -> RSAPublicKey:
        if not self._refreshing.acquire(timeout=PATIENCE_SECONDS):
            raise KeysUnavailableError("The authority takes too long to answer.")
        try:
            if kid not in self._trusted() and self._may_ask():
                self._refresh()
        finally:
            self._refreshing.release()
        return self._published(kid)

    def _may_ask(self) -> bool:
        """Say whether an unknown id is worth a question now.

        :raises KeysUnavailableError: the last question failed, a moment ago.
        """
        if self._failed:
            if not self._is_older(self._asked_at, self._pace.failure_pause):
                raise KeysUnavailableError("The authority did not answer just now.")
            return True
        if not self._trusted():
            return True
        # The first fetch does not count, so that a rollover right after it is
        # followed at once.
        if not self._is_older(self._unknown_at, self._pace.unknown_key_pause):
            return False
        self._unknown_at = self._now()
        return True

    def _published(self, kid: str) -> RSAPublicKey:
        key = self._trusted().get(kid)
        if key is None:
            raise UnknownKeyError("The authority does not publish this key.")
        return key

    def _refresh(self) -> None:
        self._asked_at, self._failed = self._now(), True
        self._keys = self._fetch()
        self._fetched_at, self._failed = self._now(), False

    def _trusted(self) -> Mapping[str, RSAPublicKey]:
        return {} if self._is_older(self._fetched_at, self._pace.keep) else self._keys

    def _is_older(self, moment: float | None, age: timedelta) -> bool:
        return moment is None or self._now() - moment >= age.total_seconds()


class KeyRings:
    """One ring per authority and certificate, the least used forgotten first."""

    def __init__(
        self, *, pace: Pace | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._pace = pace or Pace()
        self._now = now
        self._lock = threading.Lock()
        self._rings: OrderedDict[tuple[str, str], KeyRing] = OrderedDict()

    def ring(self, trust: Authority) -> KeyRing:
        place = (trust.authority, trust.ca_certificate)
        with self._lock:
            ring = self._rings.get(place)
            if ring is None:
                ring = self._rings[place] = self._new_ring(*place)
            self._rings.move_to_end(place)
            while len(self._rings) > MAX_RINGS:
                self._rings.popitem(last=False)
        return ring

    def _new_ring(self, authority: str, ca_certificate: str) -> KeyRing:
        return KeyRing(
            lambda: fetch_signing_keys(authority, ca_certificate=ca_certificate),
            pace=self._pace,
            now=self._now,
        )
