"""What privileges open: every depth, held directly or through a team."""

from __future__ import annotations

import pytest

from replication.domain.patterns import EVERYTHING, Pattern
from replication.domain.security import Depth, Holder, Privilege, readable_rows
from tests.staged import guid

ADA, CREW, NORTH, SOUTH = guid("Ada"), guid("Crew"), guid("North"), guid("South")
HOLDER = Holder(user=ADA, unit=NORTH, teams=frozenset({CREW}))
OWN = {Pattern(owner=ADA), Pattern(owner=CREW)}


def privilege(depth, *, team=False, inherited=False, unit=NORTH):
    return Privilege(
        name="prvreadaccount",
        depth=depth,
        unit=SOUTH if team else unit,
        team=CREW if team else None,
        is_inherited=inherited,
    )


@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize(
    ("depth", "opened"),
    [
        (Depth.USER, OWN),
        (Depth.BUSINESS_UNIT, OWN | {Pattern(unit=NORTH)}),
        (Depth.PARENT_CHILD, OWN | {Pattern(ancestor=NORTH)}),
        (Depth.ORGANIZATION, {EVERYTHING}),
    ],
)
def test_a_role_of_ones_own_opens_ones_rows_and_units(depth, opened, inherited):
    assert readable_rows(HOLDER, [privilege(depth, inherited=inherited)]) == opened


@pytest.mark.parametrize(
    ("depth", "inherited", "opened"),
    [
        (Depth.USER, False, {Pattern(owner=CREW)}),
        (Depth.USER, True, OWN),
        (Depth.BUSINESS_UNIT, False, OWN | {Pattern(unit=SOUTH)}),
        (Depth.BUSINESS_UNIT, True, OWN | {Pattern(unit=SOUTH)}),
        (Depth.PARENT_CHILD, False, OWN | {Pattern(ancestor=SOUTH)}),
        (Depth.PARENT_CHILD, True, OWN | {Pattern(ancestor=SOUTH)}),
        (Depth.ORGANIZATION, False, {EVERYTHING}),
        (Depth.ORGANIZATION, True, {EVERYTHING}),
    ],
)
def test_a_role_of_a_team_opens_the_teams_rows_and_units(depth, inherited, opened):
    held = privilege(depth, team=True, inherited=inherited)

    assert readable_rows(HOLDER, [held]) == opened


def test_without_privileges_nothing_is_open():
    assert readable_rows(HOLDER, []) == frozenset()


def test_privileges_add_up():
    held = [
        privilege(Depth.BUSINESS_UNIT),
        privilege(Depth.PARENT_CHILD, team=True),
        privilege(Depth.USER),
    ]

    assert readable_rows(HOLDER, held) == OWN | {
        Pattern(unit=NORTH),
        Pattern(ancestor=SOUTH),
    }


def test_the_organization_makes_all_else_superfluous():
    held = [privilege(Depth.USER), privilege(Depth.ORGANIZATION, team=True)]

    assert readable_rows(HOLDER, held) == {EVERYTHING}


@pytest.mark.parametrize("depth", [Depth.BUSINESS_UNIT, Depth.PARENT_CHILD])
def test_who_is_in_no_unit_reads_only_his_own(depth):
    assert readable_rows(HOLDER, [privilege(depth, unit=None)]) == OWN


@pytest.mark.parametrize(
    ("mask", "depth"),
    [
        (0, None),
        (1, Depth.USER),
        (2, Depth.BUSINESS_UNIT),
        (4, Depth.PARENT_CHILD),
        (8, Depth.ORGANIZATION),
        (3, Depth.BUSINESS_UNIT),
        (15, Depth.ORGANIZATION),
        (16, None),
        (20, Depth.PARENT_CHILD),
    ],
)
def test_the_deepest_depth_of_a_mask_counts(mask, depth):
    assert Depth.of_mask(mask) is depth
