"""Secured columns are only for who is granted them."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from tests.replication.related import profile_of
from tests.staged import guid

ALLOWED, NOT_ALLOWED = 4, 0
EVERYTHING = profile_of(ProfileItem(table="account"))


@pytest.fixture
def airport(offices):
    """Airport has a credit limit; the field security profile Credit lets read it."""
    offices.add("account", "Airport", owner="Grace", creditlimit="125.5")
    offices.pull("account")
    allow(offices, ALLOWED)
    offices.put_in_effect(EVERYTHING)
    return offices


def allow(world, canread):
    world.source.put(
        "fieldpermission",
        guid("Credit/creditlimit"),
        entityname="account",
        attributelogicalname="creditlimit",
        canread=canread,
        fieldsecurityprofileid=str(guid("Credit")),
    )
    world.pull("fieldpermission")


def give(world, name, *, table="systemuserprofiles", holder="systemuserid"):
    world.source.put(
        table,
        guid(f"{name}/Credit"),
        **{holder: str(guid(name))},
        fieldsecurityprofileid=str(guid("Credit")),
    )
    world.pull(table)


def limit_of(device):
    """What the device knows of Airport's credit limit; "unknown" without the column."""
    device.sync()
    return device.store.rows("account")[str(guid("Airport"))].get(
        "creditlimit", "unknown"
    )


def test_only_who_is_granted_a_secured_column_has_it(airport):
    give(airport, "Ada")

    assert limit_of(airport.new_device("Ada")) == "125.5"
    assert limit_of(airport.new_device("Grace")) == "unknown"


def test_the_model_names_the_column_only_to_who_is_granted_it(airport):
    give(airport, "Ada")

    def columns(user):
        (account,) = airport.model(user)
        return {column["name"] for column in account["columns"]}

    assert columns("Ada") - columns("Grace") == {"creditlimit"}


def test_a_grant_reaches_the_device(airport):
    ada = airport.device("Ada")
    before = limit_of(ada)

    give(airport, "Ada")

    assert (before, limit_of(ada)) == ("unknown", "125.5")


def test_a_grant_that_is_taken_away_takes_the_values_away(airport):
    give(airport, "Ada")
    ada = airport.device("Ada")

    airport.remove("systemuserprofiles", "Ada/Credit")

    assert limit_of(ada) == "unknown"


def test_a_permission_that_changes_reaches_the_device(airport):
    give(airport, "Ada")
    ada = airport.device("Ada")

    allow(airport, NOT_ALLOWED)
    closed = limit_of(ada)
    allow(airport, ALLOWED)

    assert (closed, limit_of(ada)) == ("unknown", "125.5")


def test_a_team_gives_the_column_to_its_members(airport):
    airport.add_team("Crew", unit="South")
    airport.pull("team")
    give(airport, "Crew", table="teamprofiles", holder="teamid")
    ada = airport.device("Ada")
    before = limit_of(ada)

    airport.join("Ada", "Crew")
    airport.pull("teammembership")

    assert (before, limit_of(ada)) == ("unknown", "125.5")


def test_a_value_that_changes_reaches_only_who_may_have_it(airport):
    give(airport, "Ada")
    ada, grace = airport.device("Ada"), airport.device("Grace")

    airport.change("account", "Airport", creditlimit="99")

    assert (limit_of(ada), limit_of(grace)) == ("99", "unknown")


def test_a_column_that_the_profile_does_not_choose_is_not_sent_to_who_is_granted(
    airport,
):
    give(airport, "Ada")
    airport.put_in_effect(profile_of(ProfileItem(table="account", columns=("city",))))

    assert limit_of(airport.new_device("Ada")) == "unknown"
