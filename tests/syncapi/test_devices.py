"""Devices register, report, sign off, and are revoked and wiped."""

from __future__ import annotations

import pytest
from django.db import DataError

from provisioning.models import AuditEntry
from syncapi.models import Device
from syncapi.services import devices
from tests.syncapi import factories
from tests.syncapi.authority import ADA, GRACE
from tests.syncapi.conftest import bearer
from tests.syncapi.engines import DEVICE

pytestmark = pytest.mark.usefixtures("engine")

PATH = f"/sync/v1/orgs/contoso/devices/{DEVICE}"
TABLET = {"name": "Ada's tablet", "platform": "android", "app_version": "4.2"}


def put(client, *, path=PATH, body=TABLET):
    return client.put(path, body, content_type="application/json")


def report(client, **body):
    return client.post(f"{PATH}/status", body, content_type="application/json")


def test_a_device_registers(contoso, ada):
    response = put(ada)

    assert response.status_code == 201
    assert response.json() == {
        "device": str(DEVICE),
        "user": {"id": "00000000-0000-0000-0000-000000000002", "name": "Ada"},
        "state": "active",
        "next_sequence": 1,
    }
    device = Device.objects.get()
    assert (device.organization, device.user_object_id) == (contoso, ADA)
    assert (device.name, device.platform) == ("Ada's tablet", "android")


def test_registering_again_updates_what_the_device_says_of_itself(contoso, ada):
    put(ada)

    response = put(ada, body={**TABLET, "app_version": "4.3"})

    assert response.status_code == 200
    assert Device.objects.get().app_version == "4.3"


def test_a_device_of_another_user_does_not_exist(contoso, ada, grace):
    put(ada)

    answers = [put(grace), report(grace, pending_mutations=1), grace.delete(PATH)]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"unknown_device"}
    assert Device.objects.get().user_object_id == ADA


def test_the_same_device_may_belong_to_two_organizations(contoso, authority, ada):
    factories.organization(authority, unique_name="fabrikam")
    put(ada)

    response = put(ada, path=PATH.replace("contoso", "fabrikam"))

    assert response.status_code == 201


def test_a_person_whom_the_source_does_not_know_may_not_go_offline(
    contoso, ada, engine
):
    engine.users.clear()

    response = put(ada)

    assert response.status_code == 403
    assert response.json()["code"] == "offline_not_allowed"


@pytest.mark.parametrize(
    ("body", "member"),
    [
        pytest.param({"platform": "android"}, "name", id="missing"),
        pytest.param({**TABLET, "owner": "me"}, "owner", id="unknown"),
        pytest.param({**TABLET, "name": 7}, "name", id="of another type"),
        pytest.param({**TABLET, "name": None}, "name", id="null"),
        pytest.param({**TABLET, "name": "x" * 201}, "name", id="too long"),
        pytest.param({**TABLET, "platform": "a\x00b"}, "platform", id="with NUL"),
        pytest.param([], "body", id="no object"),
        pytest.param("{", "body", id="no JSON"),
        pytest.param("[" * 50_000, "body", id="nested without end"),
        pytest.param("", "body", id="empty"),
        pytest.param('{"name":"\\ud800"}', "body", id="half a character"),
        pytest.param(b'{"name":"\xff"}', "body", id="no UTF-8"),
    ],
)
def test_a_malformed_registration_names_the_member(contoso, ada, body, member):
    response = put(ada, body=body)

    assert response.status_code == 400
    assert response.json()["code"] == "malformed"
    assert [fault["member"] for fault in response.json()["errors"]] == [member]
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    "name", ["tablet", "00000000-0000-0000-0000-00000000000A", "%00", "1" * 500]
)
def test_a_device_is_named_by_a_lower_case_guid(contoso, ada, name):
    response = put(ada, path=f"/sync/v1/orgs/contoso/devices/{name}")

    assert response.status_code == 400
    assert response.json()["errors"][0]["member"] == "device"


def test_a_registration_of_absurd_size_is_refused(contoso, ada):
    response = put(ada, body={**TABLET, "name": "x" * 1_000_000})

    assert response.status_code == 413
    assert response.json()["code"] == "too_large"


