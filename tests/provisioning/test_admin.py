"""What operators see and do in the admin, and what they never see."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from provisioning.models import AuditEntry, Organization, WorkItem
from provisioning.secrets import seal
from tests.provisioning import factories

pytestmark = pytest.mark.django_db

COUNTS = ("loaded", "in_trouble")
MODELS = [
    "organization",
    "workitem",
    "provisioningevent",
    "databaseserver",
    "auditentry",
]


@pytest.fixture
def grace(client):
    operator = User.objects.create_superuser("grace", password="nanoseconds")
    client.force_login(operator)
    return client


def act(client, model, action, *rows):
    url = reverse(f"admin:provisioning_{model}_changelist")
    chosen = [str(row.pk) for row in rows]
    data = {"action": action, "_selected_action": chosen, "confirmed": "yes"}
    return client.post(url, data, follow=True).content.decode()


def cells(page, name):
    """The text of the cells of one column."""
    found = re.findall(rf'<td class="[^"]*{name}[^"]*"[^>]*>(.*?)</td>', page, re.S)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in found]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_list_and_no_way_to_add_by_hand(grace, model):
    assert (
        grace.get(reverse(f"admin:provisioning_{model}_changelist")).status_code == 200
    )
    assert grace.get(reverse(f"admin:provisioning_{model}_add")).status_code == 403


def test_an_organization_shows_where_it_stands_at_a_glance(grace):
    acme = factories.organization(state="loading_mandatory")
    factories.work_item(acme, table="account", completed_once=True)
    factories.work_item(acme, table="task", last_failure="transient")
    factories.work_item(acme, table="")

    page = grace.get(reverse("admin:provisioning_organization_changelist")).content

    text = page.decode()
    assert "loading mandatory tables" in text
    loaded, in_trouble = (cells(text, f"field-{name}") for name in COUNTS)
    assert (loaded, in_trouble) == (["1 / 2"], ["1"])


def test_no_page_shows_a_sealed_secret(grace):
    acme = factories.organization()
    acme.credential_sealed = seal(b"secret", identity=acme.credential_identity)
    acme.save(update_fields=["credential_sealed"])

    url = reverse("admin:provisioning_organization_change", args=[acme.pk])
    page = grace.get(url).content.decode()

    assert "Contoso" in page
    assert "sealed" not in page


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("suspend", "active", "suspended"),
        ("resync", "active", "active"),
        ("deprovision", "active", "deprovisioning"),
    ],
)
def test_an_operators_verb_is_done_and_bears_their_name(grace, verb, before, after):
    acme = factories.organization(state=before)

    act(grace, "organization", verb, acme)

    acme.refresh_from_db()
    assert acme.state == after
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.organization) == ("grace", verb, acme)


def test_an_operator_resumes_a_suspended_organization(grace):
    acme = factories.organization(state="suspended", suspended_from="ready")

    act(grace, "organization", "resume", acme)

    assert Organization.objects.get().state == "active"


def test_a_verb_that_does_not_fit_is_explained_and_not_audited(grace):
    acme = factories.organization(state="active")

    page = act(grace, "organization", "resume", acme)

    assert "not suspended" in page
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("pause", "due", "paused"),
        ("resume", "halted", "due"),
        ("run_now", "postponed", "due"),
    ],
)
def test_an_operator_stops_and_starts_work_items(grace, verb, before, after):
    item = factories.work_item(state=before)

    act(grace, "workitem", verb, item)

    assert WorkItem.objects.get().state == after
    assert AuditEntry.objects.get().actor == "grace"


def test_who_may_only_look_cannot_act(client):
    watcher = User.objects.create_user("watcher", is_staff=True)
    client.force_login(watcher)
    acme = factories.organization(state="active")

    act(client, "organization", "suspend", acme)

    assert Organization.objects.get().state == "active"
