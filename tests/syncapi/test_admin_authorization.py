"""The admin API: who is let in, on every endpoint."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from tests.syncapi import factories
from tests.syncapi.authority import AUDIENCE
from tests.syncapi.conftest import bearer
from tests.syncapi.engines import DEVICE

ORG = "/admin-api/v1/organizations/contoso"
ENDPOINTS = [
    ("GET", "/admin-api/v1/schema"),
    ("POST", "/admin-api/v1/events"),
    ("GET", "/admin-api/v1/organizations"),
    ("GET", ORG),
    ("GET", f"{ORG}/tables"),
    ("GET", f"{ORG}/audit"),
    ("GET", f"{ORG}/work-items"),
    ("POST", f"{ORG}/work-items/{uuid.UUID(int=5)}/pause"),
    ("GET", f"{ORG}/source"),
    ("POST", f"{ORG}/test-connection"),
    ("GET", f"{ORG}/devices"),
    ("POST", f"{ORG}/devices/{DEVICE}/revoke"),
    ("GET", f"{ORG}/profiles"),
    ("PUT", f"{ORG}/profiles/sales"),
    ("POST", f"{ORG}/profiles/publish"),
    ("GET", f"{ORG}/profiles/preview"),
    ("GET", f"{ORG}/profile-settings"),
    ("PUT", f"{ORG}/profile-settings"),
    ("GET", f"{ORG}/explain?user={uuid.UUID(int=2)}&table=account&key=1"),
    ("GET", f"{ORG}/client-model?user={uuid.UUID(int=2)}"),
    *(("POST", f"{ORG}/{v}") for v in ("suspend", "resume", "resync", "deprovision")),
]
everywhere = pytest.mark.parametrize(("method", "path"), ENDPOINTS)

pytestmark = pytest.mark.usefixtures("contoso", "engine")


@pytest.fixture(autouse=True)
def admin_identity(settings, authority):
    settings.ADMIN_IDENTITY = authority.identity()


def ask(client, method, path):
    return client.generic(method, path, b"{}", content_type="application/json")


def test_every_endpoint_is_in_these_tests(operator):
    described = operator.get("/admin-api/v1/schema").json()["paths"]

    asked = {(method, path.split("?")[0].count("/")) for method, path in ENDPOINTS}
    known = {
        (method.upper(), path.count("/"))
        for path, operations in described.items()
        for method in operations
    }
    assert known <= asked


@everywhere
def test_a_stranger_is_asked_for_a_token(client, method, path):
    response = ask(client, method, path)

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@everywhere
def test_a_user_who_is_not_staff_is_refused(django_user_model, method, path):
    client = Client()
    client.force_login(django_user_model.objects.create(username="eve"))

    response = ask(client, method, path)

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@everywhere
def test_a_device_user_is_refused(ada, method, path):
    response = ask(ada, method, path)

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@everywhere
def test_a_service_with_another_role_is_refused(authority, method, path):
    client = bearer(authority.service_token("Waystation.Reader", "waystation.admin"))

    response = ask(client, method, path)

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@everywhere
def test_a_service_of_another_authority_is_refused(authorities, method, path):
    client = bearer(authorities.authority().service_token("Waystation.Admin"))

    assert ask(client, method, path).status_code == 401


@everywhere
def test_without_an_identity_no_service_is_let_in(authority, settings, method, path):
    settings.ADMIN_IDENTITY = None
    client = bearer(authority.service_token("Waystation.Admin"))

    assert ask(client, method, path).status_code == 401


@everywhere
def test_a_session_alone_changes_nothing_without_its_csrf_token(operator, method, path):
    careless = Client(enforce_csrf_checks=True)
    careless.cookies = operator.cookies

    response = ask(careless, method, path)

    assert (response.status_code == 403) == (method != "GET")


@pytest.mark.parametrize(
    "path", [path for method, path in ENDPOINTS if method == "GET"]
)
def test_a_service_with_the_role_may_read(authority, path):
    client = bearer(authority.service_token("Waystation.Admin"))

    assert client.get(path).status_code in {200, 503}


def test_a_token_for_devices_of_the_same_authority_opens_no_device_path(authority):
    client = bearer(authority.service_token("Waystation.Admin"))

    response = client.get("/sync/v1/orgs/contoso/model")

    assert response.status_code == 401


def test_an_incomplete_identity_is_for_the_operator_to_mend(authority, settings):
    settings.ADMIN_IDENTITY = {"audience": AUDIENCE}
    client = bearer(authority.service_token("Waystation.Admin"))

    assert client.get(ORG).status_code == 503


def test_a_ca_file_that_is_missing_is_for_the_operator_to_mend(authority, settings):
    settings.ADMIN_IDENTITY = authority.identity(ca_file="/nowhere/ca.pem")
    client = bearer(authority.service_token("Waystation.Admin"))

    assert client.get(ORG).status_code == 503


def test_an_operator_of_one_organization_is_one_of_all(operator, authority):
    factories.organization(authority, unique_name="fabrikam")

    assert operator.get(ORG.replace("contoso", "fabrikam")).status_code == 200
