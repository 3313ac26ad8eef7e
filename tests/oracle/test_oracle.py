"""The naive oracle, held against SOURCE §3.10 by hand: who judges must be right himself."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Policy, ProfileDef, ProfileItem
from tests.oracle import world
from tests.oracle.by_hand import NOBODY, add, give, held_by, profile, seen_by
from tests.oracle.rights import ORGANIZATION, PARENT_CHILD, UNIT, USER
from tests.staged import guid


@pytest.mark.parametrize(
    ("depth", "seen"),
    [
        (USER, ["Own", "Team's"]),
        (UNIT, ["In North", "Own", "Team's"]),
        (PARENT_CHILD, ["In North", "In a unit below", "Own", "Team's"]),
        (ORGANIZATION, ["Elsewhere", "In North", "In a unit below", "Own", "Team's"]),
    ],
)
def test_a_greater_depth_opens_more_units(source, depth, seen):
    give(source, "Ada", depth)
    world.set_member(source, "Ada", "Night shift", is_in=True)
    add(source, "Own", owner="Ada", unit="South")
    add(source, "Team's", owner="Night shift", unit="South")
    add(source, "In North", owner=NOBODY, unit="North")
    add(source, "In a unit below", owner=NOBODY, unit="Pier")
    add(source, "Elsewhere", owner=NOBODY, unit="South")

    assert seen_by(source, "Ada") == seen


@pytest.mark.parametrize(
    ("inherited", "seen"), [(0, ["Team's"]), (1, ["Own", "Team's"])]
)
def test_a_team_s_role_of_user_depth_opens_own_rows_only_when_inherited(
    source, inherited, seen
):
    give(source, "Night shift", USER, inherited=inherited)
    world.set_member(source, "Ada", "Night shift", is_in=True)
    add(source, "Own", owner="Ada", unit="North")
    add(source, "Team's", owner="Night shift", unit="South")

    assert seen_by(source, "Ada") == seen


def test_a_team_s_role_opens_the_team_s_unit_and_not_the_member_s(source):
    give(source, "Night shift", UNIT)
    world.set_member(source, "Ada", "Night shift", is_in=True)
    add(source, "In the team's unit", owner=NOBODY, unit="South")
    add(source, "In Ada's unit", owner=NOBODY, unit="North")

    assert seen_by(source, "Ada") == ["In the team's unit"]


def test_the_copy_of_a_role_in_another_unit_has_the_privileges_of_its_root(source):
    world.set_depth(source, "Salesperson", "account", USER)
    world.set_role(source, "Grace", "Salesperson of South", held=True)
    add(source, "Own", owner="Grace", unit="South")

    assert seen_by(source, "Grace") == ["Own"]


def test_a_device_holds_what_both_profile_and_security_allow(source):
    give(source, "Ada", UNIT)
    add(source, "Own", owner="Ada", unit="South")
    add(source, "In North", owner=NOBODY, unit="North")
    own_rows = profile(records="filtered", owned_by_me=True)

    assert seen_by(source, "Ada", own_rows) == ["Own"]


def test_a_table_that_belongs_to_the_organization_is_open_wholly_or_not_at_all(source):
    world.set_role(source, "Ada", "Salesperson", held=True)
    prices = ProfileDef(
        name="Prices",
        items=(ProfileItem(table="price"),),
        assignments=profile().assignments,
    )
    policy = Policy(profiles=(prices,))

    world.set_depth(source, "Salesperson", "price", PARENT_CHILD)
    assert held_by(source, "Ada", policy) == {}
    world.set_depth(source, "Salesperson", "price", ORGANIZATION)
    assert set((held_by(source, "Ada", policy) or {})["price"]) == set(world.PRICES)


def test_without_a_role_or_a_profile_or_while_disabled_nobody_goes_offline(source):
    assert seen_by(source, "Ada") is None

    give(source, "Ada", USER)
    assert seen_by(source, "Ada") == []
    assert seen_by(source, "Ada", ProfileDef(name="Nobody's", items=())) is None

    source.put("systemuser", guid("Ada"), isdisabled=True)
    assert seen_by(source, "Ada") is None
