"""Keep a lease alive while its worker waits for a slow page."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.db import OperationalError, connection

from provisioning.services import budgets, leases
from provisioning.services.leases import Lease, LeaseLostError

logger = logging.getLogger(__name__)

# A worker that hangs for longer loses its lease, whatever it waits for: a page may
# take two minutes, and the time slice comes on top.
LONGEST = timedelta(minutes=5)


@contextmanager
def kept(held: Lease, *, lease: timedelta) -> Iterator[None]:
    """Renew the lease from a thread of its own until the block ends.

    What its worker holds at the source is kept with it. A lease that is lost meanwhile shows at the worker's next step, which is fenced;
    a worker that is paused or killed renews nothing.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_renew_until, args=(stop, held, lease), name="heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _renew_until(stop: threading.Event, held: Lease, lease: timedelta) -> None:
    ends_at = time.monotonic() + LONGEST.total_seconds()
    try:
        while not stop.wait(lease.total_seconds() / 3) and time.monotonic() < ends_at:
            # A catalog that is away for one beat may be back for the next.
            with suppress(OperationalError):
                leases.renew(held, lease=lease)
                budgets.renew(held.work_item_id, hold=lease)
    except LeaseLostError:
        logger.warning("Lease lost", extra={"work_item_id": str(held.work_item_id)})
    finally:
        connection.close()
