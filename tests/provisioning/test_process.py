"""From the inbox to a state: what events do to organizations, and in which order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from provisioning import queries
from provisioning.models import AuditEntry, Organization, ProvisioningEvent, WorkItem
from provisioning.secrets import SealBrokenError
from provisioning.services import leases
from provisioning.services.effects import lock_for_this_transaction
from provisioning.services.events import receive
from provisioning.services.process import PATIENCE, apply_events_of
from tests.provisioning import factories
from tests.provisioning.factories import NOON, SECRET

pytestmark = pytest.mark.django_db

ACME = UUID(int=10)
SECOND = timedelta(seconds=1)


def apply(*bodies):
    for body in bodies:
        receive(body)
    for organization_id in {body["organization"]["id"] for body in bodies}:
        apply_events_of(UUID(organization_id))


def states():
    events = ProvisioningEvent.objects.order_by("occurred_at")
    return list(events.values_list("type", "state"))


def test_a_provisioning_event_makes_an_organization_that_is_requested():
    apply(factories.provision(organization_id=ACME))

    acme = Organization.objects.get()
    assert (acme.pk, acme.state, acme.tables) == (
        ACME,
        "requested",
        ["account", "contact"],
    )
    assert acme.step_due_at is not None


def test_the_credential_reaches_the_organization_and_leaves_the_inbox():
    apply(factories.provision(organization_id=ACME))

    acme = queries.organization(ACME)
    assert queries.credential_of(acme)["client_secret"] == SECRET
    assert bytes(ProvisioningEvent.objects.get().credential_sealed) == b""


def test_the_credential_of_one_organization_cannot_be_opened_as_anothers():
    apply(factories.provision(organization_id=ACME))
    acme = queries.organization(ACME)
    globex = factories.organization(
        unique_name="globex", credential_sealed=acme.credential_sealed
    )

    with pytest.raises(SealBrokenError):
        queries.credential_of(globex)


@pytest.mark.django_db(transaction=True)
def test_the_same_event_twice_happens_once():
    body = factories.provision(organization_id=ACME)
    apply(body)

    apply(body)

    assert AuditEntry.objects.filter(verb="provision").count() == 1
    assert states() == [("organization.provision", "applied")]


def test_events_are_applied_in_the_order_in_which_they_happened():
    suspension = factories.event("suspend", ACME, at=NOON + SECOND)

    apply(suspension, factories.provision(organization_id=ACME, at=NOON))

    acme = Organization.objects.get()
    assert (acme.state, acme.suspended_from) == ("suspended", "requested")


def test_an_event_waits_for_the_provisioning_that_it_has_overtaken():
    apply(factories.event("suspend", ACME, at=NOON + SECOND))
    assert states() == [("organization.suspend", "waiting")]

    apply(factories.provision(organization_id=ACME, at=NOON))

    assert Organization.objects.get().state == "suspended"


def test_an_event_for_an_organization_that_never_comes_is_refused_in_the_end():
    receive(factories.event("suspend", ACME))
    ProvisioningEvent.objects.update(received_at=Now() - PATIENCE)

    apply_events_of(ACME)

    assert states() == [("organization.suspend", "refused")]


def test_an_event_older_than_the_last_one_applied_is_superseded():
    apply(factories.provision(organization_id=ACME, at=NOON))
    apply(factories.event("suspend", ACME, at=NOON + 2 * SECOND))

    apply(factories.event("resume", ACME, at=NOON + SECOND))

    assert Organization.objects.get().state == "suspended"
    assert states()[1] == ("organization.resume", "superseded")


def test_a_name_that_is_taken_is_refused():
    factories.organization(unique_name="contoso")

    apply(factories.provision(organization_id=ACME, unique_name="contoso"))

    assert states() == [("organization.provision", "refused")]
    assert not Organization.objects.filter(pk=ACME).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_that_want_one_name_at_once_the_second_is_refused():
    globex = UUID(int=11)
    receive(factories.provision(organization_id=ACME))
    receive(factories.provision(organization_id=globex))

    def apply_elsewhere():
        try:
            apply_events_of(globex)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as other:
        with transaction.atomic():
            apply_events_of(ACME)
            second = other.submit(apply_elsewhere)
            wait([second], timeout=0.3)
        second.result(timeout=5)

    assert [state for _type, state in states()].count("refused") == 1
    assert queries.organization_named("contoso").pk == ACME


def test_a_name_that_was_given_up_may_be_taken_by_another_organization():
    factories.organization(unique_name="contoso", state="deprovisioned")

    apply(factories.provision(organization_id=ACME, unique_name="contoso"))

    assert queries.organization_named("contoso").pk == ACME


def test_a_deprovisioned_organization_may_be_provisioned_again():
    old = factories.organization(
        unique_name="contoso", state="deprovisioned", ca_certificate="old"
    )

    apply(factories.provision(organization_id=old.pk, unique_name="fabrikam"))

    new = queries.organization_named("fabrikam")
    assert (new.pk, new.state, new.ca_certificate) == (old.pk, "requested", "")


def test_the_same_organization_is_not_provisioned_over_itself():
    acme = factories.organization(state="active")

    apply(factories.provision(organization_id=acme.pk))

    acme.refresh_from_db()
    assert (acme.state, states()[0][1]) == ("active", "refused")


def test_an_update_changes_what_it_names_and_reads_metadata_at_once():
    acme = factories.organization(tables=["account"])
    later = Now() + timedelta(hours=1)
    factories.work_item(acme, table="", next_due_at=later)

    apply(
        factories.event(
            "update",
            acme.pk,
            members={"credential": {"type": "bearer", "token": "new"}},
            tables=["account", "task"],
        )
    )

    acme.refresh_from_db()
    assert (acme.tables, acme.display_name) == (["account", "task"], "Contoso")
    assert queries.credential_of(acme) == {"type": "bearer", "token": "new"}
    assert factories.claimed().kind == "metadata"


def test_metadata_that_is_being_read_during_an_update_is_read_again():
    acme = factories.organization()
    factories.work_item(acme, table="")
    held = factories.claimed()

    apply(factories.event("update", acme.pk, tables=["task"]))
    leases.finish(held)

    assert factories.claimed().epoch == held.epoch + 1


def test_a_new_credential_revives_what_the_old_one_had_halted():
    acme = factories.organization()
    factories.work_item(acme, state="halted", last_failure="misconfigured")

    apply(factories.event("update", acme.pk, members={"credential": {"type": "none"}}))

    assert WorkItem.objects.get().state == "due"


def test_a_suspended_organization_gets_no_work_until_it_is_resumed():
    acme = factories.organization()
    factories.work_item(acme)

    apply(factories.event("suspend", acme.pk, at=NOON))
    assert leases.claim(lease=factories.LEASE) is None

    apply(factories.event("resume", acme.pk, at=NOON + SECOND))
    assert factories.claimed().organization_id == acme.pk
    acme.refresh_from_db()
    assert (acme.state, acme.suspended_from) == ("active", "")


def test_tables_that_were_completed_during_a_suspension_count_when_it_ends():
    acme = factories.organization(state="suspended", suspended_from="loading_mandatory")
    factories.work_item(acme, mandatory=True, completed_once=True)

    apply(factories.event("resume", acme.pk))

    acme.refresh_from_db()
    assert acme.state == "active"


def test_a_resync_asks_every_table_for_a_full_load_now():
    acme = factories.organization()
    factories.work_item(acme, table="account", state="halted")
    factories.work_item(acme, table="task", next_due_at=Now() + timedelta(hours=1))
    factories.work_item(acme, table="", next_due_at=Now() + timedelta(hours=1))

    apply(factories.event("resync", acme.pk))

    loads = [factories.claimed(), factories.claimed()]
    assert {load.table: load.resync_requested for load in loads} == {
        "account": True,
        "task": True,
    }
    assert leases.claim(lease=factories.LEASE) is None


def test_a_resync_of_one_table_leaves_the_others_alone():
    acme = factories.organization()
    factories.work_item(acme, table="account")
    factories.work_item(acme, table="task")

    apply(factories.event("resync", acme.pk, tables=["task"]))

    asked = WorkItem.objects.filter(resync_requested=True)
    assert [item.table for item in asked] == ["task"]


def test_a_resync_of_an_unknown_table_is_refused():
    acme = factories.organization()

    apply(factories.event("resync", acme.pk, tables=["task"]))

    assert "task" in ProvisioningEvent.objects.get().reason


def test_a_worker_is_refused_once_its_organization_is_being_deprovisioned():
    acme = factories.organization()
    factories.work_item(acme)
    held = factories.claimed()

    apply(factories.event("deprovision", acme.pk))

    with pytest.raises(leases.LeaseLostError):
        leases.finish(held)


def test_what_happened_is_in_the_audit_trail_without_secrets():
    apply(factories.provision(organization_id=ACME))

    entry = AuditEntry.objects.get()
    assert entry.actor.startswith("event ")
    assert SECRET not in str(entry.detail)


@pytest.mark.django_db(transaction=True)
def test_an_organization_whose_events_another_worker_applies_is_left_to_it(
    in_other_connection,
):
    receive(factories.provision(organization_id=ACME))

    with transaction.atomic():
        lock_for_this_transaction(f"events {ACME}")
        in_other_connection(lambda: apply_events_of(ACME))

    assert states() == [("organization.provision", "waiting")]


def test_an_unknown_name_or_id_is_refused():
    with pytest.raises(queries.UnknownOrganizationError):
        queries.organization_named("nobody")
    with pytest.raises(queries.UnknownOrganizationError):
        queries.organization(uuid4())
