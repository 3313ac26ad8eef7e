"""A Celery worker of our own, and organizations that it loads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from benchmarks.figures import WrongAnswerError
from benchmarks.source import ROOT
from benchmarks.world import World
from project.stack import WORKERS, worker_command

LONGEST_LOAD_SECONDS = 600.0
# A wake-up of beat comes every two seconds; nobody has to wait for it here.
_WAKE_UP_SECONDS = 0.5
# No table comes up a second time.
_ONCE = timedelta(days=1)


@contextmanager
def running(world: World) -> Iterator[int]:
    """Run the worker that replicates, as the stack does; its process id."""
    name, queues, threads = WORKERS[0]
    log = world.data / "logs" / "bench-worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *worker_command(name, queues, threads)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def load(organization: UUID, tables: list[str]) -> None:
    """Have every table pulled once, by whoever answers wake-ups.

    :raises WrongAnswerError: a pull failed, or all of them take too long.
    """
    from provisioning import tasks
    from provisioning.models import WorkItem
    from provisioning.services import progress
    from provisioning.services.progress import PlannedTable

    progress.metadata_loaded(
        organization,
        tables=[
            PlannedTable(name=name, interval=_ONCE, mandatory=True) for name in tables
        ],
    )
    items = WorkItem.objects.filter(organization=organization)
    ends_at = time.monotonic() + LONGEST_LOAD_SECONDS
    while items.filter(completed_once=False).exists():
        failed = items.exclude(last_failure="").first()
        if failed is not None:
            raise WrongAnswerError(f"{failed.table}: {failed.last_error}")
        if time.monotonic() > ends_at:
            raise WrongAnswerError("The worker did not load all tables in time.")
        tasks.dispatch()
        time.sleep(_WAKE_UP_SECONDS)
