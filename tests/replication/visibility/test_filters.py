"""Custom filters, as devices see them."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Assignments, ProfileItem
from tests.replication.checks import assert_sound
from tests.replication.related import (
    cities_of,
    fetch,
    living,
    mine,
    of_accounts,
    profile_of,
)
from tests.staged import guid

LIMA = [
    pytest.param("city eq 'Lima'", id="odata"),
    pytest.param(fetch("city", "eq", "lima"), id="fetchxml"),
]


@pytest.fixture(scope="module")
def some_cities(all_related):
    def add(offices):
        for number in range(6):
            offices.add("account", f"Lima {number}", city="Lima")
        offices.add("account", "Quito", city="Quito")
        offices.add("account", "Nowhere")
        offices.pull("account")

    return all_related.varied("some_cities", add)


@pytest.fixture
def cities(db, some_cities):
    """Six accounts in Lima, one in Quito, one without a city."""
    return some_cities.world()


SIX = {f"Lima {number}" for number in range(6)}


# What belongs


@pytest.mark.parametrize("text", LIMA)
def test_a_device_holds_what_the_filter_accepts(cities, text):
    cities.put_in_effect(of_accounts(text))

    assert cities.device("Ada").names() == SIX
    assert cities.device("Grace").names() == set()
    assert_sound(cities)


@pytest.mark.parametrize("text", LIMA)
def test_a_row_that_is_edited_enters_and_leaves(cities, text):
    cities.put_in_effect(of_accounts(text))
    ada = cities.device("Ada")

    cities.change("account", "Quito", city="LIMA")
    cities.change("account", "Lima 0", city=None)
    ada.sync()

    assert ada.names() == (SIX - {"Lima 0"}) | {"Quito"}
    assert_sound(cities)


def test_a_row_that_still_belongs_reaches_the_device_when_it_changes(cities):
    cities.put_in_effect(of_accounts("city ne 'Quito'"))
    ada = cities.device("Ada")

    cities.change("account", "Lima 0", city="Lima Metropolitana")
    result = ada.sync()

    assert (result.rows, result.deletes) == (1, 0)
    assert "Lima Metropolitana" in cities_of(ada)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("city ne 'Lima'", {"Quito", "Nowhere"}),
        ("city eq null", {"Nowhere"}),
        ("not (city eq 'Lima')", {"Quito", "Nowhere"}),
        ("city eq 'Quito' or city eq null", {"Quito", "Nowhere"}),
        ("contains(name,'5')", {"Lima 5"}),
    ],
)
def test_null_is_a_value_that_no_positive_condition_matches(cities, text, expected):
    cities.put_in_effect(of_accounts(text))

    assert cities.device("Ada").names() == expected
    assert_sound(cities)


# Editing


def test_of_an_edited_filter_only_the_difference_travels(cities):
    cities.put_in_effect(of_accounts("city eq 'Lima'"))
    ada = cities.device("Ada")
    (before,) = living(cities)

    cities.put_in_effect(
        of_accounts("city eq 'Lima' and name ne 'Lima 0' or city eq 'Quito'")
    )
    result = ada.sync()

    (after,) = living(cities)
    assert before.id == after.id
    assert (result.rows, result.deletes) == (1, 1)
    assert ada.names() == (SIX - {"Lima 0"}) | {"Quito"}
    assert_sound(cities)


def test_a_filter_edited_while_a_device_is_away_is_made_up_for(cities):
    cities.put_in_effect(of_accounts("city eq 'Lima'"))
    ada = cities.device("Ada")

    cities.put_in_effect(of_accounts("city eq 'Quito'"))
    cities.change("account", "Lima 1", city="Quito")
    cities.put_in_effect(of_accounts("city ne 'Lima'"))
    ada.sync()

    assert ada.names() == {"Lima 1", "Quito", "Nowhere"}
    assert_sound(cities)


def test_publishing_the_same_filter_in_the_other_language_sends_nothing(cities):
    cities.put_in_effect(of_accounts("city eq 'Lima'"))
    ada = cities.device("Ada")

    cities.put_in_effect(of_accounts(fetch("city", "eq", "Lima")))
    result = ada.sync()

    assert result is None or (result.rows, result.deletes) == (0, 0)


def test_all_rows_instead_of_some_and_some_again(cities):
    cities.put_in_effect(of_accounts("city eq 'Lima'"))
    ada = cities.device("Ada")

    cities.put_in_effect(profile_of(ProfileItem(table="account")))
    ada.sync()
    everything = ada.names()
    cities.put_in_effect(of_accounts("city eq 'Quito'"))
    ada.sync()

    assert everything == SIX | {"Quito", "Nowhere"}
    assert ada.names() == {"Quito"}
    assert_sound(cities)


def test_an_edit_of_one_profile_leaves_another_with_the_same_filter_alone(cities):
    cities.change("account", "Quito", ownerid=str(guid("Grace")))
    cities.change("account", "Lima 0", ownerid=str(guid("Grace")))
    for_ada = {"name": "A", "assignments": Assignments(users=(guid("Ada"),))}
    for_grace = {"name": "G", "assignments": Assignments(users=(guid("Grace"),))}
    lima = "city eq 'Lima'"
    cities.put_in_effect(of_accounts(lima, **for_ada), of_accounts(lima, **for_grace))
    ada, grace = cities.device("Ada"), cities.device("Grace")

    cities.put_in_effect(
        of_accounts("city eq 'Quito'", **for_ada), of_accounts(lima, **for_grace)
    )
    ada.sync()
    result = grace.sync()

    assert ada.names() == {"Quito"}
    assert grace.names() == {"Lima 0"}
    assert result is None or result.rows == 0
    assert_sound(cities)


def test_two_profiles_with_one_filter_may_part(cities):
    for_ada = {"name": "A", "assignments": Assignments(users=(guid("Ada"),))}
    for_all = {"name": "E"}
    lima = "city eq 'Lima'"
    cities.change("account", "Nowhere", ownerid=str(guid("Grace")))
    cities.change("account", "Lima 0", ownerid=str(guid("Grace")))
    cities.put_in_effect(of_accounts(lima, **for_ada), of_accounts(lima, **for_all))
    ada, grace = cities.device("Ada"), cities.device("Grace")

    cities.put_in_effect(
        of_accounts("city eq 'Quito'", **for_ada),
        of_accounts("city eq null", **for_all),
    )
    ada.sync()
    grace.sync()

    assert ada.names() == {"Quito", "Nowhere"}
    assert grace.names() == {"Nowhere"}
    assert_sound(cities)


def test_a_user_in_several_profiles_holds_what_any_of_them_takes(cities):
    cities.put_in_effect(
        of_accounts("city eq 'Quito'", name="A"),
        of_accounts("name eq 'Lima 1'", name="B"),
        profile_of(mine("account"), name="C"),
    )

    assert cities.device("Ada").names() == {"Quito", "Lima 1"}
    assert_sound(cities)
