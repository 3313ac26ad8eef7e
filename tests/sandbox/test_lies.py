"""Faults that lie: answers that look right and are not."""

from __future__ import annotations

import pytest

from tests.sandbox.running import Client
from tests.sandbox.test_tracking import load

PAGED = "odata.track-changes,odata.maxpagesize=10"


def lied(client: Client, lie: str, path: str = "accounts?$select=name"):
    client.control("POST", "faults", {"path": "accounts", "lie": lie})
    return client.get(path, Prefer=PAGED)


@pytest.fixture
def truth(contoso):
    return contoso.get("accounts?$select=name", Prefer=PAGED).json()


def test_a_page_of_html_comes_with_status_200(contoso):
    answer = lied(contoso, "html")

    assert (answer.status_code, answer.text[:9]) == (200, "<!DOCTYPE")
    assert answer.headers["Content-Type"].startswith("text/html")


def test_an_answer_may_be_empty(contoso):
    answer = lied(contoso, "empty")

    assert (answer.status_code, answer.content) == (200, b"")


def test_rows_are_dropped_doubled_or_turned_around(contoso, truth):
    rows = truth["value"]

    assert lied(contoso, "drop_page").json()["value"] == []
    assert lied(contoso, "drop_row").json()["value"] == rows[:-1]
    assert lied(contoso, "reversed_rows").json()["value"] == rows[::-1]
    doubled = lied(contoso, "duplicate_rows").json()["value"]
    assert doubled == [row for row in rows for _ in range(2)]


def test_links_lead_astray(contoso, truth):
    loop = lied(contoso, "same_next_link")
    foreign = lied(contoso, "foreign_next_link").json()["@odata.nextLink"]

    assert loop.json()["@odata.nextLink"].endswith("/accounts?$select=name")
    assert foreign.startswith("https://attacker.example/api/data/")
    assert truth["@odata.nextLink"].startswith(contoso.running.url)


def test_the_delta_link_is_withheld_and_reasons_are(alone):
    link = load(alone)
    row = alone.created("accounts", name="Gone")
    alone.api("DELETE", f"accounts({row['accountid']})")

    last = lied(alone, "no_delta_link", link).json()
    silent = lied(alone, "no_reason", link).json()
    invented = lied(alone, "unknown_delete", link).json()

    assert "@odata.deltaLink" not in last
    assert [set(item) for item in silent["value"]] == [{"@odata.context", "id"}]
    assert [item["id"][-4:] for item in invented["value"]][-1] == "dead"
    assert alone.get(link).json()["value"] == last["value"]


def test_a_lie_that_nobody_knows_is_refused(contoso):
    answer = contoso.control("POST", "faults", {"path": "x", "lie": "sweetly"})

    assert answer.status_code == 400
