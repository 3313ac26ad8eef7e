"""Filters about the user: everybody holds other rows by the same one."""

from __future__ import annotations

import pytest

from tests.replication.checks import assert_sound
from tests.replication.related import (
    about_user,
    cities_of,
    fetch,
    living,
    of_accounts,
)
from tests.staged import guid


@pytest.fixture
def people(offices):
    """Accounts that Ada, Grace and the team Crew, which Ada is in, have created."""
    offices.add_team("Crew", unit="South")
    offices.join("Ada", "Crew")
    for name in ("Ada", "Grace", "Crew", "Alan"):
        offices.add("account", f"By {name}", createdby=str(guid(name)))
    offices.add("account", "By nobody")
    offices.pull_these("team", "teammembership", "account")
    return offices


def reading_all(world, name):
    """Let somebody read every row, so that only the filter decides."""
    world.grant(name, "Reader")
    world.pull("systemuserroles")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("EqualUserId", {"By Ada"}),
        ("NotEqualUserId", {"By Grace", "By Crew", "By Alan", "By nobody"}),
        ("EqualUserTeams", {"By Crew"}),
        ("EqualUserOrUserTeams", {"By Ada", "By Crew"}),
    ],
)
def test_a_condition_about_the_user_is_about_each_user(people, function, expected):
    people.put_in_effect(of_accounts(about_user(function, "createdby")))

    assert people.device("Ada").names() == expected
    assert_sound(people)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("eq-userid", {"By Ada"}),
        ("ne-userid", {"By Grace", "By Crew", "By Alan", "By nobody"}),
        ("eq-useroruserteams", {"By Ada", "By Crew"}),
    ],
)
def test_the_same_conditions_in_fetchxml(people, operator, expected):
    people.put_in_effect(of_accounts(fetch("createdby", operator)))

    assert people.device("Ada").names() == expected


def test_a_row_that_changes_hands_moves_between_devices(people):
    reading_all(people, "Grace")
    people.put_in_effect(of_accounts(fetch("createdby", "eq-userid")))
    ada, grace = people.device("Ada"), people.device("Grace")

    people.change("account", "By Ada", createdby=str(guid("Grace")))
    ada.sync()
    grace.sync()

    assert ada.names() == set()
    assert grace.names() == {"By Ada", "By Grace"}
    assert_sound(people)


@pytest.mark.parametrize("creator", ["Ada", "Somebody new", None])
def test_a_negated_condition_follows_every_value_and_none(people, creator):
    people.put_in_effect(of_accounts(fetch("createdby", "ne-userid")))
    ada = people.device("Ada")

    value = str(guid(creator)) if creator else None
    people.change("account", "By Grace", createdby=value, city="Changed")
    ada.sync()

    assert ("By Grace" in ada.names()) is (creator != "Ada")
    assert "Changed" in cities_of(ada) or creator == "Ada"
    assert_sound(people)


@pytest.mark.parametrize("operator", ["eq-userid", "ne-userid"])
def test_another_column_may_be_compared_in_the_place_of_one(people, operator):
    """The rule is edited in place, and its entries go by values never met before."""
    people.change("account", "By Grace", primarycontactid=str(guid("Somebody else")))
    people.change("account", "By Alan", primarycontactid=str(guid("Ada")))
    people.put_in_effect(of_accounts(fetch("createdby", operator)))
    ada = people.device("Ada")
    before = living(people)[0].id

    people.put_in_effect(of_accounts(fetch("primarycontactid", operator)))
    ada.sync()

    assert living(people)[0].id == before
    everything = {"By Ada", "By Grace", "By Crew", "By Alan", "By nobody"}
    his = {"By Alan"}
    assert ada.names() == (his if operator == "eq-userid" else everything - his)
    assert_sound(people)


def test_conditions_about_rows_and_users_are_combined(people):
    people.change("account", "By Crew", city="Lima")
    text = f"{about_user('EqualUserOrUserTeams', 'createdby')} and city eq 'Lima'"
    people.put_in_effect(of_accounts(text))
    ada = people.device("Ada")
    before = ada.names()

    people.change("account", "By Ada", city="Lima")
    ada.sync()

    assert before == {"By Crew"}
    assert ada.names() == {"By Ada", "By Crew"}
    assert_sound(people)


def test_two_compared_columns_are_two_key_attributes(people):
    text = (
        f"{about_user('EqualUserId', 'createdby')}"
        f" and {about_user('NotEqualUserId', 'primarycontactid')}"
    )
    people.change("account", "By Ada", primarycontactid=str(guid("Ada")))
    people.put_in_effect(of_accounts(text))
    ada = people.device("Ada")
    before = ada.names()

    people.change("account", "By Ada", primarycontactid=None)
    ada.sync()

    assert (before, ada.names()) == (set(), {"By Ada"})
    assert_sound(people)


def test_who_joins_a_team_gains_what_the_filter_gives_to_its_members(people):
    reading_all(people, "Grace")
    people.put_in_effect(of_accounts(fetch("createdby", "eq-userteams")))
    grace = people.device("Grace")

    people.join("Grace", "Crew")
    people.pull("teammembership")
    grace.sync()

    assert grace.names() == {"By Crew"}


@pytest.mark.parametrize("reports", [True, False])
def test_a_superior_takes_along_what_concerns_who_reports_to_him(people, reports):
    people.put_in_effect(of_accounts(fetch("createdby", "eq-useroruserhierarchy")))
    ada = people.device("Ada")

    above = str(guid("Ada" if reports else "Joan"))
    people.change("systemuser", "Grace", parentsystemuserid=above)
    people.change("systemuser", "Alan", parentsystemuserid=str(guid("Grace")))
    ada.sync()

    more = {"By Grace", "By Alan"} if reports else set()
    assert ada.names() == {"By Ada"} | more


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("eq-businessid", {"Of North"}), ("ne-businessid", {"Of South", "Of none"})],
)
def test_a_condition_about_the_unit(offices, operator, expected):
    for unit in ("North", "South"):
        offices.add("account", f"Of {unit}", createdby=str(guid(unit)))
    offices.add("account", "Of none")
    offices.pull("account")
    offices.put_in_effect(of_accounts(fetch("createdby", operator)))
    ada = offices.device("Ada")
    before = ada.names()

    offices.change("systemuser", "Ada", businessunitid=str(guid("South")))
    ada.sync()

    assert before == expected
    assert ("Of South" in ada.names()) is (operator == "eq-businessid")


def test_a_condition_about_the_language(offices):
    offices.source.put("usersettings", guid("Ada"), uilanguageid=3082)
    offices.pull("usersettings")
    offices.put_in_effect(of_accounts(fetch("language", "eq-userlanguage")))
    ada = offices.device("Ada")

    # The first row of this language comes after the device has asked.
    offices.add("account", "Sevilla", language=3082)
    offices.add("account", "London", language=1033)
    offices.pull("account")
    ada.sync()
    spanish = ada.names()
    offices.change("usersettings", "Ada", uilanguageid=1033)
    ada.sync()

    assert spanish == {"Sevilla"}
    assert ada.names() == {"London"}
    assert_sound(offices)
