"""Decide whether, and after how long, failed work is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from project.errors import MisconfiguredError, SyncError, TransientError

FIRST_TRANSIENT_DELAY = timedelta(seconds=5)
LONGEST_TRANSIENT_DELAY = timedelta(minutes=15)
FIRST_MISCONFIGURED_DELAY = timedelta(minutes=1)
LONGEST_MISCONFIGURED_DELAY = timedelta(hours=1)
# What waiting alone will not cure is tried this often before it waits for an
# operator.
HOPELESS_AFTER = 8
# A lost lease is mostly a restarted worker; this many in a row are a poisoned
# item that takes its worker down.
LOST_LEASES_TOLERATED = 20
# Many items fail together when their source does; spread, they come back apart.
SPREAD = 0.25


class Failure(StrEnum):
    """Whose turn it is after a failure; each kind counts its own attempts."""

    TRANSIENT = "transient"
    MISCONFIGURED = "misconfigured"
    DEFECT = "defect"


@dataclass(frozen=True, slots=True)
class DefectReport:
    """An exception that nobody foresaw, as the runner caught it."""

    type_name: str
    message: str


@dataclass(frozen=True, slots=True)
class RetryAfter:
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop until an operator resumes the work."""


def failure_of(error: SyncError | DefectReport) -> Failure:
    match error:
        case DefectReport():
            return Failure.DEFECT
        case TransientError():
            return Failure.TRANSIENT
        case _:
            return Failure.MISCONFIGURED


def after_failure(
    error: SyncError | DefectReport, *, attempts: int, jitter: float
) -> RetryAfter | Halt:
    """Decide after the attempt with this number, the first being 1.

    `jitter` is a random number from 0 to 1.
    """
    failure = failure_of(error)
    if failure is not Failure.TRANSIENT and attempts >= _hopeless_after(error):
        return Halt()
    if failure is Failure.MISCONFIGURED:
        delay = _backoff(
            attempts,
            first=FIRST_MISCONFIGURED_DELAY,
            longest=LONGEST_MISCONFIGURED_DELAY,
        )
        return RetryAfter(delay)
    delay = transient_delay(attempts=attempts, jitter=jitter)
    wanted = error.retry_after if isinstance(error, TransientError) else None
    return RetryAfter(delay if wanted is None else max(delay, wanted))


def _hopeless_after(error: SyncError | DefectReport) -> int:
    if isinstance(error, MisconfiguredError):
        return error.hopeless_after
    return HOPELESS_AFTER


def transient_delay(*, attempts: int, jitter: float) -> timedelta:
    delay = _backoff(
        attempts, first=FIRST_TRANSIENT_DELAY, longest=LONGEST_TRANSIENT_DELAY
    )
    return min(delay * (1 - SPREAD + 2 * SPREAD * jitter), LONGEST_TRANSIENT_DELAY)


def _backoff(attempts: int, *, first: timedelta, longest: timedelta) -> timedelta:
    # The exponent is bounded because timedelta overflows long before an int does.
    growth: int = 2 ** min(max(attempts - 1, 0), 16)
    return min(first * growth, longest)
