"""What organizations lose when the source of one throttles, or that of another hangs."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks import noisy_source, runs, worker
from benchmarks.figures import Figure, expect
from benchmarks.source import ROOT
from benchmarks.world import World
from project.stack import local_session

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from provisioning.models import Organization, WorkItem

PORT = 8644
CALM = 20
NOISY = ("throttled", "hanging")
TABLES = noisy_source.TABLES[:3]
# Of all calm items together, so many come due a second.
RATE = 12
INTERVAL = timedelta(seconds=CALM * len(TABLES) / RATE)
ROUNDS = 6
ROUND_SECONDS = 10.0
# Shorter than beat's two seconds, behind which a delay would hide.
WAKE_UP_SECONDS = 0.5


def figure(name: str, world: World) -> Figure:
    """Compare how long calm items wait, in turns without and with a noisy one.

    Each turn begins as if nobody knew the noisy one yet: that is its worst.
    """
    with serving(), worker.running(world):
        calm = [loaded(f"calm-{number}", TABLES, INTERVAL) for number in range(CALM)]
        noisy = {one: loaded(one, TABLES, INTERVAL) for one in NOISY}
        runs.note()
        _turn(calm, noisy, which=None)
        waits: dict[str | None, list[list[float]]] = {None: []}
        for _ in range(ROUNDS):
            for which in (*NOISY, None):
                waits.setdefault(which, []).append(_turn(calm, noisy, which=which))
        _expect_noise()
    return Figure(
        name=name,
        value=max(0.0, *(_increase(waits, which) for which in NOISY)),
        unit="%",
        target=10,
        at_most=True,
        note="; ".join(_told(which, waits) for which in (None, *NOISY)),
    )


def _increase(waits: dict[str | None, list[list[float]]], which: str) -> float:
    """By how many percent calm items wait longer, on average: a turn beside a noisy
    one against the turn without that follows. The median of all rounds."""
    pairs = zip(waits[which], waits[None], strict=True)
    ratios = [runs.mean(beside) / runs.mean(alone) for beside, alone in pairs]
    return (statistics.median(ratios) - 1) * 100


def _told(which: str | None, waits: dict[str | None, list[list[float]]]) -> str:
    every = [wait * 1000 for turn in waits[which] for wait in turn]
    means = [runs.mean(turn) * 1000 for turn in waits[which]]
    told = (
        f"{which or 'alone'}: {len(every)} pulls,"
        f" p50 {runs.percentile(every, 0.5):.0f},"
        f" p95 {runs.percentile(every, 0.95):.0f} ms,"
        f" means {min(means):.0f} to {max(means):.0f}"
    )
    return told if which is None else f"{told}, {_increase(waits, which):+.1f} %"


def _turn(
    calm: Sequence[UUID], noisy: dict[str, UUID], *, which: str | None
) -> list[float]:
    """Return how long each run of a calm item took from the moment it was due."""
    from provisioning import tasks
    from provisioning.services import leases

    leases.stop(_items(noisy.values()))
    release()
    if which is not None:
        _forget_trouble(noisy[which])
    _spread(_items(calm))
    began = runs.now()
    ends_at = time.monotonic() + ROUND_SECONDS
    while time.monotonic() < ends_at:
        tasks.dispatch()
        time.sleep(WAKE_UP_SECONDS)
    mine = set(_items(calm).values_list("pk", flat=True))
    waits = [run.delay for run in runs.since(began) if run.item in mine]
    least = ROUND_SECONDS * RATE / 4
    expect(len(waits) > least, f"Only {len(waits)} runs in a turn.")
    return waits


def _spread(items: QuerySet[WorkItem]) -> None:
    """Let the items come due one after the other, as they do after a while."""
    from django.db.models import F
    from django.db.models.functions import Now, Random

    items.update(next_due_at=Now() + F("interval") * Random())


def _forget_trouble(organization: UUID) -> None:
    from django.db.models.functions import Now

    from provisioning.models import Organization
    from provisioning.services import budgets

    budget = Organization.objects.get(pk=organization).budget_id
    if budget is not None:
        budgets.mend(budget)
    _items([organization]).update(state="due", next_due_at=Now(), attempts=0)


def _expect_noise() -> None:
    """The noisy ones must have been asked, or the figure says nothing."""
    from provisioning.models import SourceBudget

    budgets = SourceBudget.objects.exclude(last_trouble="")
    expect(budgets.count() == len(NOISY), "Not all noisy sources were asked.")


def _items(organizations: Iterable[UUID]) -> QuerySet[WorkItem]:
    from provisioning.models import WorkItem

    return WorkItem.objects.filter(organization__in=organizations, kind="table")


def loaded(name: str, tables: Sequence[str], interval: timedelta) -> UUID:
    """An organization whose tables stand in staging, empty, and are due."""
    from provisioning.services import progress, staging_databases
    from provisioning.services.progress import PlannedTable
    from replication.services.sources import source_of
    from replication.staging import connections, schema

    made = described(name)
    made.save(force_insert=True)
    staging_databases.assign(made)
    staging_databases.create(made)
    with connections.opened(made.id) as conn:
        schema.create_missing(conn, source_of(made).load_tables(tuple(tables)))
    progress.metadata_loaded(
        made.id,
        tables=[
            PlannedTable(name=table, interval=interval, mandatory=False)
            for table in tables
        ],
    )
    return made.id


def described(name: str) -> Organization:
    """An organization of the source that is not saved yet."""
    from provisioning.models import Organization
    from provisioning.secrets import seal

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
    return made


def release() -> None:
    """Let go of everybody whom the source keeps waiting."""
    asked("GET", f"http://127.0.0.1:{PORT}/release")


def asked(method: str, url: str) -> str:
    """Ask the source past any proxy, and return what it says."""
    with local_session(ca=None) as session:
        answer = session.request(method, url, timeout=5)
    answer.raise_for_status()
    return answer.text


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """Run the source in a process of its own."""
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
