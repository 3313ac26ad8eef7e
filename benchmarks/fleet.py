"""A thousand organizations in the catalog, and one among a few that is noisy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks import fleet_run, neighbours
from benchmarks.figures import Figure, expect
from benchmarks.world import World

if TYPE_CHECKING:
    from provisioning.models import Organization, SourceBudget

FIGURES = (
    "dispatch_tick_20k_items",
    "dispatch_tick_all_due",
    "noisy_org_delay",
    "fleet_change_delay",
    "fleet_item_run",
)
ORGANIZATIONS = 1_000
TABLES = 20
INTERVAL = timedelta(seconds=600)
TICKS = 50


def figures(world: World) -> Iterator[Figure]:
    """dispatch_tick_20k_items: what is due of 20,000 items, and one of them claimed.

    dispatch_tick_all_due is the same after an outage, for comparison.
    noisy_org_delay: what the others lose when one source throttles, or hangs.
    fleet_change_delay, fleet_item_run: all of them pulled for some minutes.
    """
    if world.wants(FIGURES[0]) or world.wants(FIGURES[1]):
        _register()
        yield _tick(FIGURES[0], target=50)
        _all_due()
        yield _tick(FIGURES[1], target=None)
        _forget()
    if world.wants(FIGURES[2]):
        yield neighbours.figure(FIGURES[2], world)
        _forget()
    if world.wants(FIGURES[3]) or world.wants(FIGURES[4]):
        yield from fleet_run.figures(world, late=FIGURES[3], cost=FIGURES[4])


def _register() -> None:
    from provisioning.models import WorkItem

    budgets = _budgets()
    organizations = _organizations(budgets)
    items = [
        WorkItem(
            organization=organization,
            kind="table",
            table=f"table_{number}",
            interval=INTERVAL,
        )
        for organization in organizations
        for number in range(TABLES)
    ]
    WorkItem.objects.bulk_create(items, batch_size=2_000)
    # Spread over the interval, as they are after a while: 33 come due a second.
    _execute(
        "UPDATE provisioning_workitem SET completed_once = true,"
        " source_rows_at = now(), next_due_at = now() + random() * interval"
        " - interval '2 seconds'"
    )
    _execute("VACUUM ANALYZE")


def _budgets() -> list[SourceBudget]:
    from provisioning.models import SourceBudget, SourceSlot

    made = SourceBudget.objects.bulk_create(
        SourceBudget(key=f"{number:064}", origin=f"https://{number}.example")
        for number in range(ORGANIZATIONS)
    )
    SourceSlot.objects.bulk_create(
        SourceSlot(budget=budget, number=number) for budget in made for number in (0, 1)
    )
    return made


def _organizations(budgets: list[SourceBudget]) -> list[Organization]:
    from provisioning.models import Organization

    return Organization.objects.bulk_create(
        Organization(
            id=uuid4(),
            unique_name=f"org-{number}",
            display_name=f"Organization {number}",
            kind="odata",
            endpoint=budget.origin,
            state="active",
            budget=budget,
        )
        for number, budget in enumerate(budgets)
    )


def _all_due() -> None:
    _execute("UPDATE provisioning_workitem SET next_due_at = now() - interval")
    _execute("VACUUM ANALYZE")


def _forget() -> None:
    from provisioning.models import Organization, SourceBudget, WorkItem

    for model in (WorkItem, Organization, SourceBudget):
        model.objects.all().delete()


def _tick(name: str, *, target: float | None) -> Figure:
    """What beat's tick costs, together with the claim of whoever it wakes."""
    from provisioning import tasks
    from provisioning.services import leases

    taken, claimed = [], 0
    for _ in range(TICKS):
        began = time.perf_counter()
        tasks.dispatch()
        held = leases.claim(lease=timedelta(minutes=1))
        taken.append((time.perf_counter() - began) * 1000)
        if held is not None:
            claimed += 1
            leases.finish(held)
    # The first one connects.
    expect(claimed > TICKS // 4, f"{claimed} items were claimed in {TICKS} ticks")
    return Figure(
        name=name,
        value=statistics.median(taken[1:]),
        unit="ms",
        target=target,
        at_most=True,
        note=f"slowest {max(taken[1:]):.1f} ms",
    )


def _execute(statement: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
