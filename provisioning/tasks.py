"""Celery entry points. PostgreSQL says what is due; messages only wake workers."""

from __future__ import annotations

import logging
import random

from celery import current_app, shared_task
from django.conf import settings

from provisioning import queries
from provisioning.services import leases, process

logger = logging.getLogger(__name__)

# Five dispatches later, a wake-up that nobody took has been repeated anyhow.
WAKE_UP_EXPIRES = 10


@shared_task(name="provisioning.dispatch", ignore_result=True)
def dispatch(**_later: object) -> None:
    """Wake as many workers as there is work for.

    Wake-ups name no item: who wakes up claims the fairest one, and goes on until
    nothing is due.
    """
    wanted = queries.due_item_count(limit=settings.WORKER_THREADS)
    if not wanted:
        return
    with current_app.producer_or_acquire() as producer:
        for _ in range(wanted):
            current_app.send_task(
                "replication.run_due_items",
                queue="replication",
                expires=WAKE_UP_EXPIRES,
                producer=producer,
            )


@shared_task(name="provisioning.reap", ignore_result=True)
def reap(**_later: object) -> None:
    reaped = leases.reap()
    if reaped:
        logger.warning("Leases ran out", extra={"count": reaped})


@shared_task(name="provisioning.process_events", ignore_result=True)
def process_events(**_later: object) -> None:
    # Spreads retries; nothing secret hangs on it.
    process.process_events(jitter=random.random())  # noqa: S311
