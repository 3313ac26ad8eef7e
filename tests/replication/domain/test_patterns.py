"""Sets of rows as patterns: what two of them share, and what is superfluous."""

from __future__ import annotations

from itertools import product

import pytest

from replication.domain.patterns import EVERYTHING, Pattern, intersection, widest
from tests.staged import guid

ADA, GRACE = Pattern(owner=guid("Ada")), Pattern(owner=guid("Grace"))
NORTH, SOUTH = Pattern(unit=guid("North")), Pattern(unit=guid("South"))
BELOW_CONTOSO = Pattern(ancestor=guid("Contoso"))
ADA_IN_NORTH = Pattern(owner=guid("Ada"), unit=guid("North"))


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (EVERYTHING, ADA, True),
        (ADA, EVERYTHING, False),
        (ADA, ADA, True),
        (ADA, GRACE, False),
        (ADA, ADA_IN_NORTH, True),
        (NORTH, ADA_IN_NORTH, True),
        (ADA_IN_NORTH, NORTH, False),
        (ADA, NORTH, False),
        (BELOW_CONTOSO, NORTH, False),
    ],
)
def test_a_pattern_covers_another_that_fixes_at_least_the_same(one, other, covers):
    assert one.covers(other) is covers


@pytest.mark.parametrize(
    ("allowed", "wanted", "both"),
    [
        pytest.param([EVERYTHING], [EVERYTHING], {EVERYTHING}, id="all of all"),
        pytest.param([EVERYTHING], [ADA, NORTH], {ADA, NORTH}, id="all allowed"),
        pytest.param([ADA, NORTH], [EVERYTHING], {ADA, NORTH}, id="all wanted"),
        pytest.param([ADA], [ADA], {ADA}, id="the same"),
        pytest.param([ADA], [GRACE], set(), id="two owners"),
        pytest.param([NORTH], [SOUTH], set(), id="two units"),
        pytest.param([ADA], [NORTH], {ADA_IN_NORTH}, id="owner and unit"),
        pytest.param([ADA, NORTH], [ADA, NORTH], {ADA, NORTH}, id="fewest patterns"),
        pytest.param([], [EVERYTHING], set(), id="nothing allowed"),
        pytest.param([EVERYTHING], [], set(), id="nothing wanted"),
        pytest.param(
            [BELOW_CONTOSO],
            [ADA, NORTH],
            {
                Pattern(owner=guid("Ada"), ancestor=guid("Contoso")),
                Pattern(unit=guid("North"), ancestor=guid("Contoso")),
            },
            id="below an ancestor",
        ),
    ],
)
def test_the_intersection_holds_the_rows_of_both(allowed, wanted, both):
    assert intersection(allowed, wanted) == both


def test_superfluous_patterns_are_left_out():
    assert widest([ADA, ADA_IN_NORTH, NORTH, GRACE]) == {ADA, NORTH, GRACE}
    assert widest([ADA, EVERYTHING, NORTH]) == {EVERYTHING}
    assert widest([]) == frozenset()


OWNERS = (guid("Ada"), guid("Grace"))
UNITS = (guid("North"), guid("South"))
# Each unit is below itself and below Contoso or nothing.
ANCESTORS = {guid("North"): (guid("Contoso"),), guid("South"): ()}


def matches(pattern, owner, unit):
    return (
        pattern.owner in (None, owner)
        and pattern.unit in (None, unit)
        and (pattern.ancestor is None or pattern.ancestor in ANCESTORS[unit])
    )


def rows_of(patterns):
    return {
        (owner, unit)
        for owner, unit in product(OWNERS, UNITS)
        if any(matches(pattern, owner, unit) for pattern in patterns)
    }


@pytest.mark.parametrize("size", [1, 2])
def test_the_intersection_is_that_of_the_rows_for_all_patterns(size):
    every = [
        Pattern(owner=owner, unit=unit, ancestor=ancestor)
        for owner in (None, *OWNERS)
        for unit in (None, *UNITS)
        for ancestor in (None, guid("Contoso"))
    ]
    sets = list(zip(*[iter(every)] * size, strict=False))

    for one, other in product(sets, sets):
        assert rows_of(intersection(one, other)) == rows_of(one) & rows_of(other)
        assert rows_of(widest(one)) == rows_of(one)


def test_a_user_with_many_teams_reads_what_is_theirs_or_shared_with_them():
    teams = [guid(f"Team {number}") for number in range(500)]
    owned = {Pattern(owner=team) for team in teams}
    opened = owned | {Pattern(through=team) for team in teams}
    of_unit = Pattern(unit=guid("North"))

    found = intersection(opened, owned | {of_unit})

    assert found >= owned
    assert Pattern(unit=guid("North"), through=teams[0]) in found
    assert Pattern(owner=teams[0], through=teams[1]) not in found
    assert len(found) == 2 * len(teams)
