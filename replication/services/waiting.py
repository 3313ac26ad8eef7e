"""Hold a device's question until its organization has news (PROTOCOL §6, `/wait`).

Those who wait share one look at the clock a second for each organization, and none of
them keeps a connection. Each holds a thread of the web process, though, hence the
limit on their number.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings

from project.errors import TransientError
from replication.services.heads import Head, head_of
from replication.visibility.checkpoints import Checkpoint

# How old the clock may be that is compared with the checkpoint, and how often it is.
INTERVAL = timedelta(seconds=1)
# Who is sent away polls for so long.
RETRY_AFTER = timedelta(seconds=30)


class TooManyWaitingError(TransientError):
    """As many devices wait in this process as may; this one has to poll."""

    code = "unavailable"


class Seats:
    """Places for those who wait; taken at once or not at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def take(self, *, limit: int) -> bool:
        with self._lock:
            if self._taken >= limit:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1


seats = Seats()


def wait_for_news(
    organization_id: UUID, *, checkpoint: Checkpoint, seconds: float
) -> bool:
    """True as soon as something is newer than the checkpoint; False after that time.

    :raises TooManyWaitingError: the device has to poll instead.
    """
    if _has_news(head_of(organization_id, age=INTERVAL), checkpoint):
        return True
    if not seats.take(limit=settings.WAITING_DEVICES):
        raise TooManyWaitingError("Too many wait.", retry_after=RETRY_AFTER)
    try:
        return _waited(organization_id, checkpoint, seconds=seconds)
    finally:
        seats.give_back()


def _waited(organization_id: UUID, checkpoint: Checkpoint, *, seconds: float) -> bool:
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, INTERVAL.total_seconds()))
        if _has_news(head_of(organization_id, age=INTERVAL), checkpoint):
            return True
    return False


def _has_news(head: Head, checkpoint: Checkpoint) -> bool:
    if head.epoch != checkpoint.epoch:
        return True
    # The checkpoint may be younger than this look at the clock.
    return not checkpoint.is_settled_at(max(head.rev, checkpoint.seen))
