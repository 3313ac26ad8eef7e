"""Samples: taken each minute, thinned, forgotten, and what charts make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from provisioning.models import Organization, WorkItem
from provisioning.services import leases
from replication.domain import history
from replication.domain.history import Slots
from replication.models import Sample
from replication.services import housekeeping, samples
from replication.services.samples import Staged
from syncapi.admin import charts
from syncapi.models import Device, DeviceSample
from syncapi.services import devices
from syncapi.services import samples as device_samples
from tests.admin import world

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=90)


@pytest.fixture
def contoso(db: None) -> Organization:
    return world.organization("contoso")


@pytest.fixture
def staged(transactional_db: None) -> Iterator[Organization]:
    yield world.with_staging(world.organization("contoso"))
    world.drop_staging()


def sample(owner: Organization | None, at: datetime, **totals: int) -> Sample:
    counted = {"pulls": 0, "pages": 0, "changes": 0, "failures": 0}
    return Sample.objects.create(organization=owner, at=at, **{**counted, **totals})


def test_a_sample_says_what_staging_holds_and_what_work_brought(
    contoso: Organization,
) -> None:
    now = timezone.now()
    for table in ("account", "contact"):
        world.work_item(
            contoso,
            table,
            epoch=5,
            pages=7,
            changes=100,
            failures=1,
            last_succeeded_at=now - (90 if table == "account" else 10) * MINUTE / 60,
        )
    world.work_item(contoso, "task", completed_once=False, last_succeeded_at=None)

    held = Staged(rows={"account": 20, "contact": 30}, set_aside=3)
    samples.record({contoso.pk: held}, now=now)

    taken = Sample.objects.get(organization=contoso)
    assert (taken.rows, taken.set_aside, taken.tables) == (50, 3, held.rows)
    totals = (taken.pulls, taken.pages, taken.changes, taken.failures)
    assert totals == (10, 14, 200, 2)
    assert taken.lag_seconds == 90
    assert Sample.objects.get(organization=None).rows == 50


def test_rows_are_unknown_while_staging_does_not_answer(contoso: Organization) -> None:
    world.work_item(contoso, "account")

    samples.record({}, now=NOON)

    taken = Sample.objects.get(organization=contoso)
    assert (taken.rows, taken.set_aside, taken.tables) == (None, None, {})


def test_housekeeping_samples_the_staging_of_every_organization(
    staged: Organization,
) -> None:
    world.work_item(staged, "account")

    housekeeping.keep_house()

    taken = Sample.objects.get(organization=staged)
    assert taken.rows == sum(world.TABLES.values())
    assert taken.set_aside == 1


def test_a_second_sample_of_the_same_minute_changes_nothing(
    contoso: Organization,
) -> None:
    world.work_item(contoso, "account")
    device_samples.record(now=NOON)
    samples.record({}, now=NOON)

    device_samples.record(now=NOON + MINUTE / 2)
    samples.record({}, now=NOON + MINUTE / 2)

    assert Sample.objects.filter(organization=contoso).count() == 1
    assert Sample.objects.filter(organization=None).count() == 1
    assert DeviceSample.objects.count() == 1


def test_of_hours_long_past_the_last_sample_stays(contoso: Organization) -> None:
    for hours in (2, 8):
        for minute in range(0, 60, 20):
            at = NOON - timedelta(hours=hours) + minute * MINUTE
            sample(contoso, at)
            sample(None, at)

    samples.tidy(Sample, now=NOON)

    left = Sample.objects.filter(organization=contoso).order_by("at")
    assert [f"{one.at:%H:%M}" for one in left] == ["04:40", "10:00", "10:20", "10:40"]
    assert Sample.objects.filter(organization=None).count() == 4


def test_samples_are_forgotten_after_a_month(contoso: Organization) -> None:
    sample(contoso, NOON - timedelta(days=31))
    kept = sample(contoso, NOON - timedelta(days=29))

    samples.tidy(Sample, now=NOON)

    assert list(Sample.objects.all()) == [kept]


def test_work_items_count_what_each_run_brought(contoso: Organization) -> None:
    world.work_item(contoso, "account", state="due", next_due_at=NOON)

    for brought in (3, 4):
        held = leases.claim(lease=LEASE)
        assert held is not None
        leases.yield_back(held, pages=1, changes=brought)
    held = leases.claim(lease=LEASE)
    assert held is not None
    leases.finish(held, pages=2, changes=10)

    item = WorkItem.objects.get()
    assert (item.pages, item.changes, item.failures) == (4, 17, 0)


def test_failures_and_lost_workers_are_counted(contoso: Organization) -> None:
    world.work_item(contoso, "account", state="due", next_due_at=NOON)
    held = leases.claim(lease=LEASE)
    assert held is not None
    leases.postpone(held, leases.DefectReport("KeyError", "name"), jitter=0.0)
    WorkItem.objects.update(
        state="leased", leased_until=timezone.now() - timedelta(seconds=1)
    )

    leases.reap()

    assert WorkItem.objects.get().failures == 2


def test_device_syncs_are_counted_at_most_once_a_minute(contoso: Organization) -> None:
    device = world.device(
        contoso, "Ada's tablet", last_completed_at=timezone.now() - 5 * MINUTE
    )
    facts = devices._facts_of(device)

    for _ in range(3):
        devices.forget()
        devices.record_completed(facts)
    device_samples.record(now=NOON)

    assert Device.objects.get().syncs == 1
    taken = DeviceSample.objects.get(organization=contoso)
    assert (taken.devices, taken.syncs) == (1, 1)


SLOTS = Slots(begins_at=NOON, width=MINUTE, count=4)


def test_what_happened_is_the_difference_of_totals_slot_by_slot() -> None:
    totals = [
        (NOON - MINUTE, 10),
        (NOON, 15),
        (NOON + MINUTE, 15),
        (NOON + 3 * MINUTE, 40),
    ]

    assert history.increases(totals, SLOTS) == [5, 0, None, 25]


def test_a_total_that_began_with_nothing_rises_with_its_first_sample() -> None:
    assert history.increases([(NOON, 48_000)], SLOTS, before=0)[0] == 48_000
    assert history.increases([(NOON, 48_000)], SLOTS)[0] == 0


def test_a_first_load_that_ended_before_the_first_sample_is_charted(
    contoso: Organization,
) -> None:
    sample(contoso, timezone.now() - MINUTE, changes=48_000)

    changes = charts.organization(contoso.pk, charts.chosen_range("hour"))[1]

    assert 48_000 in json.loads(changes.data)["datasets"][0]["data"]


def test_a_total_that_fell_counts_as_nothing_happened() -> None:
    totals = [(NOON, 90), (NOON + MINUTE, 20), (NOON + 2 * MINUTE, 23)]

    assert history.increases(totals, SLOTS) == [0, 0, 3, None]


def test_a_slot_shows_its_latest_value_and_gaps_stay_gaps() -> None:
    values = [(NOON, 1), (NOON + MINUTE / 2, 2), (NOON + 9 * MINUTE, 3)]

    assert history.latest(values, SLOTS) == [2, None, None, None]


def test_slots_end_with_the_present_one_and_begin_on_round_moments() -> None:
    now = NOON + timedelta(minutes=37, seconds=12)

    slots = history.slots_until(now, width=timedelta(hours=1), count=3)

    assert slots.starts == [NOON - timedelta(hours=n) for n in (2, 1, 0)]
