"""Claims: which work item a worker gets, and that nobody else gets it too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from provisioning.models import WorkItem
from provisioning.services import leases
from tests.provisioning import factories
from tests.provisioning.factories import LEASE, NOON, claimed

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "columns",
    [
        {"next_due_at": Now() + HOUR},
        {"state": "postponed", "next_due_at": Now() + HOUR},
        {"state": "halted"},
        {"state": "paused"},
        {"state": "leased", "leased_until": Now() + HOUR},
    ],
)
def test_what_is_not_due_is_not_handed_out(columns):
    factories.work_item(**columns)

    assert leases.claim(lease=LEASE) is None


@pytest.mark.parametrize(
    "state", ["loading_metadata", "loading_mandatory", "ready", "active"]
)
def test_work_is_handed_out_from_the_metadata_on(state):
    factories.work_item(factories.organization(state=state))

    assert leases.claim(lease=LEASE) is not None


@pytest.mark.parametrize("state", ["requested", "creating", "deprovisioning"])
def test_an_organization_that_comes_or_goes_gets_no_work(state):
    factories.work_item(factories.organization(state=state))

    assert leases.claim(lease=LEASE) is None


def test_a_postponed_item_is_handed_out_when_its_time_comes():
    factories.work_item(state="postponed", next_due_at=NOON)

    assert leases.claim(lease=LEASE) is not None


def test_one_item_can_be_asked_for():
    acme = factories.organization()
    factories.work_item(acme, table="account")
    task = factories.work_item(acme, table="task")

    assert claimed(only=task).work_item_id == task.pk
    assert leases.claim(lease=LEASE, only=task.pk) is None


def test_a_flood_of_one_organization_does_not_keep_another_waiting():
    flood = factories.organization(unique_name="flood")
    drop = factories.organization(unique_name="drop")
    for number in range(20):
        factories.work_item(flood, table=f"table{number}")
    factories.work_item(drop, next_due_at=NOON + HOUR)

    served = [claimed().organization_id, claimed().organization_id]

    assert set(served) == {flood.pk, drop.pk}


def test_who_holds_no_lease_goes_before_who_was_served_longer_ago():
    greedy = factories.organization(unique_name="greedy")
    modest = factories.organization(unique_name="modest")
    for owner in (greedy, modest):
        factories.work_item(owner, table="account")
        factories.work_item(owner, table="task")
    factories.claimed(only=WorkItem.objects.get(organization=greedy, table="task"))
    type(greedy).objects.filter(pk=greedy.pk).update(last_served_at=NOON)
    type(modest).objects.filter(pk=modest.pk).update(last_served_at=Now())

    assert claimed().organization_id == modest.pk


def test_organizations_with_equally_many_leases_take_turns():
    first = factories.organization(unique_name="first", last_served_at=NOON)
    second = factories.organization(unique_name="second", last_served_at=NOON + HOUR)
    for owner in (first, second):
        for number in range(3):
            factories.work_item(owner, table=f"table{number}")

    turns = []
    for _ in range(4):
        held = claimed()
        turns.append(held.organization_id)
        leases.yield_back(held)

    assert turns == [first.pk, second.pk, first.pk, second.pk]


def test_within_an_organization_the_longest_due_item_goes_first():
    acme = factories.organization()
    factories.work_item(acme, table="account", next_due_at=NOON + HOUR)
    factories.work_item(acme, table="task", next_due_at=NOON)

    assert [claimed().table, claimed().table] == ["task", "account"]


def test_an_organization_never_holds_more_leases_than_its_cap(settings):
    settings.ORGANIZATION_CONCURRENCY = 2
    acme = factories.organization()
    for number in range(3):
        factories.work_item(acme, table=f"table{number}")
    held = [claimed(), claimed()]

    assert leases.claim(lease=LEASE) is None
    leases.finish(held[0])
    assert leases.claim(lease=LEASE) is not None


@pytest.mark.django_db(transaction=True)
def test_an_item_is_not_claimed_twice_by_workers_at_the_same_time(settings):
    settings.ORGANIZATION_CONCURRENCY = 100
    acme = factories.organization()
    for number in range(20):
        factories.work_item(acme, table=f"table{number}")

    def claim_until_nothing_is_due(_worker):
        try:
            return list(iter(lambda: leases.claim(lease=LEASE), None))
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as workers:
        held = [
            lease.table
            for claims in workers.map(claim_until_nothing_is_due, range(4))
            for lease in claims
        ]

    assert sorted(held) == sorted(f"table{number}" for number in range(20))


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_nobody(in_other_connection):
    acme = factories.organization()
    factories.work_item(acme, table="account", next_due_at=NOON)
    factories.work_item(acme, table="task", next_due_at=NOON + HOUR)

    with transaction.atomic():
        WorkItem.objects.select_for_update().get(table="account")
        type(acme).objects.select_for_update().get(pk=acme.pk)
        held = in_other_connection(claimed)

    assert held.table == "task"
