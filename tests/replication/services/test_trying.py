"""Testing a connection: what is wrong, in words, and never with the secret in them."""

from __future__ import annotations

import json

import pytest

from provisioning.models import AuditEntry, Organization, SourceBudget
from provisioning.secrets import seal
from provisioning.services import budgets
from replication.services.trying import ConnectionFailedError, try_connection
from tests.provisioning import factories
from tests.replication.odata import servers
from tests.replication.odata.servers import Answer, in_turn, json_answer

pytestmark = pytest.mark.django_db

SECRET = "correct-horse-battery"
WORKS = json_answer({"OrganizationId": "0b7f8f9c-0000-0000-0000-000000000001"})
HTML = Answer(headers={"Content-Type": "text/html"}, body=b"<html>Sign in</html>")


def contoso(endpoint, **credential):
    made = factories.organization(unique_name="contoso")
    made.endpoint = endpoint
    members = credential or {"type": "basic", "username": "ada", "password": SECRET}
    made.credential_type = members["type"]
    made.credential_sealed = seal(
        json.dumps(members).encode(), identity=made.credential_identity
    )
    made.save()
    return made


def failure(organization):
    with pytest.raises(ConnectionFailedError) as raised:
        try_connection(organization, operator="ada")
    return raised.value


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (Answer(status=401), "access_refused", "refused the token"),
        (Answer(status=403), "access_refused", "lacks a privilege"),
        (Answer(status=404), "request_refused", "no OData service"),
        (HTML, "malformed_answer", "not OData"),
        (json_answer({"hello": 1}), "malformed_answer", "not OData"),
        (Answer(status=503), "source_unavailable", "does not answer"),
    ],
)
def test_what_the_source_does_wrong_is_said_in_words(answer, reason, words, caplog):
    with servers.serving(in_turn(answer)) as server:
        error = failure(contoso(server.endpoint))

    assert error.reason == reason
    assert words in str(error)
    assert SECRET not in str(error) + caplog.text


def test_a_host_that_does_not_resolve_is_named_as_such():
    error = failure(contoso("https://no-such-host.invalid/api"))

    assert error.reason == "source_unavailable"
    assert "cannot be resolved" in str(error)


def test_a_source_where_nobody_listens_is_named_as_such():
    with servers.serving(in_turn(WORKS)) as gone:
        pass

    assert "Nobody listens" in str(failure(contoso(gone.endpoint)))


def test_a_certificate_of_a_stranger_is_named_as_such(tmp_path):
    _, tls = servers.new_authority(tmp_path)

    with servers.serving(in_turn(WORKS), tls=tls) as server:
        error = failure(contoso(server.endpoint))

    assert error.reason == "untrusted_source"
    assert "certificate is not trusted" in str(error)


def test_a_secret_that_the_identity_provider_refuses_is_named_as_such(tmp_path):
    pem, tls = servers.new_authority(tmp_path)
    refusal = json_answer({"error": "invalid_client"})
    refusal.status = 401
    with servers.serving(in_turn(refusal), tls=tls) as provider:
        organization = contoso(
            provider.endpoint,
            type="client_secret",
            tenant_id="t",
            client_id="c",
            client_secret=SECRET,
            authority=provider.url,
        )
        organization.ca_certificate = pem
        error = failure(organization)

    assert error.reason == "credential_refused"
    assert "gave no token" in str(error)
    assert SECRET not in str(error)


def test_what_works_closes_the_breaker_and_is_audited():
    with servers.serving(in_turn(WORKS)) as server:
        organization = contoso(server.endpoint)
        budgets.budget_of(organization)
        SourceBudget.objects.update(open_until=factories.NOON, failures=5, trips=2)

        try_connection(Organization.objects.get(), operator="ada")

    budget = SourceBudget.objects.get()
    assert (budget.open_until, budget.failures) == (None, 0)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb) == ("ada", "test connection")
    assert entry.detail == {"outcome": "works"}
