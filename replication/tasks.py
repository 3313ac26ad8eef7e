"""Celery entry points. Work items say what is due; Celery only wakes us up."""

from __future__ import annotations

import time

from celery import shared_task

from replication.services import housekeeping, run

# A wake-up goes on while there is work, but lets others of its queue run too.
LONGEST_RUN_SECONDS = 60.0


@shared_task(name="replication.run_due_items", ignore_result=True)
def run_due_items(**_later: object) -> None:
    """Run due items until none is left. Extra and lost messages are harmless."""
    ends_at = time.monotonic() + LONGEST_RUN_SECONDS
    while run.run_due_item() and time.monotonic() < ends_at:
        pass


@shared_task(name="replication.housekeeping", ignore_result=True)
def keep_house(**_later: object) -> None:
    housekeeping.keep_house()
