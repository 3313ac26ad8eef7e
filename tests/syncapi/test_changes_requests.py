"""Changes: whose requests, and which, are answered at all."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from syncapi.services import devices, directory
from tests.syncapi import factories
from tests.syncapi.authority import GRACE
from tests.syncapi.engines import DEVICE, begin, point

PATH = f"/sync/v1/orgs/contoso/changes?device={DEVICE}&model=7f3c"


@pytest.mark.parametrize(
    ("query", "member"),
    [
        ("model=7f3c", "device"),
        (f"device={DEVICE}", "model"),
        ("device=tablet&model=7f3c", "device"),
        ("device=00000000-0000-0000-0000-00000000000A&model=7f3c", "device"),
        (f"device={DEVICE}&model=", "model"),
        (f"device={DEVICE}&model=%00", "model"),
        (f"device={DEVICE}&model={'x' * 129}", "model"),
        (f"device={DEVICE}&model=7f3c&reset=", "reset"),
        (f"device={DEVICE}&model=7f3c&reset=account,,contact", "reset"),
        (f"device={DEVICE}&model=7f3c&reset=account;drop", "reset"),
        (f"device={DEVICE}&model=7f3c&digest=yes", "digest"),
        (f"device={DEVICE}&model=7f3c&since=yesterday", "since"),
        (f"device={DEVICE}&model=7f3c&model=7f3c", "model"),
        (f"device={DEVICE}&model=%ff", "query"),
        ("&".join(f"p{number}=1" for number in range(100)), "query"),
    ],
)
def test_a_malformed_query_names_the_parameter(ada, device, engine, query, member):
    response = ada.get(f"/sync/v1/orgs/contoso/changes?{query}")

    assert response.status_code == 400
    assert response.json()["code"] == "malformed"
    assert [fault["member"] for fault in response.json()["errors"]] == [member]
    assert engine.asked == []


def test_every_fault_is_named_at_once(ada, device, engine):
    response = ada.get("/sync/v1/orgs/contoso/changes?digest=7")

    faults = [fault["member"] for fault in response.json()["errors"]]
    assert faults == ["device", "model", "digest"]


@pytest.mark.parametrize(
    "token",
    ["", "x", "AAAA", "%00", "%C3%A9", "A" * 30_000, "AQAAAABpI" * 20, "=" * 50],
)
def test_a_checkpoint_that_is_none_means_to_start_again(ada, device, engine, token):
    response = ada.get(f"{PATH}&checkpoint={token}")

    assert response.status_code == 410
    assert response.json()["code"] == "resync_required"
    assert engine.asked == []


def test_a_checkpoint_of_somebody_else_means_to_start_again(
    ada, authority, contoso, device, engine, signed
):
    fabrikam = factories.organization(authority, unique_name="fabrikam")
    foreign = [
        signed(organization=fabrikam),
        signed(organization=contoso, user_id=UUID(int=8)),
        signed(organization=contoso, device_id=UUID(int=8)),
        signed(organization=contoso, key=b"x" * 32),
        signed(organization=contoso, age=timedelta(days=61).total_seconds()),
    ]

    answers = [ada.get(f"{PATH}&checkpoint={token}") for token in foreign]

    assert {answer.status_code for answer in answers} == {410}
    assert engine.asked == []


def test_an_unregistered_device_is_unknown(ada, contoso, engine):
    assert ada.get(PATH).json()["code"] == "unknown_device"


def test_a_device_of_another_user_is_unknown(grace, device, engine):
    engine.says(begin(), point())

    response = grace.get(PATH)

    assert (response.status_code, response.json()["code"]) == (404, "unknown_device")


def test_a_device_of_another_organization_is_unknown(
    ada, authority, contoso, device, engine
):
    factories.organization(authority, unique_name="fabrikam")

    response = ada.get(PATH.replace("contoso", "fabrikam"))

    assert response.json()["code"] == "unknown_device"


def test_a_revoked_device_gets_nothing(ada, device, engine):
    engine.says(begin(), point())
    devices.order_wipe(device.pk, actor="olga")

    response = ada.get(PATH)

    assert response.status_code == 403
    assert (response.json()["code"], response.json()["wipe"]) == (
        "device_revoked",
        True,
    )
    assert engine.asked == []


def test_two_users_of_one_organization_have_their_own_devices(
    grace, contoso, device, engine
):
    other = UUID(int=5)
    factories.device(contoso, device_id=other, object_id=GRACE, user_id=UUID(int=4))
    engine.says(begin(), point())

    grace.get(PATH.replace(str(DEVICE), str(other))).getvalue()

    assert engine.asked[-1][1].user_id == UUID(int=4)


@pytest.mark.parametrize(
    ("state", "suspended_from", "status", "code"),
    [
        ("requested", "", 503, "not_ready"),
        ("creating", "", 503, "not_ready"),
        ("loading_metadata", "", 503, "not_ready"),
        ("loading_mandatory", "", 503, "not_ready"),
        ("ready", "", 200, None),
        ("active", "", 200, None),
        ("suspended", "active", 503, "unavailable"),
        ("deprovisioning", "", 404, "unknown_organization"),
        ("deprovisioned", "", 404, "unknown_organization"),
    ],
)
def test_the_state_of_the_organization_decides_who_is_served(
    ada, contoso, device, engine, state, suspended_from, status, code
):
    engine.says(begin(), point())
    contoso.state, contoso.suspended_from = state, suspended_from
    contoso.save(update_fields=["state", "suspended_from"])
    directory.forget()

    response = ada.get(PATH)

    assert response.status_code == status
    if code:
        assert response.json()["code"] == code
