"""Every answer: its id, the form of its errors, and who is let in."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from tests.syncapi import factories
from tests.syncapi.conftest import bearer
from tests.syncapi.engines import DEVICE

CHANGES = f"/sync/v1/orgs/contoso/changes?device={DEVICE}&model=7f3c"
DEVICE_PATH = f"/sync/v1/orgs/contoso/devices/{DEVICE}"
# Every address that needs a token, and how it is asked.
WITH_TOKEN = [
    ("GET", CHANGES),
    ("GET", "/sync/v1/orgs/contoso/model"),
    ("PUT", DEVICE_PATH),
    ("DELETE", DEVICE_PATH),
    ("POST", f"{DEVICE_PATH}/status"),
]


def ask(client, method, path):
    return client.generic(method, path, b"{}", content_type="application/json")


@pytest.fixture
def defective(engine):
    def script(_):
        raise ZeroDivisionError("the password is hunter2")

    engine.script = script


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_without_a_token_nothing_is_answered(contoso, engine, client, method, path):
    response = ask(client, method, path)

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="waystation"'


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_a_bad_token_is_told_apart_from_none(contoso, engine, method, path):
    response = ask(bearer("rubbish"), method, path)

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_a_token_of_another_organization_is_refused(
    contoso, engine, authorities, method, path
):
    other = authorities.authority()
    factories.organization(other, unique_name="fabrikam")

    response = ask(bearer(other.token()), method, path)

    assert response.status_code == 401


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_an_unknown_organization_is_unknown_everywhere(
    contoso, engine, ada, method, path
):
    response = ask(ada, method, path.replace("contoso", "fabrikam"))

    assert response.status_code == 404
    assert response.json()["code"] == "unknown_organization"


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_an_authority_that_is_down_is_an_outage(
    contoso, engine, authority, ada, method, path
):
    authority.is_down = True

    response = ask(ada, method, path)

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_an_organization_without_an_identity_serves_nobody(
    db, engine, authority, ada, method, path
):
    factories.organization(authority, identity={})

    assert ask(ada, method, path).status_code == 503


@pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
def test_a_session_of_the_admin_opens_nothing(contoso, engine, operator, method, path):
    assert ask(operator, method, path).status_code == 401


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (CHANGES, "GET"),
        ("/sync/v1/orgs/contoso/model", "GET, HEAD"),
        (DEVICE_PATH, "PUT, DELETE"),
        (f"{DEVICE_PATH}/status", "POST"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused(client, engine, path, allowed):
    for method in ("PATCH", "OPTIONS", "TRACE"):
        response = ask(client, method, path)

        assert response.status_code == 405
        assert response.headers["Allow"] == allowed
        assert response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/sync/",
        "/sync/v1/orgs/contoso/nothing",
        "/sync/v2/orgs/contoso/changes",
        "/sync/v1/orgs/contoso/changes/",
        "/discovery/v1/orgs/",
        "/healthz/x",
        "/sync/v1/orgs/../../admin/",
        "/admin-api/v1/nothing",
    ],
)
def test_addresses_that_are_none_are_a_problem_too(client, engine, path):
    response = client.get(path)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


def test_a_problem_has_the_members_of_the_protocol(contoso, engine, ada):
    response = ada.get("/sync/v1/orgs/contoso/changes")

    document = response.json()
    assert list(document)[:5] == ["type", "title", "status", "code", "detail"]
    assert document["status"] == response.status_code == 400
    assert document["type"] == "urn:waystation:problem:malformed"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/healthz", "/sync/x", "/admin-api/v1/x", "/admin/x/"]
)
def test_every_answer_has_an_id(client, engine, db, path):
    first, second = client.get(path), client.get(path)

    ids = {first.headers["X-Request-Id"], second.headers["X-Request-Id"]}
    assert len(ids) == 2


def test_a_sane_id_of_the_client_is_kept(client):
    response = client.get("/healthz", headers={"X-Request-Id": "tablet-7.42:1"})

    assert response.headers["X-Request-Id"] == "tablet-7.42:1"


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with space", "a\tbcdefgh", "é" * 10]
)
def test_any_other_id_is_replaced(client, given):
    response = client.get("/healthz", headers={"X-Request-Id": given})

    assert response.headers["X-Request-Id"] != given


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_is_logged_once_and_tells_the_caller_nothing(
    contoso, engine, authority, defective, settings, debug, caplog
):
    settings.DEBUG = debug
    factories.device(contoso)
    client = Client(
        raise_request_exception=False,
        headers={"Authorization": f"Bearer {authority.token()}"},
    )

    response = client.get(CHANGES)

    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert "hunter2" not in response.text
    assert "ZeroDivision" not in response.text
    defects = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(defects) == 1
    assert defects[0].exc_info[0] is ZeroDivisionError


def test_a_device_that_is_put_off_is_logged_with_the_reason(
    contoso, engine, authority, ada, caplog
):
    authority.is_down = True

    response = ada.get(CHANGES)

    (record,) = [one for one in caplog.records if one.name == "syncapi.errors"]
    assert record.reason
    assert record.request_id == response.headers["X-Request-Id"]
