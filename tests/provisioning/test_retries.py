"""After a failure: when work is tried again, and when it waits for an operator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from project.errors import MisconfiguredError, RejectedError, TransientError
from provisioning.domain.retries import (
    DefectReport,
    Halt,
    RetryAfter,
    after_failure,
)

NO_SPREAD = 0.5
DEFECT = DefectReport(type_name="KeyError", message="'name'")


def seconds(error, *, attempts, jitter=NO_SPREAD):
    decision = after_failure(error, attempts=attempts, jitter=jitter)
    assert isinstance(decision, RetryAfter)
    return decision.delay.total_seconds()


def test_waiting_doubles_with_every_transient_failure():
    busy = TransientError("Busy.")

    assert [seconds(busy, attempts=n) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]


@pytest.mark.parametrize("attempts", [9, 100, 100_000])
def test_a_transient_failure_never_halts_and_never_waits_over_fifteen_minutes(attempts):
    assert seconds(TransientError("Busy."), attempts=attempts, jitter=1) == 15 * 60


def test_failures_that_came_together_are_spread_by_a_quarter_each_way():
    busy = TransientError("Busy.")

    assert seconds(busy, attempts=3, jitter=0) == 15
    assert seconds(busy, attempts=3, jitter=1) == 25


def test_the_source_is_never_asked_before_the_time_it_named():
    busy = TransientError("Busy.", retry_after=timedelta(minutes=40))

    assert seconds(busy, attempts=1) == 40 * 60


def test_a_shorter_wish_of_the_source_does_not_shorten_the_waiting():
    busy = TransientError("Busy.", retry_after=timedelta(seconds=1))

    assert seconds(busy, attempts=4) == 40


@pytest.mark.parametrize(
    "error", [MisconfiguredError("Bad key."), RejectedError("No.")]
)
def test_what_an_operator_must_change_is_tried_from_minutes_to_an_hour_apart(error):
    delays = [seconds(error, attempts=n) / 60 for n in range(1, 8)]

    assert delays == [1, 2, 4, 8, 16, 32, 60]


@pytest.mark.parametrize("error", [MisconfiguredError("Bad key."), DEFECT])
def test_what_waiting_does_not_cure_halts_at_the_eighth_attempt(error):
    assert isinstance(after_failure(error, attempts=7, jitter=0), RetryAfter)
    assert after_failure(error, attempts=8, jitter=0) == Halt()


def test_a_defect_is_tried_again_as_soon_as_a_transient_failure():
    assert [seconds(DEFECT, attempts=n) for n in (1, 2, 3)] == [5, 10, 20]
