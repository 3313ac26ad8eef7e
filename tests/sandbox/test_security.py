"""Who sees what at the source: the people of Contoso, each in a role of their own."""

from __future__ import annotations

import pytest

from tests.sandbox.running import as_person, where


@pytest.fixture(scope="module")
def facts(running):
    """All accounts with owner and unit, as the administrator sees them."""
    hedy = as_person(running, "hedy")
    overview = hedy.control("GET", "").json()
    units = {row["businessunitid"]: row for row in hedy.rows("businessunits")}
    select = "$select=_ownerid_value,_owningbusinessunit_value"
    mine = where("startswith(accountnumber,'')")
    rows = hedy.rows(f"accounts?{select}&{mine}")
    assert rows
    return {
        "rows": {row["accountid"]: row for row in rows},
        "units": units,
        "owners": {
            person["domainname"].partition("@")[0]: person["systemuserid"]
            for person in overview["people"]
        }
        | {team["name"]: team["teamid"] for team in overview["teams"]},
    }


def names_above(facts, unit_id):
    units, found = facts["units"], set()
    while unit_id is not None:
        found.add(units[unit_id]["name"])
        unit_id = units[unit_id]["_parentbusinessunitid_value"]
    return found


def owned_by(facts, *names):
    ids = {facts["owners"][name] for name in names}
    return {key for key, row in facts["rows"].items() if row["_ownerid_value"] in ids}


def in_unit(facts, name):
    return {
        key
        for key, row in facts["rows"].items()
        if facts["units"][row["_owningbusinessunit_value"]]["name"] == name
    }


def below_unit(facts, name):
    return {
        key
        for key, row in facts["rows"].items()
        if name in names_above(facts, row["_owningbusinessunit_value"])
    }


SEES = {
    "ada": lambda facts: owned_by(facts, "ada", "US Key Accounts"),
    "linus": lambda facts: owned_by(facts, "linus", "US Key Accounts"),
    "marie": lambda facts: below_unit(facts, "Europe"),
    "joao": lambda facts: in_unit(facts, "Brazil"),
    "barbara": lambda facts: set(facts["rows"]),
    "grace": lambda facts: (
        owned_by(facts, "grace", "Europe Service") | in_unit(facts, "Europe")
    ),
    "sofia": lambda facts: in_unit(facts, "Spain"),
    "yuki": lambda facts: below_unit(facts, "Asia Pacific"),
    "katherine": lambda facts: owned_by(facts, "katherine", "Alaska Crew"),
    # Her only role is a team's and not inherited: her own rows stay closed.
    "mary": lambda facts: owned_by(facts, "Pacific Service Desk"),
}


@pytest.mark.parametrize("name", SEES)
def test_a_person_sees_what_the_roles_open(running, facts, name):
    expected = SEES[name](facts)

    seen = {
        row["accountid"]
        for row in as_person(running, name).rows("accounts?$select=accountid")
    }

    # Other tests of the session may have added accounts meanwhile.
    assert seen & facts["rows"].keys() == expected
    assert expected


def test_everybody_who_owns_something_shows_in_a_small_organization(facts):
    for name in ("ada", "linus", "grace", "mary", "dorothy", "katherine"):
        assert owned_by(facts, name), name


def test_depth_differs_by_table(running, facts):
    yuki = as_person(running, "yuki")
    contacts = yuki.rows("contacts?$select=_ownerid_value")

    assert {row["_ownerid_value"] for row in contacts} <= {facts["owners"]["yuki"]}
    assert len(yuki.rows("accounts?$select=accountid")) > len(contacts)


def test_somebody_without_role_is_refused(running):
    answer = as_person(running, "niels").get("accounts")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80040220")


def test_somebody_disabled_is_refused(running):
    answer = as_person(running, "dorothy").get("accounts")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80040225")


def test_a_single_row_out_of_reach_is_refused(running, facts):
    other = next(iter(owned_by(facts, "grace")))

    answer = as_person(running, "ada").get(f"accounts({other})")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80040221")


def test_reading_does_not_include_writing(running, facts):
    other = next(iter(owned_by(facts, "grace")))

    answer = as_person(running, "barbara").api(
        "PATCH", f"accounts({other})", {"name": "Mine now"}
    )

    assert answer.status_code == 403


def test_the_visible_rows_can_be_asked_for(running, contoso, facts):
    for name in ("ada", "niels"):
        path = f"visible?person={name}@contoso.example&table=account&ids=true"
        answer = contoso.control("GET", path).json()

        expected = SEES[name](facts) if name in SEES else set()
        assert set(answer["ids"]) & facts["rows"].keys() == expected
        assert answer["count"] == len(answer["ids"])


def test_a_privilege_taken_from_a_role_is_gone_at_once(alone):
    ada = as_person(alone.running, "ada")
    change = {"role": "Field Salesperson", "privilege": "prvReadAccount"}
    before = ada.get("accounts").status_code

    alone.control("POST", "role-privileges", {**change, "depth": 0})
    without = ada.get("accounts").status_code
    alone.control("POST", "role-privileges", {**change, "depth": 8})
    count = len(ada.rows("accounts?$select=accountid"))

    assert (before, without) == (200, 403)
    assert count == len(alone.rows("accounts?$select=accountid"))


def test_roles_are_copied_into_every_unit_and_privileges_stand_on_the_root(contoso):
    roles = contoso.rows("roles?$select=_parentrootroleid_value,_businessunitid_value")
    granted = {row["roleid"] for row in contoso.rows("roleprivilegescollection")}
    roots = {row["_parentrootroleid_value"] for row in roles}
    units = {row["businessunitid"] for row in contoso.rows("businessunits")}

    assert len(roles) == len(roots) * len(units)
    assert granted == roots
