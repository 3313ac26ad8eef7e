"""Decide what a source's trouble means for everybody who asks it. Pure.

Concurrency follows additive increase and multiplicative decrease; a breaker keeps
workers away from a source that hangs or is down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from provisioning.domain.retries import transient_delay

FIRST_WINDOW = 2.0
WIDEST_WINDOW = 16.0
# So many answers without trouble, for so long, and one more may be in flight.
GROWS_AFTER_ANSWERS = 20
GROWS_AFTER = timedelta(seconds=10)
# Requests that fail together are one piece of news.
ONE_NEWS = timedelta(seconds=1)
# A source that fails once may have had bad luck.
FAILURES_TOLERATED = 3
FIRST_OPEN = timedelta(seconds=5)
LONGEST_OPEN = timedelta(minutes=5)
# Of one thread's time, a source that hangs gets at most a fifth.
OPEN_PER_SECOND_LOST = 4
SLOWEST_PACE = 0.2
# Beyond this, waiting between requests is not worth the while.
FASTEST_PACE = 50.0
PACE_GROWS_BY = 1.25
# Nobody comes back before a pause is over, and not all in the same moment.
SPREAD = 0.1


class Kind(StrEnum):
    THROTTLED = "throttled"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One request that went wrong, and how long it took to do so.

    `pace` is how many requests a second its sender had made lately.
    """

    kind: Kind
    took: timedelta = timedelta()
    retry_after: timedelta | None = None
    pace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a source; the last three are periods from now."""

    window: float = FIRST_WINDOW
    pace: float | None = None
    failures: int = 0
    trips: int = 0
    unchanged_for: timedelta = GROWS_AFTER
    paused_for: timedelta = timedelta()
    # None: the breaker is closed. Zero or less: one may try.
    open_for: timedelta | None = None


def after_trouble(before: Standing, trouble: Trouble, *, jitter: float) -> Standing:
    """Return the standing after a request failed; `jitter` is random, from 0 to 1."""
    after = replace(before, failures=before.failures + 1)
    if before.unchanged_for >= ONE_NEWS or before.window == FIRST_WINDOW:
        after = replace(
            after, window=max(1.0, before.window / 2), unchanged_for=timedelta()
        )
    pause = _pause(trouble, failures=after.failures, jitter=jitter)
    after = replace(after, paused_for=max(before.paused_for, pause))
    if trouble.kind is Kind.THROTTLED:
        return replace(after, pace=_slower(before.pace, trouble.pace))
    if _is_too_much(after, trouble):
        delay = _open_for(trouble, trips=before.trips, jitter=jitter)
        now_open = max(before.open_for or timedelta(), delay)
        return replace(after, open_for=now_open, trips=before.trips + 1)
    return after


def faster(pace: float | None) -> float | None:
    """Return the pace after a good while; None is unlimited."""
    if pace is None or pace * PACE_GROWS_BY > FASTEST_PACE:
        return None
    return pace * PACE_GROWS_BY


def _is_too_much(after: Standing, trouble: Trouble) -> bool:
    # The one that tries while the breaker is half open decides for all.
    return (
        trouble.kind is Kind.TIMED_OUT
        or after.open_for is not None
        or after.failures >= FAILURES_TOLERATED
    )


def _pause(trouble: Trouble, *, failures: int, jitter: float) -> timedelta:
    if trouble.retry_after is not None:
        return trouble.retry_after * (1 + SPREAD * jitter)
    if trouble.kind is Kind.THROTTLED:
        return transient_delay(attempts=failures, jitter=jitter)
    return timedelta()


def _slower(pace: float | None, observed: float | None) -> float | None:
    known = [value for value in (pace, observed) if value is not None]
    return max(SLOWEST_PACE, min(known) / 2) if known else None


def _open_for(trouble: Trouble, *, trips: int, jitter: float) -> timedelta:
    doubled: timedelta = FIRST_OPEN * 2 ** min(trips, 16)
    delay = min(max(doubled, trouble.took * OPEN_PER_SECOND_LOST), LONGEST_OPEN)
    return delay * (1 + 2 * SPREAD * jitter)
