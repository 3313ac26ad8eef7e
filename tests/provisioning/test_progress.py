"""How far an organization has come by the tables it has loaded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from provisioning.models import Organization, WorkItem
from provisioning.services import leases, progress
from provisioning.services.progress import PlannedTable
from tests.provisioning import factories

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def planned(name, *, mandatory=False, interval=MINUTE):
    return PlannedTable(name=name, mandatory=mandatory, interval=interval)


def load(*, table):
    item = WorkItem.objects.get(table=table)
    held = factories.claimed(only=item)
    leases.finish(held)
    progress.table_completed(held)


def state():
    return Organization.objects.get().state


@pytest.fixture
def loading():
    return factories.organization(state="loading_metadata")


def test_metadata_brings_work_for_every_table_at_once(loading):
    tables = [planned("systemuser", mandatory=True), planned("account")]

    progress.metadata_loaded(loading.pk, tables=tables)

    assert state() == "loading_mandatory"
    assert {factories.claimed().table, factories.claimed().table} == {
        "account",
        "systemuser",
    }


def test_metadata_read_again_adds_what_is_new_and_leaves_the_rest_running(loading):
    progress.metadata_loaded(loading.pk, tables=[planned("account")])
    load(table="account")

    progress.metadata_loaded(
        loading.pk, tables=[planned("account", interval=2 * MINUTE), planned("task")]
    )

    account, task = WorkItem.objects.order_by("table")
    assert (account.completed_once, task.completed_once) == (True, False)
    assert account.interval == 2 * MINUTE


def test_metadata_that_names_a_table_no_more_removes_no_work(loading):
    progress.metadata_loaded(loading.pk, tables=[planned("account"), planned("task")])

    progress.metadata_loaded(loading.pk, tables=[planned("task")])

    assert WorkItem.objects.filter(table="account").exists()


def test_devices_may_start_when_the_mandatory_tables_are_loaded(loading):
    tables = [planned("systemuser", mandatory=True), planned("account")]
    progress.metadata_loaded(loading.pk, tables=tables)

    load(table="systemuser")
    assert (state(), Organization.objects.get().may_serve) == ("ready", True)

    load(table="account")
    assert (state(), Organization.objects.get().may_serve) == ("active", True)


def test_optional_tables_alone_do_not_make_an_organization_ready(loading):
    tables = [planned("systemuser", mandatory=True), planned("account")]
    progress.metadata_loaded(loading.pk, tables=tables)

    load(table="account")

    assert (state(), Organization.objects.get().may_serve) == (
        "loading_mandatory",
        False,
    )


def test_without_mandatory_tables_devices_may_start_at_once(loading):
    progress.metadata_loaded(loading.pk, tables=[planned("account")])

    assert state() == "ready"


def test_an_active_organization_stays_active_when_a_table_is_added():
    acme = factories.organization(state="active")

    progress.metadata_loaded(acme.pk, tables=[planned("task", mandatory=True)])

    assert state() == "active"


def test_an_organization_suspended_meanwhile_stays_suspended():
    acme = factories.organization(state="suspended", suspended_from="loading_metadata")

    progress.metadata_loaded(acme.pk, tables=[planned("account")])

    assert state() == "suspended"
