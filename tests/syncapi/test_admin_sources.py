"""What operators see of a source, and that its secret is nowhere in it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from provisioning.domain.budgets import Kind, Trouble
from provisioning.models import AuditEntry, SourceBudget, WorkItem
from provisioning.secrets import seal
from provisioning.services import budgets
from tests.replication.odata import servers
from tests.replication.odata.servers import Answer, in_turn, json_answer

SECRET = "correct-horse-battery"
ORG = "/admin-api/v1/organizations/contoso"

pytestmark = pytest.mark.django_db


@pytest.fixture
def sealed(contoso):
    """Contoso with a secret of its own, and one table."""
    members = {"type": "basic", "username": "ada", "password": SECRET}
    contoso.credential_type = "basic"
    contoso.credential_sealed = seal(
        json.dumps(members).encode(), identity=contoso.credential_identity
    )
    contoso.save()
    WorkItem.objects.create(
        organization=contoso,
        kind="table",
        table="account",
        interval=timedelta(seconds=30),
        requests=7,
        throttled_seconds=3.5,
        source_rows=4711,
        source_rows_at=Now(),
    )
    return contoso


def at(organization, server):
    organization.endpoint = server.endpoint
    organization.save(update_fields=["endpoint"])
    return organization


def test_a_source_that_was_never_asked_has_no_budget(operator, sealed):
    answer = operator.get(f"{ORG}/source").json()

    assert answer["budget"] is None
    assert answer["tables"][0]["source_rows"] == 4711
    assert answer["tables"][0]["requests"] == 7


def test_throttling_and_the_breaker_are_shown(operator, sealed):
    budget = budgets.budget_of(sealed)
    pause = timedelta(seconds=90)
    budgets.tell(budget, Trouble(kind=Kind.THROTTLED, retry_after=pause), jitter=0)
    budgets.tell(budget, Trouble(kind=Kind.TIMED_OUT), jitter=0)

    shown = operator.get(f"{ORG}/source").json()["budget"]

    assert (shown["breaker"], shown["window"], shown["throttled"]) == ("open", 1, 1)
    assert shown["paused_seconds"] in range(80, 91)
    assert shown["throttled_seconds"] in range(89, 92)
    page = operator.get(
        reverse("admin:provisioning_organization_change", args=[sealed.pk])
    )
    assert "breaker open" in page.text


def test_testing_a_connection_says_what_is_wrong(operator, sealed):
    with servers.serving(in_turn(Answer(status=401))) as server:
        at(sealed, server)
        answer = operator.post(f"{ORG}/test-connection").json()

    assert (answer["ok"], answer["code"]) == (False, "access_refused")
    assert "refused the token" in answer["detail"]


def test_a_connection_that_works_is_good_for_the_workers_too(operator, sealed):
    with servers.serving(in_turn(json_answer({"OrganizationId": "x"}))) as server:
        budget = budgets.budget_of(at(sealed, server))
        SourceBudget.objects.update(open_until=Now() + timedelta(minutes=5))
        answer = operator.post(f"{ORG}/test-connection").json()

    assert answer == {"ok": True, "code": "", "detail": ""}
    assert budgets.outlook(budget).shut_for is None
    assert AuditEntry.objects.get().verb == "test connection"


def test_a_secret_is_in_no_page_answer_message_or_log(operator, sealed, caplog):
    echo = json_answer({"error": {"code": "x", "message": f"Basic {SECRET} is bad"}})
    echo.status = 401
    caplog.set_level(logging.DEBUG)
    verb = reverse(
        "admin:provisioning_organization_verb", args=[sealed.pk, "test_connection"]
    )
    pages = (
        reverse("admin:provisioning_organization_change", args=[sealed.pk]),
        reverse("admin:provisioning_organization_changelist"),
        reverse("admin:provisioning_auditentry_changelist"),
    )
    with servers.serving(in_turn(echo)) as server:
        at(sealed, server)
        texts = [operator.post(f"{ORG}/test-connection").text]
        texts.append(operator.post(verb, follow=True).text)

    texts += [operator.get(page, follow=True).text for page in pages]
    texts += [operator.get(path).text for path in (ORG, f"{ORG}/source")]
    details = [str(entry.detail) for entry in AuditEntry.objects.all()]
    assert "Test connection" in texts[1]
    assert SECRET not in "".join([*texts, *details, caplog.text])
