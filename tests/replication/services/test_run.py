"""Running work items: what is recorded, and what goes on."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from provisioning.models import Organization, WorkItem
from replication import tasks
from replication.services import run
from replication.staging import connections
from tests.provisioning import factories
from tests.replication.odata.servers import json_answer
from tests.replication.services.fronts import (
    SOON,
    answer,
    delay_of,
    run_again,
    run_at,
    with_delta_link,
)
from tests.staged import guid


def test_a_success_is_recorded_and_due_again_after_the_interval(world):
    item = run_again(world.accounts)

    assert (item.state, item.attempts, item.last_error) == ("due", 0, "")
    assert delay_of(item) in range(30, 50)
    assert item.completed_once
    assert world.staged_names() == ["Airport"]


def test_a_defect_is_recorded_once_and_the_item_postponed(world, caplog):
    world.execute("DROP TABLE data.account")
    world.source.put("account", guid("Depot"), name="Depot")

    with caplog.at_level(logging.ERROR):
        item = run_again(world.accounts)

    assert [record.getMessage() for record in caplog.records] == ["Defect"]
    assert (item.state, item.last_error_code) == ("postponed", "defect")
    assert item.last_error.startswith("UndefinedTable: ")
    assert delay_of(item) in SOON


def test_a_defect_that_stays_halts_its_item_alone(world):
    world.execute("DROP TABLE data.account")
    world.source.put("account", guid("Depot"), name="Depot")

    for _ in range(8):
        run_again(world.accounts)

    assert world.accounts.state == "halted"
    assert run_again(world.contacts).state == "due"


def test_a_staging_database_that_is_gone_is_waited_for(world):
    Organization.objects.filter(pk=world.id).update(database_name="org_gone")

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code) == ("postponed", "staging_unavailable")


def test_a_staging_server_that_breaks_off_is_waited_for(world):
    def break_off(request):
        world.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'waystation'"
        )
        return with_delta_link(f"http://{request.header('host')}{request.target}")

    world.front.instead["accounts"] = break_off
    # Of this organization's connections, only that of the pull.
    connections.forget(world.id)

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code) == ("postponed", "staging_unavailable")


@pytest.mark.parametrize("broken", [None, answer(status=500)])
def test_a_worker_that_lost_its_lease_says_nothing_of_the_item(world, broken):
    if broken is not None:
        world.front.instead["contacts"] = broken
    held = factories.claimed(only=world.contacts)
    WorkItem.objects.filter(pk=world.contacts.pk).update(epoch=99)

    run.run_item(held)

    item = WorkItem.objects.get(pk=world.contacts.pk)
    assert (item.epoch, item.state, item.last_error_code) == (99, "leased", "")
    assert not item.completed_once


def test_a_worker_that_was_fenced_out_says_nothing_of_the_item(world):
    world.execute("UPDATE sync.source SET fencing_epoch = 1000")
    held = factories.claimed(only=world.contacts)
    WorkItem.objects.filter(pk=world.contacts.pk).update(epoch=1000)

    run.run_item(held)

    item = WorkItem.objects.get(pk=world.contacts.pk)
    assert (item.epoch, item.state, item.last_error_code) == (1000, "leased", "")


def test_a_table_that_takes_long_gives_way_to_others(world, settings):
    for number in range(3):
        world.source.put("contact", guid(f"Jo {number}"), fullname="Jo")
    world.front.instead["contacts"] = json_answer(
        {"value": [], "@odata.nextLink": f"{world.organization.endpoint}/contacts?$x=1"}
    )
    settings.TIME_SLICE = timedelta(0)

    item = run_again(world.contacts)

    assert (item.state, item.completed_once) == ("due", False)
    assert delay_of(item) in range(20)


def test_a_full_load_that_an_operator_asked_for_is_served_once(world):
    WorkItem.objects.filter(pk=world.accounts.pk).update(resync_requested=True)

    item = run_again(world.accounts)

    assert not item.resync_requested
    generation = "SELECT generation FROM sync.source WHERE name = 'account'"
    assert world.values(generation) == [2]


def test_the_organization_is_active_when_all_its_tables_are_loaded(world):
    Organization.objects.filter(pk=world.id).update(state="loading_mandatory")

    run_again(world.accounts)
    half = Organization.objects.get(pk=world.id).state
    run_again(world.contacts)

    assert (half, Organization.objects.get(pk=world.id).state) == ("ready", "active")


def test_a_wake_up_runs_due_items_until_none_is_left(world):
    WorkItem.objects.update(next_due_at=factories.NOON)

    # Newer senders may add arguments.
    tasks.run_due_items(hint="accounts")

    assert {run_at(item) for item in (world.accounts, world.contacts)} == {"due"}
    assert not run.run_due_item()


def test_an_organization_without_a_source_to_open_is_misconfigured(world):
    Organization.objects.filter(pk=world.id).update(endpoint="ftp://contoso.example")

    item = run_again(world.accounts)

    assert (item.state, item.last_error_code) == ("postponed", "unsafe_endpoint")


def test_a_catalog_that_was_restored_catches_up_with_the_epochs_of_staging(world):
    world.execute("UPDATE sync.source SET fencing_epoch = 1000")

    epochs = [run_again(world.accounts).epoch for _ in range(2)]

    assert epochs == [1001, 1002]
    assert (world.accounts.state, world.accounts.last_error) == ("due", "")
    assert world.accounts.attempts == 0
