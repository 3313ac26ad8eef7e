"""Controlling the sandbox: faults, the journal, and who may."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.running import Client


def test_controls_need_their_own_token(running):
    answer = Client(running).request("GET", "/_sandbox/")

    assert answer.status_code == 401


def test_the_overview_tells_what_there_is(contoso):
    overview = contoso.control("GET", "").json()

    assert overview["endpoint"] == f"{contoso.running.url}/api/data/v9.2"
    assert overview["rows"]["account"] >= 200
    assert overview["organization_id"] == contoso.get("WhoAmI").json()["OrganizationId"]
    assert len(overview["people"]) >= 12


def test_a_fault_answers_the_next_requests_that_fit_and_no_more(alone):
    alone.control(
        "POST",
        "faults",
        {
            "path": "^/api/data/v9.2/accounts",
            "times": 2,
            "status": 429,
            "headers": {"Retry-After": "7"},
            "body": "<html>",
        },
    )

    other = alone.get("contacts?$top=1")
    answers = [alone.get("accounts?$top=1") for _ in range(3)]

    assert other.status_code == 200
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert (answers[0].headers["Retry-After"], answers[0].text) == ("7", "<html>")


def test_an_answer_can_be_cut_in_the_middle(alone):
    alone.control("POST", "faults", {"path": "accounts", "cut_after": 100})

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        alone.get("accounts")

    assert alone.get("accounts").status_code == 200


def test_the_true_answer_can_get_other_headers(alone):
    alone.control(
        "POST", "faults", {"path": "accounts", "headers": {"Content-Type": "text/html"}}
    )

    answer = alone.get("accounts?$top=1")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")


def test_faults_that_wait_are_listed_and_forgotten(alone):
    alone.control("POST", "faults", {"path": "never"})

    listed = alone.control("GET", "faults").json()["faults"]
    alone.control("DELETE", "faults")

    assert [fault["path"] for fault in listed] == ["never"]
    assert alone.control("GET", "faults").json()["faults"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"path": "x", "nosuch": 1}),
        ("faults", {"path": "("}),
        ("faults", {"path": "x", "status": 42}),
        ("faults", {}),
        ("settings", {"expiry_status": 200}),
        ("settings", {"nosuch": 1}),
        ("expire-tokens", {"tables": ["unicorn"]}),
        (
            "role-privileges",
            {"role": "King", "privilege": "prvReadAccount", "depth": 1},
        ),
        ("role-privileges", {"role": "Back Office", "privilege": "x", "depth": 1}),
        ("role-privileges", {"role": "Back Office", "depth": 3}),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(contoso, path, body):
    answer = contoso.control("POST", path, body)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_journal_tells_who_wrote_what(alone):
    before = alone.control("GET", "").json()["version"]
    row = alone.created("accounts", name="Noted")
    alone.api("PATCH", f"accounts({row['accountid']})", {"fax": "1"})
    alone.api("DELETE", f"accounts({row['accountid']})")

    writes = alone.control("GET", f"journal?after={before}").json()["writes"]

    assert [(write["kind"], write["columns"]) for write in writes] == [
        ("create", ["name"]),
        ("update", ["fax"]),
        ("delete", []),
    ]
    assert {write["id"] for write in writes} == {row["accountid"]}
    assert {write["by"] for write in writes} == {alone.get("WhoAmI").json()["UserId"]}


def test_the_metadata_version_rises(alone):
    first = alone.control("POST", "metadata-changed", {"table": "task"}).json()
    second = alone.control("POST", "metadata-changed", {"table": "task"}).json()

    assert second["metadata_version"] == first["metadata_version"] + 1
