"""Let a work item ask its source: with a slot of the budget, and as long as it may."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import OperationalError, connection

from provisioning.domain.budgets import Kind, Trouble
from provisioning.models import Organization
from provisioning.services import budgets
from provisioning.services.budgets import Slot, Spent
from replication.odata.client import ODataSource
from replication.odata.measured import SourceShutError

# A worker's thread has better things to do than to wait longer than this.
LONGEST_WAIT = 1.5
# Whoever finds no free slot comes back after so long.
CROWDED = timedelta(seconds=1)
# How old the news of other workers may be, in seconds.
NEWS = 0.5

# Until when each budget is shut, as far as this process has heard.
_shut_until: dict[int, float] = {}


class Allowance:
    """Watches one work item's requests; its threads may share it.

    Only the thread that took it looks into the catalog between two pages. Trouble is
    told at once, by whoever meets it.
    """

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.requests = 0
        self.answers = 0
        self.throttled_seconds = 0.0
        self.recovers = False
        self._pace = slot.pace
        self._owner = threading.get_ident()
        self._began = self._looked_at = time.monotonic()
        self._next_at = 0.0

    def look(self, *, news: float = NEWS) -> None:
        """Hear what other workers have met, if that is a while ago."""
        if time.monotonic() - self._looked_at < news:
            return
        self._looked_at = time.monotonic()
        now = budgets.outlook(self.slot.budget_id)
        self._pace = now.pace
        if now.shut_for is not None:
            _remember(self.slot.budget_id, now.shut_for)

    def admit(self) -> None:
        """See `Observer.admit`."""
        shut_for = _shut_until.get(self.slot.budget_id, 0.0) - time.monotonic()
        if shut_for > LONGEST_WAIT:
            raise SourceShutError(
                "The source may not be asked now.",
                retry_after=timedelta(seconds=shut_for),
            )
        wait = max(shut_for, self._next_at - time.monotonic())
        if wait > LONGEST_WAIT:
            raise SourceShutError(
                "The source bears few requests.", retry_after=timedelta(seconds=wait)
            )
        if wait > 0:
            time.sleep(wait)
        self.requests += 1
        if self._pace is not None:
            self._next_at = time.monotonic() + 1 / self._pace

    def answered(self) -> None:
        """See `Observer.answered`."""
        self.answers += 1
        self.recovers = True

    def throttled(self, pause: timedelta | None) -> None:
        """See `Observer.throttled`."""
        elapsed = max(time.monotonic() - self._began, 0.1)
        # A single request says nothing about the pace.
        pace = self.requests / elapsed if self.requests > 1 else None
        trouble = Trouble(kind=Kind.THROTTLED, retry_after=pause, pace=pace)
        self.throttled_seconds += self._tell(trouble).total_seconds()

    def timed_out(self, took: timedelta, pause: timedelta | None) -> None:
        """See `Observer.timed_out`."""
        self._tell(Trouble(kind=Kind.TIMED_OUT, took=took, retry_after=pause))

    def lenient(self) -> Lenient:
        """Watch requests that may take long without anything being wrong."""
        return Lenient(self)

    def failed(self, took: timedelta, pause: timedelta | None) -> None:
        """See `Observer.failed`."""
        self._tell(Trouble(kind=Kind.FAILED, took=took, retry_after=pause))

    def _tell(self, trouble: Trouble) -> timedelta:
        self.recovers = False
        if trouble.retry_after is not None:
            _remember(self.slot.budget_id, trouble.retry_after)
        try:
            jitter = random.random()  # noqa: S311  spreads workers, hides nothing
            shut_for = budgets.tell(self.slot.budget_id, trouble, jitter=jitter)
        except OperationalError:
            # Without the catalog nothing can be claimed either.
            return trouble.retry_after or timedelta()
        finally:
            if threading.get_ident() != self._owner:
                connection.close()
        _remember(self.slot.budget_id, shut_for)
        return shut_for


class Lenient:
    """Watches requests of which a slow one says nothing about the source."""

    def __init__(self, allowance: Allowance) -> None:
        self.admit = allowance.admit
        self.answered = allowance.answered
        self.throttled = allowance.throttled
        self.failed = allowance.failed

    def timed_out(self, took: timedelta, pause: timedelta | None) -> None:
        """See `Observer.timed_out`: to count a large table takes its time."""


@contextmanager
def asking(
    organization: Organization,
    source: ODataSource,
    *,
    work_item_id: UUID | None = None,
    urgent: bool = False,
) -> Iterator[tuple[ODataSource, Allowance]]:
    """Hold a slot while the block asks the source; what it yields is watched.

    :raises SourceShutError: no slot is free, or the source may not be asked.
    :raises SealBrokenError: the credential cannot be opened.
    """
    budget_id = budgets.budget_of(organization)
    holder = work_item_id or uuid4()
    slot = budgets.take(budget_id, holder=holder, hold=settings.LEASE, urgent=urgent)
    if slot is None:
        wait = budgets.outlook(budget_id).shut_for or CROWDED
        raise SourceShutError("The source may not be asked now.", retry_after=wait)
    # Whoever got a slot knows that the source may be asked.
    _shut_until.pop(budget_id, None)
    allowance = Allowance(slot)
    try:
        yield source.watched(allowance), allowance
    finally:
        with suppress(OperationalError):
            budgets.give_back(slot, _spent(allowance), work_item_id=work_item_id)


def _spent(allowance: Allowance) -> Spent:
    return Spent(
        requests=allowance.requests,
        answers=allowance.answers,
        throttled_seconds=allowance.throttled_seconds,
        recovers=allowance.recovers,
    )


def _remember(budget_id: int, shut_for: timedelta) -> None:
    if shut_for > timedelta():
        until = time.monotonic() + shut_for.total_seconds()
        _shut_until[budget_id] = max(_shut_until.get(budget_id, 0.0), until)
