"""What stands around writes: objections, secured columns, the journal, lost answers."""

from __future__ import annotations

from uuid import uuid4

import pytest
import requests

from sandbox.contoso.people import PEOPLE_BY_KEY
from tests.sandbox.running import as_person

ADA, BARBARA = PEOPLE_BY_KEY["ada"], PEOPLE_BY_KEY["barbara"]
MARKERS = {"SchemaName": "ws_MutationMarker", "OwnershipType": "OrganizationOwned"}


def journal(client, after):
    return client.control("GET", f"journal?after={after}").json()["writes"]


def now(client):
    return client.control("GET", "").json()["version"]


def test_an_objection_speaks_up_for_what_it_concerns(alone):
    rule = {"table": "task", "column": "subject", "pattern": "^No", "kinds": ["update"]}
    alone.control("POST", "objections", rule)
    task = alone.created("tasks", subject="No matter")
    path = f"tasks({task['activityid']})"

    refused = alone.api("PATCH", path, {"subject": "No way"})
    allowed = alone.api("PATCH", path, {"subject": "Yes"})
    alone.control("DELETE", "objections")
    over = alone.api("PATCH", path, {"subject": "No way"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "0x80040265")
    assert (allowed.status_code, over.status_code) == (204, 204)


@pytest.mark.parametrize("rule", [{"table": "nosuch"}, {"table": "task", "nosuch": 1}])
def test_an_objection_that_is_none_is_refused(contoso, rule):
    assert contoso.control("POST", "objections", rule).status_code == 400


def test_a_secured_column_is_empty_for_whom_it_is_closed_to(running, contoso):
    account = contoso.created("accounts", name="Rich", creditlimit=7)
    path = f"accounts({account['accountid']})"
    select = f"{path}?$select=creditlimit"
    barbara = as_person(running, "barbara")
    change = {"creditlimit": 8}

    assert contoso.get(select).json()["creditlimit"] == 7
    assert barbara.get(select).json()["creditlimit"] is None
    named = contoso.get(select, CallerObjectId=BARBARA.object_id)
    assert named.json()["creditlimit"] is None
    written = contoso.api("PATCH", path, change, CallerObjectId=BARBARA.object_id)
    assert written.status_code == 403
    assert contoso.api("PATCH", path, change).status_code == 204


def test_the_journal_tells_who_wrote_what_for_whom(contoso):
    before = now(contoso)
    key = str(uuid4())
    body = {"activityid": key, "subject": "Ship it"}

    contoso.api("POST", "tasks", body, CallerObjectId=ADA.object_id)

    (write,) = journal(contoso, before)
    assert (write["by"], write["on_behalf"]) == (ADA.id, PEOPLE_BY_KEY["waystation"].id)
    assert write["values"] == body
    assert write["marker"] is None


def test_the_journal_knows_edits_by_the_marker_written_with_them(alone):
    alone.api("POST", "EntityDefinitions", MARKERS)
    before, mark = now(alone), str(uuid4())
    batch = (
        "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
        "--c\r\nContent-Type: application/http\r\n\r\n"
        "POST ws_mutationmarkers HTTP/1.1\r\n\r\n"
        f'{{"ws_mutationmarkerid":"{mark}"}}\r\n'
        "--c\r\nContent-Type: application/http\r\n\r\n"
        'POST tasks HTTP/1.1\r\n\r\n{"subject":"Marked"}\r\n--c--\r\n--b--\r\n'
    )

    alone.request(
        "POST",
        "/api/data/v9.2/$batch",
        data=batch,
        headers={"Content-Type": "multipart/mixed; boundary=b"},
    )
    alone.created("tasks", subject="Unmarked")

    marks = {w["values"].get("subject"): w["marker"] for w in journal(alone, before)}
    assert marks == {None: mark, "Marked": mark, "Unmarked": None}


def test_a_role_is_given_privileges_by_the_message(alone):
    hedy = as_person(alone.running, "hedy")
    (privilege,) = hedy.rows("privileges?$filter=name eq 'prvDeleteAccount'")
    (role,) = hedy.rows("roles?$filter=name eq 'Back Office'&$orderby=name&$top=1")
    body = {
        "Privileges": [{"Depth": "Global", "PrivilegeId": privilege["privilegeid"]}]
    }
    action = "Microsoft.Dynamics.CRM.AddPrivilegesRole"
    path = f"roles({role['_parentrootroleid_value']})/{action}"

    denied = as_person(alone.running, "ada").api("POST", path, body)
    given = hedy.api("POST", path, body)

    assert (denied.status_code, given.status_code) == (403, 204)
    held = hedy.rows(
        f"roleprivilegescollection?$filter=privilegeid eq {privilege['privilegeid']}"
        f" and roleid eq {role['_parentrootroleid_value']}"
    )
    assert [row["privilegedepthmask"] for row in held] == [8]


@pytest.mark.parametrize("applied", [True, False])
def test_a_connection_ends_before_or_after_a_write_was_carried_out(contoso, applied):
    key = str(uuid4())
    fault = {"path": "/tasks", "hang_up": True, "applied": applied, "within": key}
    contoso.control("POST", "faults", fault)

    with pytest.raises(requests.ConnectionError):
        contoso.api("POST", "tasks", {"activityid": key})

    found = contoso.get(f"tasks({key})").status_code
    assert found == (200 if applied else 404)


@pytest.mark.parametrize("applied", [True, False])
def test_a_failure_is_answered_before_or_after_a_write_was_carried_out(
    contoso, applied
):
    key = str(uuid4())
    fault = {"path": "/tasks", "status": 503, "applied": applied}
    contoso.control("POST", "faults", fault)

    answer = contoso.api("POST", "tasks", {"activityid": key})

    assert answer.status_code == 503
    found = contoso.get(f"tasks({key})").status_code
    assert found == (200 if applied else 404)
