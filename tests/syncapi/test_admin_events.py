"""POST events: what is taken in, and what is refused without a trace."""

from __future__ import annotations

import json
import uuid

import pytest

from provisioning.models import Organization, ProvisioningEvent
from syncapi.admin_api.view import MAX_DEPTH, strict_json
from syncapi.parsing import MalformedError
from tests.provisioning.factories import SECRET, provision

ROOT = "/admin-api/v1"

pytestmark = pytest.mark.django_db


def post(client, body):
    content = json.dumps(body) if isinstance(body, dict) else body
    return client.post(f"{ROOT}/events", content, content_type="application/json")


def test_an_event_is_accepted_once_and_may_be_repeated(operator):
    event = provision()

    answers = [post(operator, event) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert [answer.json()["repeated"] for answer in answers] == [False, True]
    assert ProvisioningEvent.objects.count() == 1


def test_the_same_id_with_another_body_is_refused(operator):
    event = provision()
    post(operator, event)
    event["tables"] = ["account"]

    response = post(operator, event)

    assert (response.status_code, response.json()["code"]) == (409, "reused")


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"id": "7"}, "id"),
        ({"type": "organization.explode"}, "type"),
        ({"occurred_at": "noon"}, "occurred_at"),
        ({"tables": "account"}, "tables"),
        ({"extra": 1}, "extra"),
        ({"organization": 7}, "organization"),
    ],
)
def test_a_malformed_event_names_the_member_and_is_not_stored(operator, change, member):
    response = post(operator, {**provision(), **change})

    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert [fault["member"] for fault in response.json()["errors"]] == [member]
    assert not ProvisioningEvent.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("", 400, id="nothing"),
        pytest.param("{", 400, id="cut"),
        pytest.param("[]", 400, id="a list"),
        pytest.param('"event"', 400, id="a text"),
        pytest.param("null", 400, id="null"),
        pytest.param("NaN", 400, id="no number"),
        pytest.param("[" * 100_000, 400, id="nested without end"),
        pytest.param('{"a":' * 30 + "1" + "}" * 30, 400, id="nested too deep"),
        pytest.param("9" * 5_000, 400, id="an endless number"),
        pytest.param('{"id":"\\u0000"}', 400, id="with NUL"),
        pytest.param('{"id":"\\ud800"}', 400, id="half a character"),
        pytest.param(b'{"id":"\xff"}', 400, id="no UTF-8"),
        pytest.param(" " * 2_000_000, 413, id="huge"),
    ],
)
def test_a_body_that_is_no_event_is_refused(operator, body, status):
    response = post(operator, body)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_json_may_be_sixteen_levels_deep():
    def nested(levels):
        return b"[" * levels + b"]" * levels

    strict_json(nested(MAX_DEPTH + 1))

    with pytest.raises(MalformedError):
        strict_json(nested(MAX_DEPTH + 2))


def test_an_event_in_another_format_is_refused(operator):
    response = operator.post(f"{ROOT}/events", {"id": "7"})

    assert response.status_code == 400


def test_no_secret_of_an_event_is_ever_shown(operator):
    organization_id = uuid.uuid4()
    post(operator, provision(organization_id=organization_id))
    Organization.objects.filter(pk=organization_id).update(state="creating")

    shown = [
        operator.get(path).text
        for path in (
            f"{ROOT}/organizations",
            f"{ROOT}/organizations/contoso",
            f"{ROOT}/organizations/contoso/audit",
        )
    ]

    assert not any(SECRET in text for text in shown)
