"""Profiles over the admin API: settings, what publishing would do, explanations."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from provisioning.models import AuditEntry
from tests.replication.conftest import all_of_contoso  # noqa: F401  a fixture
from tests.replication.worlds import SavedWorld, World
from tests.staged import guid


@pytest.fixture
def staged(db: None, all_of_contoso: SavedWorld) -> World:  # noqa: F811  the fixture
    world = all_of_contoso.world()
    world.add_account("Airport", owner="Ada", unit="North", revenue=10)
    world.pull("account")
    return world


def path(world: World, rest: str) -> str:
    name = world.organization.unique_name
    return f"/admin-api/v1/organizations/{name}/{rest}"


def put(client: Client, address: str, document: Any) -> Any:
    return client.put(address, document, content_type="application/json")


def test_a_refused_filter_says_where_and_what_dynamics_calls_it(
    operator: Client, staged: World
) -> None:
    item = {
        "table": "account",
        "records": "custom",
        "filter": {"language": "odata", "text": "owner/name eq 'Ada'"},
    }

    answer = put(operator, path(staged, "profiles/sales"), {"items": [item]})

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["member"] == "items[0].filter"
    assert error["place"] == "character 1"
    assert error["dynamics_code"] == "0x80071120"


def test_settings_are_read_and_replaced(operator: Client, staged: World) -> None:
    address = path(staged, "profile-settings")
    before = operator.get(address).json()

    answer = put(operator, address, {"hierarchy": {"model": "position"}})

    assert before == {"origin": "authored", "served": [], "hierarchy": None}
    assert answer.status_code == 204
    assert operator.get(address).json()["hierarchy"]["model"] == "position"
    assert AuditEntry.objects.get().verb == "save profile settings"


def test_what_publishing_would_do_is_told_and_not_done(
    operator: Client, staged: World
) -> None:
    document = {
        "items": [
            {"table": "account", "records": "filtered", "owned_by_my_team": True}
        ],
        "assignments": {"everyone": True},
    }
    put(operator, path(staged, "profiles/Field sales"), document)

    found = operator.get(path(staged, "profiles/preview")).json()

    ada = next(one for one in found["users"] if one["user"]["name"] == "Ada")
    assert ada["figures"] == {
        "before": 1,
        "after": 0,
        "gained": 0,
        "lost": 1,
        "is_exact": True,
    }
    assert found["is_sample"]
    assert staged.device("Ada").names() == {"Airport"}


def test_a_row_is_explained(operator: Client, staged: World) -> None:
    query = f"explain?user={guid('Ada')}&table=account&key={guid('Airport')}"

    found = operator.get(path(staged, query)).json()

    assert (found["outcome"], found["is_visible"]) == ("visible", True)
    assert found["rights"][0]["role"] == "Salesperson"
    assert found["entries"][0]["keys"][0]["name"] == "Ada"


@pytest.mark.parametrize(
    "query",
    [
        "explain",
        "explain?user=Ada&table=account&key=1",
        f"explain?user={guid('Ada')}&table=account",
        f"explain?user={guid('Ada')}&table=a%00&key=1",
        f"explain?user={guid('Ada')}&table=account&key=1&colour=red",
    ],
)
def test_an_incomplete_question_is_refused(
    operator: Client, staged: World, query: str
) -> None:
    assert operator.get(path(staged, query)).status_code == 400
