"""The admin API: what operators see, and the verbs that they have."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning.models import AuditEntry, WorkItem
from syncapi.models import Device
from tests.syncapi import factories
from tests.syncapi.engines import DEVICE

ROOT = "/admin-api/v1"
ORG = f"{ROOT}/organizations/contoso"

pytestmark = pytest.mark.django_db


def post(client, path):
    return client.post(path, content_type="application/json")


def work_item(organization, *, table="account", **columns):
    return WorkItem.objects.create(
        organization=organization,
        kind="table" if table else "metadata",
        table=table,
        interval=timedelta(seconds=30),
        **columns,
    )


# Organizations


def test_organizations_are_listed_by_name_without_secrets(operator, authority):
    for name in ("fabrikam", "contoso"):
        factories.organization(authority, unique_name=name, credential_sealed=b"sealed")
    factories.organization(authority, unique_name="gone", state="deprovisioned")

    response = operator.get(f"{ROOT}/organizations")

    names = [item["unique_name"] for item in response.json()["items"]]
    assert names == ["contoso", "fabrikam"]
    assert response.json()["next"] is None
    assert "sealed" not in response.text


def test_an_organization_shows_how_far_it_has_come(operator, contoso):
    now = timezone.now()
    work_item(contoso, table="")
    work_item(
        contoso,
        completed_once=True,
        mandatory=True,
        last_succeeded_at=now - timedelta(seconds=90),
    )
    work_item(contoso, table="contact", mandatory=True, last_error="429", attempts=2)

    document = operator.get(ORG).json()

    assert (document["state"], document["stage"]) == ("active", "active")
    progress = document["progress"]
    assert 90 <= progress.pop("lag_seconds") < 120
    assert progress == {
        "tables": 2,
        "completed": 1,
        "mandatory": 2,
        "mandatory_completed": 1,
        "in_trouble": 1,
        "rows": None,
    }
    account, contact = document["tables"]
    assert (account["table"], account["completed"]) == ("account", True)
    assert (contact["last_error"], contact["lag_seconds"]) == ("429", None)


@pytest.mark.parametrize(
    ("columns", "stage"),
    [
        ({"state": "suspended", "suspended_from": "ready"}, "ready"),
        ({"state": "failed", "failed_step": "creating"}, "creating"),
        ({"state": "loading_metadata"}, "loading_metadata"),
    ],
)
def test_the_stage_says_where_an_organization_was_held_up(
    operator, authority, columns, stage
):
    factories.organization(authority, **columns)

    assert operator.get(ORG).json()["stage"] == stage


def test_what_was_deprovisioned_can_still_be_looked_at(operator, authority):
    factories.organization(authority, state="deprovisioned")

    assert operator.get(ORG).json()["state"] == "deprovisioned"


def test_the_organization_that_lives_bears_the_name(operator, authority):
    factories.organization(authority, state="deprovisioned")
    factories.organization(authority, state="creating")

    assert operator.get(ORG).json()["state"] == "creating"


def test_staging_that_does_not_answer_hides_nothing_else(operator, authority):
    organization = factories.organization(authority, database_name="gone")
    work_item(organization)

    response = operator.get(ORG)

    assert response.status_code == 200
    assert response.json()["tables"][0]["rows"] is None


@pytest.mark.parametrize(
    ("verb", "state"), [("suspend", "suspended"), ("deprovision", "deprovisioning")]
)
def test_an_operator_suspends_and_deprovisions(operator, contoso, verb, state):
    response = post(operator, f"{ORG}/{verb}")

    assert response.status_code == 204
    contoso.refresh_from_db()
    assert contoso.state == state
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb) == ("olga", verb)


def test_a_suspension_ends_by_resuming(operator, contoso):
    post(operator, f"{ORG}/suspend")

    post(operator, f"{ORG}/resume")

    contoso.refresh_from_db()
    assert contoso.state == "active"


def test_a_verb_that_does_not_fit_the_state_is_refused(operator, contoso):
    response = post(operator, f"{ORG}/resume")

    assert (response.status_code, response.json()["code"]) == (409, "rejected")


def test_an_unknown_verb_is_no_address(operator, contoso):
    assert post(operator, f"{ORG}/explode").status_code == 404


@pytest.mark.parametrize("name", ["fabrikam", "x" * 300, "%00", "Contoso"])
def test_an_unknown_organization_is_unknown_everywhere(operator, contoso, name):
    for path in ("", "/tables", "/work-items", "/devices", "/audit", "/profiles"):
        response = operator.get(f"{ROOT}/organizations/{name}{path}")

        assert response.status_code == 404


# Work items


def test_work_items_are_listed_the_metadata_first(operator, contoso):
    for table in ("contact", "", "account"):
        work_item(contoso, table=table)

    items = operator.get(f"{ORG}/work-items").json()["items"]

    assert [item["table"] for item in items] == ["", "account", "contact"]
    assert items[0]["interval_seconds"] == 30


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [("pause", "due", "paused"), ("resume", "paused", "due"), ("run", "due", "due")],
)
def test_an_operator_pauses_resumes_and_runs_work(
    operator, contoso, verb, before, after
):
    item = work_item(contoso, state=before)

    response = post(operator, f"{ORG}/work-items/{item.pk}/{verb}")

    assert response.status_code == 204
    item.refresh_from_db()
    assert item.state == after
    assert AuditEntry.objects.get().actor == "olga"


def test_work_of_another_organization_is_out_of_reach(operator, contoso, authority):
    other = factories.organization(authority, unique_name="fabrikam")
    item = work_item(other)

    response = post(operator, f"{ORG}/work-items/{item.pk}/pause")

    assert response.status_code == 404
    item.refresh_from_db()
    assert item.state == "due"


@pytest.mark.parametrize("verb", ["explode", "run_now"])
def test_other_verbs_of_work_items_are_no_address(operator, contoso, verb):
    item = work_item(contoso)

    assert post(operator, f"{ORG}/work-items/{item.pk}/{verb}").status_code == 404


# Devices


def test_devices_are_listed_as_the_operator_knows_them(operator, contoso):
    factories.device(contoso, pending_mutations=3, last_error="Disk full")

    (device,) = operator.get(f"{ORG}/devices").json()["items"]

    assert (device["device"], device["user_name"]) == (str(DEVICE), "Ada")
    assert (device["state"], device["pending_mutations"]) == ("active", 3)


@pytest.mark.parametrize(
    ("verb", "state", "wipe"),
    [("revoke", "revoked", False), ("wipe", "revoked", True)],
)
def test_an_operator_revokes_wipes_and_restores(operator, contoso, verb, state, wipe):
    factories.device(contoso)

    assert post(operator, f"{ORG}/devices/{DEVICE}/{verb}").status_code == 204

    device = Device.objects.get()
    assert (device.state, device.wipe_ordered) == (state, wipe)
    assert AuditEntry.objects.get().actor == "olga"
    post(operator, f"{ORG}/devices/{DEVICE}/restore")
    device.refresh_from_db()
    assert (device.state, device.wipe_ordered) == ("signed_off", False)


def test_a_device_of_another_organization_is_out_of_reach(operator, contoso, authority):
    other = factories.organization(authority, unique_name="fabrikam")
    device = factories.device(other)

    response = post(operator, f"{ORG}/devices/{DEVICE}/revoke")

    assert (response.status_code, response.json()["code"]) == (404, "unknown_device")
    device.refresh_from_db()
    assert device.state == "active"


# Lists


def test_a_list_is_read_page_by_page(operator, contoso):
    for table in ("account", "contact", "task"):
        work_item(contoso, table=table)

    first = operator.get(f"{ORG}/work-items?limit=2").json()
    second = operator.get(f"{ORG}/work-items?limit=2&after={first['next']}").json()

    tables = [[item["table"] for item in page["items"]] for page in (first, second)]
    assert tables == [["account", "contact"], ["task"]]
    assert second["next"] is None


def test_the_audit_trail_is_read_newest_first(operator, contoso):
    for number in range(3):
        AuditEntry.objects.create(actor="olga", verb=f"v{number}", organization=contoso)

    first = operator.get(f"{ORG}/audit?limit=2").json()
    second = operator.get(f"{ORG}/audit?after={first['next']}").json()

    verbs = [[entry["verb"] for entry in page["items"]] for page in (first, second)]
    assert verbs == [["v2", "v1"], ["v0"]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=many",
        "limit=²",
        "offset=3",
        "after=x",
    ],
)
@pytest.mark.parametrize("path", ["audit", "devices"])
def test_a_malformed_page_is_refused(operator, contoso, path, query):
    response = operator.get(f"{ORG}/{path}?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


# The rest


def test_profiles_must_be_objects_under_a_printable_name(operator, contoso):
    for name, body in (("sales", b"[]"), ("%00", b"{}"), ("x" * 101, b"{}")):
        response = operator.put(
            f"{ORG}/profiles/{name}", body, content_type="application/json"
        )

        assert (response.status_code, response.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize("query", ["", "?user=", "?user=ada", "?user=%00&x=1"])
def test_the_client_model_is_asked_for_by_user(operator, contoso, query):
    response = operator.get(f"{ORG}/client-model{query}")

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_the_schema_is_openapi_3_and_describes_the_events(operator):
    document = operator.get(f"{ROOT}/schema").json()

    assert document["openapi"].startswith("3.")
    assert "/admin-api/v1/events" in document["paths"]
    assert not any(path.startswith("/sync") for path in document["paths"])
