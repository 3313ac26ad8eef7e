"""Parts of a large table are work items, until they are read."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db.models.functions import Now

from provisioning.models import WorkItem
from provisioning.services import leases, progress
from provisioning.services.leases import LeaseLostError
from tests.provisioning import factories
from tests.provisioning.factories import LEASE, claimed

pytestmark = pytest.mark.django_db


@pytest.fixture
def held():
    """The lease on the accounts of an organization."""
    return claimed(only=factories.work_item(table="account"))


def part(number):
    return WorkItem.objects.get(kind="part", part=number)


def test_parts_are_planned_once_however_often_they_are_asked_for(held):
    progress.parts_planned(held, [1, 2])

    progress.parts_planned(held, [2, 3])

    planned = WorkItem.objects.filter(kind="part").order_by("part")
    assert [(item.table, item.part) for item in planned] == [
        ("account", 1),
        ("account", 2),
        ("account", 3),
    ]
    assert str(planned[0]) == "part account 1"


def test_parts_are_handed_out_beyond_what_other_items_of_an_organization_may(held):
    progress.parts_planned(held, range(1, settings.PARTS_AT_ONCE + 2))

    taken = []
    while (lease := leases.claim(lease=LEASE)) is not None:
        taken.append(lease.part)

    assert settings.PARTS_AT_ONCE > settings.ORGANIZATION_CONCURRENCY
    assert len(taken) == settings.PARTS_AT_ONCE


def test_other_tables_do_not_wait_for_parts(held):
    progress.parts_planned(held, range(1, settings.PARTS_AT_ONCE + 2))
    for _ in range(settings.PARTS_AT_ONCE):
        claimed()
    contacts = factories.work_item(
        WorkItem.objects.get(pk=held.work_item_id).organization, table="contact"
    )

    lease = claimed()

    assert lease.work_item_id == contacts.pk


def test_a_part_that_was_read_is_gone_and_its_table_is_due(held):
    progress.parts_planned(held, [1])
    leases.set_back(held, delay=LEASE)
    WorkItem.objects.filter(part=1).update(pages=2, requests=5, throttled_seconds=1.5)
    lease = claimed(only=part(1))

    leases.finish_part(lease, pages=3, changes=40)

    table = WorkItem.objects.get()
    assert (table.pages, table.changes, table.requests) == (5, 40, 5)
    assert table.throttled_seconds == 1.5
    assert WorkItem.objects.filter(next_due_at__lte=Now()).exists()


def test_a_table_that_runs_when_its_last_part_was_read_runs_again(held):
    progress.parts_planned(held, [1])

    leases.finish_part(claimed(only=part(1)))

    assert WorkItem.objects.get().run_again


def test_whoever_lost_a_part_cannot_end_it(held):
    progress.parts_planned(held, [1])
    lease = claimed(only=part(1))
    WorkItem.objects.filter(part=1).update(epoch=9)

    with pytest.raises(LeaseLostError):
        leases.finish_part(lease)

    assert part(1).state == "leased"
