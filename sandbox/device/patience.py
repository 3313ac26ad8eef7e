"""Decides how long to wait before the next attempt, and when to give up."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from sandbox.device.errors import UnavailableError

RETRIES = 8
FIRST_DELAY = timedelta(seconds=0.5)
LONGEST_DELAY = timedelta(seconds=30)
# What a service asks for is obeyed exactly; beyond this the caller decides.
LONGEST_RETRY_AFTER = timedelta(minutes=5)


class Patience:
    """Counts the failures since the last progress."""

    def __init__(
        self, *, sleep: Callable[[float], None], retries: int = RETRIES
    ) -> None:
        self._sleep = sleep
        self._retries = retries
        self._failures = 0

    def renew(self) -> None:
        self._failures = 0

    def wait_after(self, error: UnavailableError) -> None:
        """Sleep until the next attempt is due.

        :raises UnavailableError: the given one, when it is time to give up.
        """
        self._failures += 1
        asked = error.retry_after
        if self._failures > self._retries or (asked and asked > LONGEST_RETRY_AFTER):
            raise error
        self._sleep(
            (backoff(self._failures) if asked is None else asked).total_seconds()
        )


def backoff(failures: int) -> timedelta:
    # The jitter keeps devices that lost the service together from coming back so.
    longest = min(FIRST_DELAY * (1 << min(failures - 1, 16)), LONGEST_DELAY)
    return longest * random.uniform(0.5, 1)  # noqa: S311  not a secret
