"""What organizations lose when the source of one throttles and that of another hangs."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks import noisy_source, worker
from benchmarks.figures import Figure, expect
from benchmarks.source import ROOT
from benchmarks.world import World

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from provisioning.models import WorkItem

PORT = 8644
CALM = 6
NOISY = ("throttled", "hanging")
# Faster than the workers are, so that there is always something due.
INTERVAL = timedelta(milliseconds=100)
ROUNDS = 5
ROUND_SECONDS = 6.0
_WAKE_UP_SECONDS = 0.25


def figure(name: str, world: World) -> Figure:
    """Count what the calm ones get done, in turns with and without the noisy ones.

    Each turn begins as if nobody knew the noisy ones yet: that is their worst.
    """
    with _source(), worker.running(world):
        calm = [_loaded(f"calm-{number}") for number in range(CALM)]
        noisy = [_loaded(one) for one in NOISY]
        _turn(calm, noisy, is_noisy=False)
        done = {False: 0, True: 0}
        for _ in range(ROUNDS):
            for is_noisy in (False, True):
                done[is_noisy] += _turn(calm, noisy, is_noisy=is_noisy)
        expect(done[False] > ROUNDS * CALM, "The calm organizations hardly moved.")
        _expect_noise()
    return Figure(
        name=name,
        value=max(0.0, (done[False] / done[True] - 1) * 100),
        unit="%",
        target=10,
        at_most=True,
        note=f"{done[False]} pulls without, {done[True]} with",
    )


def _turn(calm: list[UUID], noisy: list[UUID], *, is_noisy: bool) -> int:
    from django.db.models import Sum

    from provisioning import tasks
    from provisioning.models import Organization
    from provisioning.services import budgets, leases

    others = _items(noisy)
    leases.stop(others)
    if is_noisy:
        for organization in Organization.objects.filter(pk__in=noisy):
            if organization.budget_id is not None:
                budgets.mend(organization.budget_id)
        others.update(state="due", next_due_at=_now(), attempts=0)
    before = _items(calm).aggregate(done=Sum("pages"))["done"]
    ends_at = time.monotonic() + ROUND_SECONDS
    while time.monotonic() < ends_at:
        tasks.dispatch()
        time.sleep(_WAKE_UP_SECONDS)
    done: int = _items(calm).aggregate(done=Sum("pages"))["done"] - before
    return done


def _expect_noise() -> None:
    """The noisy ones must have been asked, or the figure says nothing."""
    from provisioning.models import SourceBudget

    budgets = SourceBudget.objects.exclude(last_trouble="")
    expect(budgets.count() >= 1, "Nobody was throttled.")


def _items(organizations: list[UUID]) -> QuerySet[WorkItem]:
    from provisioning.models import WorkItem

    return WorkItem.objects.filter(organization__in=organizations, kind="table")


def _now() -> object:
    from django.db.models.functions import Now

    return Now()


def _loaded(name: str) -> UUID:
    """An organization whose tables stand in staging, empty, and are due."""
    from provisioning.models import Organization
    from provisioning.secrets import seal
    from provisioning.services import progress, staging_databases
    from provisioning.services.progress import PlannedTable
    from replication.services.sources import source_of
    from replication.staging import connections, schema

    # Another user each: the source counts their requests apart.
    credential = {"type": "basic", "username": name, "password": "sandbox"}
    made = Organization(
        id=uuid4(),
        unique_name=name,
        display_name=name,
        endpoint=f"http://127.0.0.1:{PORT}/{name}",
        kind="odata",
        credential_type="basic",
        state="active",
    )
    made.credential_sealed = seal(
        json.dumps(credential).encode(), identity=made.credential_identity
    )
    made.save(force_insert=True)
    staging_databases.assign(made)
    staging_databases.create(made)
    with connections.opened(made.id) as conn:
        schema.create_missing(conn, source_of(made).load_tables(noisy_source.TABLES))
    progress.metadata_loaded(
        made.id,
        tables=[
            PlannedTable(name=table, interval=INTERVAL, mandatory=False)
            for table in noisy_source.TABLES
        ],
    )
    return made.id


@contextlib.contextmanager
def _source() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.noisy_source", str(PORT)], cwd=ROOT
    )
    try:
        _await(process)
        yield
    finally:
        process.terminate()
        process.wait()


def _await(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", PORT), timeout=1),
        ):
            return
        time.sleep(0.1)
    raise RuntimeError("The source did not start.")
