"""Teams: what their members see because of them, and no longer see."""

from __future__ import annotations

import pytest

from tests.staged import guid

UNIT, PARENT_CHILD = 2, 4


@pytest.fixture
def crew(contoso):
    """A team of South that owns an account; Ada of North is its member."""
    contoso.add_team("Crew", unit="South")
    contoso.join("Ada", "Crew")
    contoso.add_account("Depot", owner="Crew", unit="South")
    contoso.pull_these("team", "teammembership", "account")
    return contoso


def test_a_member_sees_what_his_team_owns(crew):
    assert crew.device("Ada").names() == {"Depot"}
    assert crew.device("Grace").names() == set()


def test_who_leaves_a_team_loses_what_it_owns(crew):
    ada = crew.device("Ada")

    crew.leave("Ada", "Crew")
    crew.pull("teammembership")
    ada.sync()

    assert ada.names() == set()


def test_who_joins_a_team_gains_what_it_owned_before(crew):
    grace = crew.device("Grace")

    crew.join("Grace", "Crew")
    crew.pull("teammembership")
    grace.sync()

    assert grace.names() == {"Depot"}


def test_a_team_that_is_deleted_gives_nothing_any_more(crew):
    ada = crew.device("Ada")

    crew.source.delete("team", guid("Crew"))
    crew.pull("team")
    ada.sync()

    assert ada.names() == set()


def test_a_row_of_two_teams_in_turn_stays_with_who_is_in_both(crew):
    crew.add_team("Pilots", unit="South")
    crew.join("Ada", "Pilots")
    crew.pull_these("team", "teammembership")
    ada = crew.device("Ada")

    crew.hand_over("Depot", to="Pilots")
    crew.pull("account")
    ada.sync()

    assert ada.names() == {"Depot"}


def test_a_teams_role_opens_the_unit_of_the_team_and_not_of_the_member(crew):
    crew.add_account("Site North", owner="Nobody", unit="North")
    crew.add_account("Site South", owner="Nobody", unit="South")
    crew.add_role("Unit reader", unit="South", account=UNIT)
    crew.add_team("Crew", unit="South", roles=["Unit reader"])
    crew.pull_these("role", "roleprivileges", "teamroles", "account")

    assert crew.device("Ada").names() == {"Depot", "Site South"}


def test_a_team_that_moves_to_another_unit_opens_that_one(crew):
    crew.add_account("Site North", owner="Nobody", unit="North")
    crew.add_account("Site South", owner="Nobody", unit="South")
    crew.add_role("Unit reader", unit="South", account=UNIT)
    crew.add_team("Crew", unit="South", roles=["Unit reader"])
    crew.pull_these("role", "roleprivileges", "teamroles", "account")
    ada = crew.device("Ada")

    crew.source.put("team", guid("Crew"), businessunitid=str(guid("North")))
    crew.pull("team")
    ada.sync()

    assert ada.names() == {"Depot", "Site North"}


def test_a_role_that_a_team_loses_takes_its_units_along(crew):
    crew.add_account("Pier", owner="Nobody", unit="Port")
    crew.add_role("Subtree reader", unit="North", account=PARENT_CHILD)
    crew.add_team("Coast", unit="North", roles=["Subtree reader"])
    crew.join("Ada", "Coast")
    crew.pull_these("role", "roleprivileges", "team", "teamroles", "teammembership")
    crew.pull("account")
    ada = crew.device("Ada")

    crew.source.delete("teamroles", guid("Coast/Subtree reader"))
    crew.pull("teamroles")
    before = ada.names()
    ada.sync()

    assert (before, ada.names()) == ({"Depot", "Pier"}, {"Depot"})


def test_a_user_without_roles_of_his_own_may_go_offline_by_his_teams(crew):
    crew.add_role("Team reader", unit="South", account=1)
    crew.add_team("Crew", unit="South", roles=["Team reader"])
    crew.revoke("Ada", "Salesperson")
    crew.pull_these("role", "roleprivileges", "teamroles", "systemuserroles")

    assert crew.device("Ada").names() == {"Depot"}


def test_a_teams_role_at_user_depth_opens_the_members_own_rows_only_if_inherited(crew):
    crew.add_account("Airport A", owner="Ada", unit="North")
    crew.add_role("Team reader", unit="South", account=1)
    crew.add_team("Crew", unit="South", roles=["Team reader"])
    crew.revoke("Ada", "Salesperson")
    crew.pull_these("role", "roleprivileges", "teamroles", "systemuserroles")
    crew.pull("account")
    ada = crew.device("Ada")
    of_the_team = ada.names()

    crew.source.put("role", guid("Team reader"), isinherited=1)
    crew.pull("role")
    ada.sync()

    assert (of_the_team, ada.names()) == ({"Depot"}, {"Depot", "Airport A"})
