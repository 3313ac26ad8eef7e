"""Acting on behalf of another: what both may, and who is written down for it."""

from __future__ import annotations

import pytest

from sandbox.contoso.people import PEOPLE_BY_KEY
from tests.sandbox.running import as_person

ADA, BARBARA, HEDY = (PEOPLE_BY_KEY[key] for key in ("ada", "barbara", "hedy"))


def test_a_row_made_for_somebody_names_both(contoso):
    answer = contoso.api(
        "POST",
        "accounts",
        {"name": "For Ada"},
        Prefer="return=representation",
        CallerObjectId=ADA.object_id,
    )

    row = answer.json()
    assert (answer.status_code, row["_ownerid_value"]) == (201, ADA.id)
    assert row["_createdby_value"] == row["_modifiedby_value"] == ADA.id
    assert row["_createdonbehalfby_value"] == PEOPLE_BY_KEY["waystation"].id


def test_one_sees_what_the_other_sees(running, contoso):
    own = as_person(running, "ada").rows("contacts?$select=contactid")

    by_object = contoso.rows("contacts?$select=contactid", CallerObjectId=ADA.object_id)
    by_user = contoso.rows("contacts?$select=contactid", MSCRMCallerID=ADA.id)

    assert by_object == by_user == own


def test_nobody_may_more_than_oneself(alone):
    """Barbara reads everything, but writes only her own; so does hedy for her."""
    theirs = alone.created("accounts", name="Not Barbara's")
    path = f"accounts({theirs['accountid']})"
    hedy = as_person(alone.running, "hedy")

    read = hedy.get(path, CallerObjectId=BARBARA.object_id)
    written = hedy.api("PATCH", path, {"name": "x"}, CallerObjectId=BARBARA.object_id)
    alone.control(
        "POST",
        "role-privileges",
        {
            "role": "System Administrator",
            "privilege": "prvReadAccount",
            "depth": 1,
        },
    )
    narrowed = hedy.get(path, CallerObjectId=BARBARA.object_id)

    assert (read.status_code, written.status_code) == (200, 403)
    assert narrowed.status_code == 403


def test_whoever_lacks_the_privilege_acts_for_nobody(running):
    answer = as_person(running, "barbara").get(
        "accounts", CallerObjectId=HEDY.object_id
    )

    assert answer.status_code == 403
    assert "prvActOnBehalfOfAnotherUser" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "header",
    [
        {"CallerObjectId": "00000000-0000-0000-0000-000000000009"},
        {"CallerObjectId": PEOPLE_BY_KEY["dorothy"].object_id},
    ],
    ids=["unknown", "disabled"],
)
def test_nobody_can_act_for_who_is_not_there(contoso, header):
    assert contoso.get("accounts", **header).status_code == 403


def test_tracking_on_behalf_needs_everything_of_both(contoso):
    answer = contoso.get(
        "accounts", Prefer="odata.track-changes", CallerObjectId=ADA.object_id
    )

    assert answer.status_code == 403


def test_a_row_refers_only_to_rows_within_reach(running, contoso):
    foreign = contoso.created("accounts", name="Out of Ada's reach")
    ada = as_person(running, "ada")

    answer = ada.api(
        "POST",
        "contacts",
        {
            "lastname": "Reaching",
            "parentcustomerid_account@odata.bind": f"accounts({foreign['accountid']})",
        },
    )

    assert answer.status_code == 403
    assert "AppendToAccess" in answer.json()["error"]["message"]


def test_a_row_is_given_away_only_with_the_privilege_to_assign(alone):
    ada = as_person(alone.running, "ada")
    row = ada.created("accounts", name="Ada's")
    path = f"accounts({row['accountid']})"
    bind = {"ownerid@odata.bind": f"systemusers({PEOPLE_BY_KEY['linus'].id})"}
    change = {"role": "Field Salesperson", "privilege": "prvAssignAccount"}

    alone.control("POST", "role-privileges", {**change, "depth": 0})
    refused = ada.api("PATCH", path, bind)
    alone.control("POST", "role-privileges", {**change, "depth": 1})
    allowed = ada.api("PATCH", path, bind)

    assert (refused.status_code, allowed.status_code) == (403, 204)