def test_a_device_says_how_it_fares(contoso, ada):
    put(ada)

    response = report(
        ada, pending_mutations=3, last_error="Disk full", free_bytes=2**40
    )

    assert (response.status_code, response.content) == (204, b"")
    device = Device.objects.get()
    assert (device.pending_mutations, device.last_error) == (3, "Disk full")
    assert device.free_bytes == 2**40
    assert device.reported_at is not None


@pytest.mark.parametrize(
    "body",
    [
        {"pending_mutations": -1},
        {"pending_mutations": 2**63},
        {"pending_mutations": 1.5},
        {"pending_mutations": True},
        {"free_bytes": "many"},
        {"mood": "good"},
    ],
)
def test_a_malformed_report_is_refused(contoso, ada, body):
    put(ada)

    assert report(ada, **body).status_code == 400
    assert Device.objects.get().reported_at is None


def test_only_registered_devices_report(contoso, ada):
    assert report(ada, pending_mutations=1).status_code == 404


def test_signing_off_may_be_repeated(contoso, ada):
    put(ada)

    answers = [ada.delete(PATH).status_code, ada.delete(PATH).status_code]

    assert answers == [204, 204]
    assert Device.objects.get().state == "signed_off"


def test_a_device_that_signed_off_must_register_again(contoso, ada):
    put(ada)
    ada.delete(PATH)

    assert report(ada, pending_mutations=0).status_code == 404
    assert put(ada).status_code == 200
    assert report(ada, pending_mutations=0).status_code == 204


def test_an_unknown_device_cannot_sign_off(contoso, ada):
    assert ada.delete(PATH).status_code == 404


def test_a_revoked_device_is_refused_everywhere_and_keeps_its_data(contoso, ada):
    device = factories.device(contoso)
    devices.revoke(device.pk, actor="olga")

    answers = [put(ada), report(ada, pending_mutations=1)]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["code"] for answer in answers} == {"device_revoked"}
    assert all("wipe" not in answer.json() for answer in answers)


@pytest.mark.django_db(transaction=True)
def test_a_revocation_is_felt_by_the_next_request(contoso, ada):
    put(ada)
    assert report(ada).status_code == 204

    devices.revoke(Device.objects.get().pk, actor="olga")

    assert report(ada).status_code == 403


def test_a_wipe_is_told_and_confirmed_and_lasts(contoso, ada):
    device = factories.device(contoso)
    devices.order_wipe(device.pk, actor="olga")

    told = report(ada, pending_mutations=0)
    confirmed = [ada.delete(PATH).status_code, ada.delete(PATH).status_code]
    afterwards = put(ada)

    assert told.json()["wipe"] is True
    assert confirmed == [204, 204]
    device.refresh_from_db()
    assert device.wipe_confirmed_at is not None
    assert (afterwards.status_code, device.state) == (403, "revoked")


def test_a_restored_device_starts_by_registering(contoso, ada):
    device = factories.device(contoso)
    devices.order_wipe(device.pk, actor="olga")

    devices.restore(device.pk, actor="olga")

    assert put(ada).status_code == 200
    device.refresh_from_db()
    assert (device.state, device.wipe_ordered) == ("active", False)


def test_every_decision_leaves_an_audit_entry(contoso):
    device = factories.device(contoso)

    for decide in (devices.revoke, devices.order_wipe, devices.restore):
        decide(device.pk, actor="olga")

    entries = AuditEntry.objects.order_by("id")
    assert [(entry.actor, entry.verb) for entry in entries] == [
        ("olga", "revoke device"),
        ("olga", "wipe device"),
        ("olga", "restore device"),
    ]
    assert {entry.detail["device"] for entry in entries} == {str(DEVICE)}
    assert {entry.organization for entry in entries} == {contoso}


@pytest.mark.django_db(transaction=True)
def test_a_decision_and_its_audit_entry_are_written_together(contoso):
    device = factories.device(contoso)

    with pytest.raises(DataError):
        devices.revoke(device.pk, actor="o" * 1_000)

    device.refresh_from_db()
    assert (device.state, AuditEntry.objects.count()) == ("active", 0)


def test_two_users_of_one_tablet_have_two_devices(contoso, authority, engine):
    other = f"{PATH[:-1]}4"

    answers = [
        put(bearer(authority.token())).status_code,
        put(bearer(authority.token(oid=str(GRACE))), path=other).status_code,
    ]

    assert answers == [201, 201]
