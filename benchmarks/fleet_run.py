"""A thousand organizations, pulled for some minutes by a worker as in production.

Time is scaled: fewer tables, and an interval that is as much shorter, so that as many
items come due a second as of 20 tables each, every ten minutes.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg import sql

from benchmarks import neighbours, noisy_source, runs, worker
from benchmarks.figures import Figure, expect
from benchmarks.many import copied
from benchmarks.world import World

if TYPE_CHECKING:
    from provisioning.models import Organization

# What is due a second: 20 tables of 1,000 organizations every 600 seconds.
RATE = 20_000 / 600
TABLES = noisy_source.TABLES
CHANGES_PER_SECOND = 2.0
DISPATCH_SECONDS = 2.0
_MOST_ORGANIZATIONS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    organization: UUID
    table: str
    item: UUID
    made_at: datetime
    text: str


def figures(world: World, *, late: str, cost: str) -> Iterator[Figure]:
    """`late`: after how many intervals the slowest change was in staging; `cost`: CPU
    milliseconds of worker, PostgreSQL and Redis for each run."""
    count = int(os.environ.get("ORGANIZATIONS") or _MOST_ORGANIZATIONS)
    interval = timedelta(seconds=count * len(TABLES) / RATE)
    with neighbours.serving(), worker.running(world) as pid:
        items = _register(count, interval)
        _load(items)
        runs.note()
        began = runs.now()
        used = world.cpu_seconds(pid)
        made = _play(items, interval)
        used = world.cpu_seconds(pid) - used
        found = runs.since(began)
        waits = [_arrived(change, found) for change in made]
        expect(len(made) > 10, f"Only {len(made)} changes were made.")
        _expect_in_staging(made)
    seconds = interval.total_seconds()
    about = (
        f"{count} organizations, {len(items)} items every {seconds:.0f} s,"
        f" {len(made)} changes: median {runs.percentile(waits, 0.5):.0f} s,"
        f" slowest {max(waits):.0f} s"
    )
    yield Figure(
        name=late,
        value=max(waits) / seconds,
        unit="intervals",
        target=2,
        at_most=True,
        note=about,
    )
    delays = [run.delay for run in found]
    yield Figure(
        name=cost,
        value=used / len(found) * 1000,
        unit="CPU ms",
        at_most=True,
        note=f"{len(found)} runs, due to done p50 {runs.percentile(delays, 0.5):.1f},"
        f" p95 {runs.percentile(delays, 0.95):.1f} s",
    )


Items = dict[UUID, tuple["Organization", str]]


def _register(count: int, interval: timedelta) -> Items:
    """Organizations with databases of their own: copies of one with empty tables."""
    from provisioning.models import Organization, WorkItem
    from provisioning.services import progress
    from provisioning.services.progress import PlannedTable

    first = neighbours.loaded("org-0", TABLES, interval)
    template = Organization.objects.get(pk=first)
    others = [neighbours.described(f"org-{number}") for number in range(1, count)]
    copied(template, others)
    for made in others:
        progress.metadata_loaded(
            made.id,
            tables=[
                PlannedTable(name=table, interval=interval, mandatory=False)
                for table in TABLES
            ],
        )
    items = WorkItem.objects.filter(kind="table").select_related("organization")
    return {item.pk: (item.organization, item.table) for item in items}


def _load(items: Items) -> None:
    """Have all tables pulled once; then let them come due one after the other."""
    from django.db.models import F
    from django.db.models.functions import Now, Random

    from provisioning.models import WorkItem

    def is_loaded() -> bool:
        return not WorkItem.objects.filter(completed_once=False).exists()

    _dispatched(is_loaded, seconds=1_200)
    every = WorkItem.objects.filter(pk__in=items)
    every.update(next_due_at=Now() + F("interval") * Random())


def _play(items: Items, interval: timedelta) -> list[Change]:
    """Change rows of any organization for an interval, and wait for two more."""
    rng = random.Random(7)  # noqa: S311  picks rows
    made: list[Change] = []
    began = time.monotonic()
    seconds = interval.total_seconds()

    def is_over() -> bool:
        elapsed = time.monotonic() - began
        while elapsed < seconds and len(made) < elapsed * CHANGES_PER_SECOND:
            made.append(_changed(rng.choice(sorted(items)), items))
        return elapsed > 3 * seconds

    _dispatched(is_over, seconds=4 * seconds)
    return made


def _changed(item: UUID, items: Items) -> Change:
    organization, table = items[item]
    text = neighbours.asked("POST", f"{organization.endpoint}/{table}")
    return Change(
        organization=organization.pk,
        table=table,
        item=item,
        made_at=runs.now(),
        text=text,
    )


def _dispatched(is_over: Callable[[], bool], *, seconds: float) -> None:
    """Wake workers up as beat does, until it is over."""
    from provisioning import tasks

    ends_at = time.monotonic() + seconds
    wake_up_at = 0.0
    while not is_over():
        expect(time.monotonic() < ends_at, "The fleet did not get there in time.")
        if time.monotonic() >= wake_up_at:
            wake_up_at = time.monotonic() + DISPATCH_SECONDS
            tasks.dispatch()
        time.sleep(0.1)


def _arrived(change: Change, found: list[runs.Run]) -> float:
    """Seconds until the change was committed.

    :raises WrongAnswerError: no run has brought it.
    """
    for run in found:
        brought = run.item == change.item and run.changes > 0
        if brought and run.done > change.made_at:
            return (run.done - change.made_at).total_seconds()
    expect(False, f"A change of {change.table} never arrived.")
    raise AssertionError


def _expect_in_staging(made: list[Change]) -> None:
    """:raises WrongAnswerError: the last change of a table is not there."""
    from replication.staging import connections

    last = {(change.organization, change.table): change for change in made}
    for change in last.values():
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE name = %s)").format(
            sql.Identifier("data", change.table)
        )
        with connections.opened(change.organization) as conn:
            row = conn.execute(query, (change.text,)).fetchone()
        expect(row == (True,), f"{change.text} of {change.table} is not in staging.")
