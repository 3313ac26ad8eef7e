"""The inbox: which events are taken, once, and what is stored of them."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core import serializers
from django.utils import timezone

from provisioning.models import ProvisioningEvent
from provisioning.services.events import (
    InvalidEventError,
    Receipt,
    ReusedEventError,
    receive,
)
from tests.provisioning import factories
from tests.provisioning.factories import SECRET

pytestmark = pytest.mark.django_db

ACME = UUID(int=10)


def with_member(path, value, *, body=None):
    """An event like the factory's, but for one member; ... takes it away."""
    body = copy.deepcopy(body or factories.provision())
    *parents, name = path.split(".")
    place = body
    for parent in parents:
        place = place[parent]
    place[name] = value
    if value is ...:
        del place[name]
    return body


def complaints(body):
    with pytest.raises(InvalidEventError) as caught:
        receive(body)
    return [error["member"] for error in caught.value.errors]


def test_a_new_event_is_stored_before_anything_else_happens():
    body = factories.provision()

    receipt = receive(body)

    event = ProvisioningEvent.objects.get()
    assert receipt == Receipt(event_id=UUID(body["id"]), repeated=False)
    assert (event.state, event.type) == ("waiting", "organization.provision")


@pytest.mark.django_db(transaction=True)
def test_the_same_event_is_stored_once():
    body = factories.provision()
    receive(body)

    receipt = receive(copy.deepcopy(body))

    assert receipt.repeated
    assert ProvisioningEvent.objects.count() == 1


def test_the_order_of_members_does_not_make_another_event():
    body = factories.provision()
    receive(body)

    assert receive(dict(reversed(body.items()))).repeated


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("organization.display_name", "Somebody else"),
        ("organization.credential.client_secret", "another secret"),
        ("tables", ["account"]),
    ],
)
def test_an_id_that_comes_with_another_body_is_refused(path, value):
    body = factories.provision()
    receive(body)

    with pytest.raises(ReusedEventError):
        receive(with_member(path, value, body=body))

    assert ProvisioningEvent.objects.get().body["organization"]["unique_name"]


def test_a_stored_event_holds_no_secret_in_the_clear():
    receive(factories.provision())

    stored = serializers.serialize("json", ProvisioningEvent.objects.all())

    event = ProvisioningEvent.objects.get()
    assert SECRET not in stored
    assert SECRET.encode() not in bytes(event.credential_sealed)
    assert event.body["organization"]["credential"] == {"type": "client_secret"}


def test_a_stored_secret_is_bound_to_its_event():
    receive(factories.provision(event_id=UUID(int=1)))
    event = ProvisioningEvent.objects.get()

    assert event.credential_identity.split(":")[1] == str(UUID(int=1))
    assert bytes(event.credential_sealed)


def test_every_fault_is_named_and_nothing_is_stored():
    body = factories.provision()
    body["organization"]["endpoint"] = "http://contoso.example"
    body["organization"]["color"] = "blue"
    del body["occurred_at"]

    assert sorted(complaints(body)) == [
        "occurred_at",
        "organization.color",
        "organization.endpoint",
    ]
    assert not ProvisioningEvent.objects.exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", ...),
        ("id", 7),
        ("id", "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
        ("type", "organization.destroy"),
        ("type", ["organization.provision"]),
        ("type", ...),
        ("occurred_at", "yesterday"),
        ("occurred_at", "2026-05-04T12:00:00"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "2026-13-04T12:00:00Z"),
        ("occurred_at", "\uff12026-05-04T12:00:00Z"),
        ("occurred_at", 1777896000),
        ("organization", ...),
        ("organization", "contoso"),
        ("organization.id", "contoso"),
        ("organization.unique_name", "Contoso"),
        ("organization.unique_name", "ab"),
        ("organization.unique_name", "contoso\n"),
        ("organization.unique_name", "a" * 41),
        ("organization.display_name", "nul \x00 inside"),
        ("organization.display_name", "half a character \ud800"),
        ("organization.display_name", " "),
        ("organization.kind", "sharepoint"),
        ("organization.kind", {}),
        ("organization.endpoint", ...),
        ("organization.endpoint", "https://user:pw@contoso.example/"),
        ("organization.endpoint", "https://contoso.example/#top"),
        ("organization.endpoint", "https://contoso.example/?a=b"),
        ("organization.endpoint", "https://contoso.example:port/"),
        ("organization.endpoint", "https://[::1/"),
        ("organization.endpoint", "https:///data"),
        ("organization.identity", ...),
        ("organization.identity.issuers", []),
        ("organization.identity.audience", ...),
        ("organization.identity.tenant_id", "contoso"),
        ("organization.identity.trust", "everyone"),
        ("organization.credential.type", "magic"),
        ("organization.credential.type", ["none"]),
        ("organization.credential.type", ...),
        ("organization.credential.client_secret", ...),
        ("organization.credential.client_secret", ""),
        ("organization.credential.password", "x"),
        ("organization.credential", "none"),
        ("organization.credential", None),
        ("organization.ca_certificate", "trust me"),
        ("organization.ca_certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        ("tables", "account"),
        ("tables", ["account", "account"]),
        ("shape", "round"),
    ],
)
def test_a_malformed_member_is_named_by_its_path(path, value):
    assert complaints(with_member(path, value)) == [path]
    assert not ProvisioningEvent.objects.exists()


@pytest.mark.parametrize("name", ["Account", "1st", 'a"; DROP', "", None, "a" * 129])
def test_a_table_is_named_by_its_place_in_the_list(name):
    assert complaints(with_member("tables", ["contact", name])) == ["tables[1]"]


@pytest.mark.parametrize("body", [[], None, "event", 7])
def test_a_body_that_is_no_object_is_refused(body):
    assert complaints(body) == ["body"]


def test_no_complaint_repeats_a_secret():
    body = with_member("organization.credential.client_secret", SECRET + "\x00")

    with pytest.raises(InvalidEventError) as caught:
        receive(body)

    assert SECRET not in json.dumps(caught.value.errors) + str(caught.value)


def test_an_event_from_the_future_is_refused():
    tomorrow = timezone.now() + timedelta(days=1)

    assert complaints(factories.provision(at=tomorrow)) == ["occurred_at"]


@pytest.mark.parametrize(
    "credential",
    [
        {"type": "none"},
        {"type": "basic", "username": "ada", "password": "x"},
        {"type": "bearer", "token": "x"},
        {"type": "managed_identity"},
        {"type": "workload_identity", "tenant_id": "t", "client_id": "c"},
        {
            "type": "certificate",
            "tenant_id": "t",
            "client_id": "c",
            "certificate": "-----BEGIN PRIVATE KEY-----\nx\n",
        },
    ],
    ids=lambda credential: credential["type"],
)
def test_every_kind_of_credential_is_taken(credential):
    receive(with_member("organization.credential", credential))

    assert ProvisioningEvent.objects.count() == 1


@pytest.mark.parametrize("verb", ["suspend", "resume", "resync", "deprovision"])
def test_the_short_events_need_the_id_of_the_organization_only(verb):
    receive(factories.event(verb, ACME))

    assert ProvisioningEvent.objects.get().organization_id == ACME


def test_an_update_names_what_changes():
    receive(factories.event("update", ACME, members={"display_name": "Acme"}))

    assert ProvisioningEvent.objects.get().type == "organization.update"


@pytest.mark.parametrize("member", ["unique_name", "kind"])
def test_what_cannot_change_is_unknown_to_an_update(member):
    body = factories.event("update", uuid4(), members={member: "odata"})

    assert complaints(body) == [f"organization.{member}"]
