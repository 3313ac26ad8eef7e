"""Discovery: where an organization is served, for anybody who asks."""

from __future__ import annotations

import pytest

from tests.syncapi import factories
from tests.syncapi.authority import AUDIENCE

pytestmark = pytest.mark.django_db

PATH = "/discovery/v1/orgs/{}"


def test_anybody_learns_where_an_organization_is_served(client, authority, settings):
    factories.organization(authority)
    settings.PUBLIC_URL = "https://eu1.example.com"

    response = client.get(PATH.format("contoso"))

    assert response.json() == {
        "organization": "contoso",
        "endpoint": "https://eu1.example.com",
        "authority": authority.url,
        "audience": AUDIENCE,
        "protocols": ["1"],
        "state": "active",
    }
    assert response.headers["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize(
    "name",
    [
        "fabrikam",
        "ab",
        "Contoso",
        "contoso%00",
        "c%C3%B6ntoso",
        "x" * 500,
        "%ff%fe",
        "'",
    ],
)
def test_unknown_names_are_answered_404(client, authority, name):
    factories.organization(authority)

    response = client.get(PATH.format(name))

    assert response.status_code == 404
    assert response.json()["code"] == "unknown_organization"


@pytest.mark.parametrize("state", ["deprovisioning", "deprovisioned"])
def test_organizations_that_go_are_unknown(client, authority, state):
    factories.organization(authority, state=state)

    response = client.get(PATH.format("contoso"))

    assert response.status_code == 404


def test_a_name_that_was_given_up_may_be_borne_again(client, authority):
    factories.organization(authority, state="deprovisioned")
    factories.organization(authority, state="creating")

    response = client.get(PATH.format("contoso"))

    assert response.json()["state"] == "creating"


def test_known_and_unknown_names_cost_the_same(
    client, authority, django_assert_num_queries
):
    factories.organization(authority)

    for name in ("contoso", "fabrikam"):
        with django_assert_num_queries(1):
            client.get(PATH.format(name))
        with django_assert_num_queries(0):
            client.get(PATH.format(name))


def test_unknown_parameters_are_refused(client):
    response = client.get(PATH.format("contoso") + "?x=1")

    assert response.status_code == 400


def test_head_is_taken_and_post_is_not(client, authority):
    factories.organization(authority)

    assert client.head(PATH.format("contoso")).status_code == 200
    refused = client.post(PATH.format("contoso"))

    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    assert refused.json()["code"] == "method_not_allowed"
