"""The periodic tasks: they wake workers up, and PostgreSQL knows for what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db.models.functions import Now

from provisioning import queries, tasks
from provisioning.models import Organization, WorkItem
from provisioning.services.events import receive
from tests.provisioning import factories
from tests.provisioning.factories import NOON

pytestmark = pytest.mark.django_db


def test_there_are_as_many_wake_ups_as_there_is_work_up_to_a_limit():
    acme = factories.organization()
    for number in range(3):
        factories.work_item(acme, table=f"table{number}")
    factories.work_item(acme, table="later", next_due_at=Now() + timedelta(hours=1))
    factories.work_item(
        factories.organization(
            unique_name="asleep", state="suspended", suspended_from="active"
        )
    )

    assert queries.due_item_count(limit=16) == 3
    assert queries.due_item_count(limit=2) == 2


def test_workers_are_woken_through_the_broker_and_told_nothing():
    acme = factories.organization()
    factories.work_item(acme, table="account")
    factories.work_item(acme, table="task")
    with current_app.connection_for_read() as broker:
        queue = broker.SimpleQueue("replication")
        queue.clear()

        tasks.dispatch()

        wake_ups = [queue.get_nowait(), queue.get_nowait()]
        for wake_up in wake_ups:
            wake_up.ack()
        with pytest.raises(queue.Empty):
            queue.get_nowait()
        queue.close()
    names = [wake_up.headers["task"] for wake_up in wake_ups]
    arguments = [wake_up.payload[:2] for wake_up in wake_ups]
    assert names == ["replication.run_due_items"] * 2
    assert arguments == [[[], {}]] * 2


def test_the_reaper_frees_what_a_dead_worker_held():
    factories.work_item()
    factories.claimed()
    WorkItem.objects.update(leased_until=NOON)

    tasks.reap()

    assert WorkItem.objects.get().state == "due"


def test_messages_of_a_later_release_are_understood(staging):
    receive(factories.provision())

    tasks.process_events(organization_id="unknown to this release")

    assert Organization.objects.get().state == "loading_metadata"
