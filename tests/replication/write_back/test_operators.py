"""Operators and edits of devices: what they see, and what they may do about them."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from provisioning.models import AuditEntry, WorkItem
from replication.odata.writing import WriteRefusedError
from replication.services import upload_oversight, upload_verbs
from replication.services.upload_verbs import MutationStateError, UnknownMutationError
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

ORG = "/admin-api/v1/organizations/contoso"
SECRET = 987_654


def client_of(*permissions):
    operator = User.objects.create(username="olga", is_staff=True, is_superuser=False)
    operator.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def olga():
    return client_of(
        "view_organization",
        "change_organization",
        "change_workitem",
        "view_uploaded_values",
    )


@pytest.fixture
def viewer():
    return client_of("view_organization")


@pytest.fixture
def failed(world, device):
    """An edit that the source refused, and one that waits behind it."""

    def plug_in(writes):
        if writes[0].values.get("revenue") == SECRET:
            raise WriteRefusedError("Too much.", reason="invalid")

    world.sink.before = plug_in
    first = world.edit("Airport", device=device, revenue=SECRET)
    world.edit("Airport", device=device, revenue=3)
    world.carry()
    return first


def page(world):
    return reverse("admin:provisioning_organization_mutations", args=[world.id])


def test_what_waits_and_what_failed_is_counted(world, device, failed):
    world.edit("Depot", device=device, revenue=2)

    found = upload_oversight.pending(world.id)

    assert (found.waiting, found.parked, found.failed) == (1, 1, 1)
    assert found.oldest_seconds is not None


def test_a_retry_does_the_edit_and_lets_those_behind_it_go(world, device, failed):
    world.sink.before = lambda _writes: None

    upload_verbs.retry(world.id, failed, operator="olga")
    world.carry()

    assert world.statuses(device) == ["applied", "applied"]
    assert AuditEntry.objects.get(verb="retry mutation").actor == "olga"
    assert WorkItem.objects.get(kind="uploads").expected_by is not None


def test_an_edit_may_be_corrected_before_it_is_tried_again(world, device, failed):
    upload_verbs.retry(world.id, failed, operator="olga", values={"revenue": 5})
    world.carry()

    entry = AuditEntry.objects.get(verb="edit and retry mutation")
    assert world.statuses(device) == ["applied", "applied"]
    assert world.sink.journal[0].values == {"revenue": 5}
    assert entry.detail["columns"] == ["revenue"]
    assert "5" not in json.dumps(entry.detail["columns"])


def test_a_conflict_may_be_written_over_the_row_as_it_is(world, device):
    conflict = world.edit("Airport", device=device, revenue=2)
    world.source.put("account", guid("Airport"), revenue=9)
    world.carry()

    upload_verbs.retry(world.id, conflict, operator="olga", onto_present=True)
    world.carry()

    assert world.statuses(device) == ["applied"]
    assert world.source.rows("account")[str(guid("Airport"))]["revenue"] == 2


def test_a_discarded_edit_takes_those_behind_it_along(world, device, failed):
    upload_verbs.discard(world.id, failed, operator="olga")

    statuses = world.outcomes(device)
    assert [status for status, _ in statuses] == ["rejected", "rejected"]
    assert "discarded" in statuses[1][1]["message"]
    assert AuditEntry.objects.filter(verb="discard mutation").count() == 1


def test_what_is_done_or_under_way_is_left_alone(world, device):
    done = world.edit("Airport", device=device, revenue=2)
    world.carry()
    sent = world.edit("Depot", device=device, revenue=2)
    world.execute("UPDATE sync.mutation SET sent_at = now() WHERE id = %s", sent)

    for mutation in (done, sent):
        with pytest.raises(MutationStateError):
            upload_verbs.discard(world.id, mutation, operator="olga")
        with pytest.raises(MutationStateError):
            upload_verbs.retry(world.id, mutation, operator="olga")
    with pytest.raises(UnknownMutationError):
        upload_verbs.retry(world.id, world.id, operator="olga")


def test_the_api_lists_what_is_not_done_without_values(world, failed, viewer):
    answer = viewer.get(f"{ORG}/mutations?values=true")

    items = answer.json()["items"]
    assert [item["status"] for item in items] == ["rejected", "parked"]
    assert items[1]["blocked_by"] == str(failed)
    assert items[0]["columns"] == ["revenue"]
    assert str(SECRET).encode() not in answer.content


def test_values_are_for_those_who_may_see_them(world, failed, olga):
    without = olga.get(f"{ORG}/mutations").json()["items"][0]["values"]
    with_values = olga.get(f"{ORG}/mutations?values=true").json()["items"][0]["values"]

    assert (without, with_values) == (None, {"revenue": SECRET})


def test_the_api_pages_and_filters(world, device, failed, olga):
    first = olga.get(f"{ORG}/mutations?limit=1").json()
    second = olga.get(f"{ORG}/mutations?limit=1&after={first['next']}").json()
    parked = olga.get(f"{ORG}/mutations?status=parked&device={device}").json()

    assert [one["items"][0]["sequence"] for one in (first, second)] == [1, 2]
    assert second["next"] is None
    assert [item["sequence"] for item in parked["items"]] == [2]


@pytest.mark.parametrize(
    "query", ["status=lost", "values=yes", "device=x", "after=1", "limit=0", "x=1"]
)
def test_the_api_refuses_what_it_does_not_know(world, olga, query):
    assert olga.get(f"{ORG}/mutations?{query}").status_code == 400


def test_the_api_has_the_verbs(world, device, failed, olga):
    retried = olga.post(
        f"{ORG}/mutations/{failed}/retry",
        data={"values": {"revenue": 5}},
        content_type="application/json",
    )
    world.carry()
    too_late = olga.post(f"{ORG}/mutations/{failed}/discard")
    unknown = olga.post(f"{ORG}/mutations/{world.id}/discard")
    nonsense = olga.post(f"{ORG}/mutations/{failed}/explode")

    assert retried.status_code == 204
    assert world.statuses(device) == ["applied", "applied"]
    assert (too_late.status_code, unknown.status_code) == (409, 404)
    assert nonsense.status_code == 404


def test_the_page_shows_columns_and_to_the_entitled_values(world, failed, olga):
    shown = olga.get(page(world)).content.decode()

    assert "Too much." in shown
    assert str(SECRET) in shown


def test_the_page_hides_values_from_others(world, failed, viewer):
    shown = viewer.get(page(world))

    assert shown.status_code == 200
    assert str(SECRET) not in shown.content.decode()
    assert viewer.post(page(world), {"mutation": str(failed)}).status_code == 403


def test_the_page_retries_edits_and_discards(world, device, failed, olga):
    refused = olga.post(
        page(world), {"mutation": str(failed), "verb": "edit", "values": "[1"}
    )
    olga.post(
        page(world),
        {"mutation": str(failed), "verb": "edit", "values": '{"revenue": 5}'},
    )
    world.carry()
    doomed = world.edit("Depot", device=device, revenue=2)
    olga.post(page(world), {"mutation": str(doomed), "verb": "discard"})

    assert refused.status_code == 302
    assert world.statuses(device) == ["applied", "applied", "rejected"]


def test_the_organizations_page_counts_what_waits(world, device, olga):
    world.edit("Depot", device=device, revenue=2)

    shown = olga.get(
        reverse("admin:provisioning_organization_change", args=[world.id])
    ).content.decode()

    assert page(world) in shown
    assert "Edits that wait" in shown
