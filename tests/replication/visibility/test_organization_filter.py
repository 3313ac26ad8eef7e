"""The organization filter: what staging hands out at all."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from replication.visibility import building, planning
from tests.replication.checks import assert_sound
from tests.replication.related import filtered, mine, profile_of, served
from tests.staged import guid

EVERYTHING = profile_of(ProfileItem(table="account"))


@pytest.fixture
def cities(offices):
    for city in ("Lima", "Quito", "Cusco"):
        offices.add("account", city, city=city, owner="Grace")
    offices.pull("account")
    return offices


def build_missing(world):
    """As far as a worker comes that dies before what was published takes effect."""
    conn = world.database.kept("test")
    plan = planning.plan(conn)
    assert plan.missing
    for order in plan.missing:
        building.build(conn, order, tables=plan.tables)
    assert planning.plan(conn).superseded == ()


@pytest.mark.parametrize("user", ["Ada", "Grace"])
def test_nobody_holds_what_is_not_served(cities, user):
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))

    assert cities.device(user).names() == {"Lima"}
    assert_sound(cities)


def test_it_narrows_every_way_of_taking_rows(cities):
    cities.put_in_effect(
        profile_of(mine("account"), name="A"),
        profile_of(filtered("account", "city ne 'Quito'"), name="B"),
        **served("account", "city ne 'Lima'"),
    )

    assert cities.device("Ada").names() == {"Cusco"}
    assert cities.device("Grace").names() == {"Quito", "Cusco"}
    assert_sound(cities)


def test_of_an_edit_devices_lose_what_it_forbids_and_gain_what_it_permits(cities):
    cities.put_in_effect(EVERYTHING, **served("account", "city ne 'Quito'"))
    ada = cities.device("Ada")

    cities.put_in_effect(EVERYTHING, **served("account", "city ne 'Lima'"))
    result = ada.sync()

    assert result.deletes == 1
    assert ada.names() == {"Quito", "Cusco"}
    assert_sound(cities)


def test_taking_it_away_serves_everything(cities):
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))
    ada = cities.device("Ada")

    cities.put_in_effect(EVERYTHING)
    ada.sync()

    assert ada.names() == {"Lima", "Quito", "Cusco"}
    assert_sound(cities)


def test_a_row_that_is_edited_comes_to_be_served(cities):
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))
    ada = cities.device("Ada")

    cities.change("account", "Quito", city="Lima", ownerid=str(guid("Ada")))
    ada.sync()

    assert ada.names() == {"Lima", "Quito"}


def test_a_changed_one_holds_for_nobody_before_it_takes_effect(cities):
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))

    cities.publish(EVERYTHING)
    build_missing(cities)

    assert cities.device("Ada").names() == {"Lima"}


def test_a_changed_one_that_is_changed_back_leaves_one_rule(cities):
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))

    cities.publish(EVERYTHING)
    build_missing(cities)
    cities.put_in_effect(EVERYTHING, **served("account", "city eq 'Lima'"))

    assert cities.device("Ada").names() == {"Lima"}
    assert_sound(cities)


def test_one_that_cannot_be_read_serves_nothing(cities):
    cities.put_in_effect(EVERYTHING)
    ada = cities.device("Ada")

    cities.put_in_effect(EVERYTHING, **served("account", "gone eq 1"))
    ada.sync()

    assert ada.names() == set()
    assert_sound(cities)
