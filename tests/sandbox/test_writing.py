"""Writing to the Web API: create, update, upsert, delete, references."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.sandbox.running import as_person

NOBODY = "00000000-0000-0000-0000-000000000009"


def person(client, name):
    people = client.control("GET", "").json()["people"]
    return next(p for p in people if p["domainname"] == f"{name}@contoso.example")


def team(client, name):
    teams = client.control("GET", "").json()["teams"]
    return next(t for t in teams if t["name"] == name)


def test_a_client_may_bring_the_key(contoso):
    row_id = str(uuid4())

    answer = contoso.api("POST", "accounts", {"accountid": row_id, "name": "Mine"})

    assert (answer.status_code, answer.text) == (204, "")
    assert answer.headers["OData-EntityId"].endswith(f"/accounts({row_id})")
    assert contoso.get(f"accounts({row_id})").json()["name"] == "Mine"


def test_a_key_that_is_taken_is_refused(contoso):
    row = contoso.created("accounts", name="First")

    answer = contoso.api(
        "POST", "accounts", {"accountid": row["accountid"], "name": "Second"}
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "0x80040237")


def test_a_new_row_is_whole_and_belongs_to_its_maker(contoso):
    row = contoso.created("contacts", firstname="Ines", lastname="Ek")

    me = contoso.get("WhoAmI").json()
    assert row["_ownerid_value"] == row["_owninguser_value"] == me["UserId"]
    assert row["_owningbusinessunit_value"] == me["BusinessUnitId"]
    assert (row["fullname"], row["statecode"], row["statuscode"]) == ("Ines Ek", 0, 1)
    assert row["@odata.etag"] == f'W/"{row["versionnumber"]}"'


def test_versions_rise_through_all_tables(contoso):
    rows = [
        contoso.created("accounts", name="A"),
        contoso.created("tasks", subject="B"),
        contoso.created("accounts", name="C"),
    ]

    versions = [row["versionnumber"] for row in rows]
    assert versions == sorted(set(versions))


def test_an_update_of_a_row_that_moved_on_is_refused(contoso):
    row = contoso.created("accounts", name="Old")
    path, etag = f"accounts({row['accountid']})", row["@odata.etag"]

    first = contoso.api("PATCH", path, {"name": "New"}, If_Match=etag)
    second = contoso.api("PATCH", path, {"name": "Newer"}, If_Match=etag)
    delete = contoso.api("DELETE", path, If_Match=etag)

    assert first.status_code == 204
    for late in (second, delete):
        assert (late.status_code, late.json()["error"]["code"]) == (412, "0x80060882")
    assert contoso.get(path).json()["name"] == "New"


def test_an_update_may_return_the_row(contoso):
    row = contoso.created("accounts", name="Old")

    answer = contoso.api(
        "PATCH",
        f"accounts({row['accountid']})?$select=name",
        {"name": "New"},
        Prefer="return=representation",
    )

    assert (answer.status_code, answer.json()["name"]) == (200, "New")
    assert answer.headers["ETag"] == answer.json()["@odata.etag"] != row["@odata.etag"]
    assert answer.headers["Preference-Applied"] == "return=representation"


def test_a_patch_of_a_missing_row_creates_it_unless_it_must_exist(contoso):
    path = f"accounts({uuid4()})"

    blocked = contoso.api("PATCH", path, {"name": "Upserted"}, If_Match="*")
    created = contoso.api("PATCH", path, {"name": "Upserted"})
    again = contoso.api("PATCH", path, {"name": "Again"}, If_None_Match="*")

    assert (blocked.status_code, blocked.json()["error"]["code"]) == (404, "0x80040217")
    assert created.status_code == 204
    assert again.status_code == 412
    assert contoso.get(path).json()["name"] == "Upserted"


def test_a_new_owner_brings_his_business_unit(contoso):
    row = contoso.created("accounts", name="Handed over")
    key_accounts = team(contoso, "US Key Accounts")["teamid"]

    contoso.api(
        "PATCH",
        f"accounts({row['accountid']})",
        {"ownerid@odata.bind": f"/teams({key_accounts})"},
    )

    after = contoso.get(
        f"accounts({row['accountid']})",
        Prefer='odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"',
    ).json()
    note = "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"
    owner = contoso.get(f"teams({key_accounts})").json()
    assert (after[note], after["_owningteam_value"]) == ("team", key_accounts)
    assert after["_owninguser_value"] is None
    assert after["_owningbusinessunit_value"] == owner["_businessunitid_value"]


def test_a_lookup_of_many_tables_remembers_which(contoso):
    contact = contoso.created("contacts", lastname="Abel")
    bind = f"contacts({contact['contactid']})"

    task = contoso.created(
        "tasks",
        **{"subject": "Call", "regardingobjectid_contact_task@odata.bind": bind},
    )

    row = contoso.get(
        f"tasks({task['activityid']})", Prefer='odata.include-annotations="*"'
    ).json()
    lookup = "_regardingobjectid_value"
    assert row[lookup] == contact["contactid"]
    assert row[f"{lookup}@Microsoft.Dynamics.CRM.lookuplogicalname"] == "contact"


def test_a_lookup_is_set_and_emptied_by_reference(contoso):
    account = contoso.created("accounts", name="With contact")
    contact = contoso.created("contacts", lastname="Tan")
    path = f"accounts({account['accountid']})"
    target = f"{contoso.running.url}/api/data/v9.2/contacts({contact['contactid']})"

    contoso.api("PUT", f"{path}/primarycontactid/$ref", {"@odata.id": target})
    before = contoso.get(path).json()["_primarycontactid_value"]
    contoso.api("DELETE", f"{path}/primarycontactid/$ref")
    after = contoso.get(path).json()["_primarycontactid_value"]

    assert (before, after) == (contact["contactid"], None)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"nosuch": 1}, "0x80048d19"),
        ({"name": 5}, "0x80048d19"),
        ({"revenue": "much"}, "0x80048d19"),
        ({"_ownerid_value": NOBODY}, "0x80048d19"),
        ({"nosuch@odata.bind": f"accounts({NOBODY})"}, "0x80048d19"),
        ({"primarycontactid@odata.bind": "nonsense"}, "0x80048d19"),
        ({"name": "x" * 161}, "0x80044331"),
        ({"industrycode": 99}, "0x80040203"),
        ({"numberofemployees": -1}, "0x80040203"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(contoso, payload, code):
    row = contoso.created("accounts", name="Unharmed")
    path = f"accounts({row['accountid']})"

    answer = contoso.api("PATCH", path, payload)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert contoso.get(path).json()["@odata.etag"] == row["@odata.etag"]


def test_a_reference_to_a_missing_row_is_refused(contoso):
    answer = contoso.api(
        "POST",
        "accounts",
        {"name": "x", "primarycontactid@odata.bind": f"contacts({NOBODY})"},
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "0x80040217")


def test_a_deleted_account_takes_its_tasks_along_and_empties_lookups(contoso):
    account = contoso.created("accounts", name="Closing")
    bind = f"accounts({account['accountid']})"
    task = contoso.created(
        "tasks",
        **{"subject": "Visit", "regardingobjectid_account_task@odata.bind": bind},
    )
    contact = contoso.created(
        "contacts",
        **{"lastname": "Left", "parentcustomerid_account@odata.bind": bind},
    )

    answer = contoso.api("DELETE", bind)

    assert answer.status_code == 204
    assert contoso.get(bind).status_code == 404
    assert contoso.get(f"tasks({task['activityid']})").status_code == 404
    left = contoso.get(f"contacts({contact['contactid']})").json()
    assert left["_parentcustomerid_value"] is None


def test_a_team_that_owns_rows_cannot_be_deleted(contoso):
    answer = contoso.api("DELETE", f"teams({team(contoso, 'Canada Sites')['teamid']})")

    assert answer.status_code == 405


def test_a_member_joins_and_leaves_a_team_by_reference(alone):
    crew, niels = team(alone, "Alaska Crew")["teamid"], person(alone, "niels")
    path = f"teams({crew})/teammembership_association/$ref"
    user = f"systemusers({niels['systemuserid']})"

    def members():
        rows = alone.rows("teammemberships")
        return {row["systemuserid"] for row in rows if row["teamid"] == crew}

    joined = alone.api("POST", path, {"@odata.id": user})
    inside = members()
    left = alone.api("DELETE", f"{path}?$id={alone.running.url}/api/data/v9.2/{user}")

    assert (joined.status_code, left.status_code) == (204, 204)
    assert niels["systemuserid"] in inside
    assert niels["systemuserid"] not in members()


def test_a_role_is_given_from_the_users_side_and_taken_away_by_key(alone):
    niels = person(alone, "niels")["systemuserid"]
    role = alone.rows("roles?$select=roleid")[0]["roleid"]
    path = f"systemusers({niels})/systemuserroles_association"

    def roles():
        rows = alone.rows("systemuserrolescollection")
        return [row["roleid"] for row in rows if row["systemuserid"] == niels]

    alone.api("POST", f"{path}/$ref", {"@odata.id": f"roles({role})"})
    alone.api("POST", f"{path}/$ref", {"@odata.id": f"roles({role})"})
    given = roles()
    alone.api("DELETE", f"{path}({role})/$ref")

    assert (given, roles()) == ([role], [])


@pytest.mark.parametrize("entity_set", ["teammemberships", "roles", "privileges"])
def test_rows_that_the_server_makes_cannot_be_created(contoso, entity_set):
    answer = contoso.api("POST", entity_set, {})

    assert answer.status_code == 405


def test_business_units_never_form_a_cycle(alone):
    units = {row["name"]: row["businessunitid"] for row in alone.rows("businessunits")}

    def move(unit, parent):
        return alone.api(
            "PATCH",
            f"businessunits({units[unit]})",
            {"parentbusinessunitid@odata.bind": f"/businessunits({units[parent]})"},
        ).status_code

    assert move("Germany", "Americas") == 204
    assert move("Americas", "Germany") == 400
    assert move("Contoso", "Germany") == 400


def test_a_write_that_fails_half_way_leaves_nothing_behind(running, contoso):
    joao = as_person(running, "joao")
    owner = person(contoso, "ada")["systemuserid"]
    row_id = str(uuid4())

    answer = joao.api(
        "POST",
        "accounts",
        {
            "accountid": row_id,
            "name": "Out of reach",
            "ownerid@odata.bind": f"/systemusers({owner})",
        },
    )

    assert answer.status_code == 403
    assert contoso.get(f"accounts({row_id})").status_code == 404


def test_completing_a_task_sets_its_status(contoso):
    task = contoso.created("tasks", subject="Nearly done")

    row = contoso.api(
        "PATCH",
        f"tasks({task['activityid']})",
        {"statecode": 1},
        Prefer="return=representation",
    ).json()

    assert (task["statuscode"], row["statuscode"]) == (2, 5)


def test_a_note_goes_with_the_row_it_is_about(contoso):
    account = contoso.created("accounts", name="Noted")
    path = f"accounts({account['accountid']})"
    note = contoso.created(
        "annotations", **{"notetext": "x", "objectid_account@odata.bind": path}
    )

    contoso.api("DELETE", path)

    assert note["objecttypecode"] == "account"
    assert contoso.get(f"annotations({note['annotationid']})").status_code == 404


def test_multiple_writes_are_all_or_nothing(contoso):
    action = "accounts/Microsoft.Dynamics.CRM.CreateMultiple"
    row_id = str(uuid4())
    good = {"accountid": row_id, "name": "Good"}

    failed = contoso.api("POST", action, {"Targets": [good, {"nosuch": 1}]})
    before = contoso.get(f"accounts({row_id})").status_code
    done = contoso.api("POST", action, {"Targets": [good]})

    assert (failed.status_code, before) == (400, 404)
    assert done.json()["Ids"] == [row_id]


def test_details_of_an_error_come_when_asked_for(contoso):
    plain = contoso.api("POST", "accounts", {"nosuch": 1})
    full = contoso.api(
        "POST", "accounts", {"nosuch": 1}, Prefer='odata.include-annotations="*"'
    )

    detail = "@Microsoft.PowerApps.CDS.InnerError.Message"
    assert set(plain.json()["error"]) == {"code", "message"}
    assert full.json()["error"][detail] == plain.json()["error"]["message"]
