"""The tree of business units, and rights on a subtree as patterns over the feed."""

from __future__ import annotations

import pytest

from replication.domain.patterns import EVERYTHING, Pattern
from replication.domain.units import UnitTree, flattened, spread
from tests.staged import guid


def tree(**parents):
    return UnitTree(
        {guid(unit): above and guid(above) for unit, above in parents.items()}
    )


CONTOSO = tree(
    Contoso=None, North="Contoso", South="Contoso", Port="North", Pier="Port"
)
CIRCLE = tree(North="Port", Port="North")


def unit(name):
    return Pattern(unit=guid(name))


def below(name):
    return Pattern(ancestor=guid(name))


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        pytest.param(EVERYTHING, {EVERYTHING}, id="everything"),
        pytest.param(unit("North"), {unit("North")}, id="a unit"),
        pytest.param(below("North"), {unit("North"), below("North")}, id="a subtree"),
        pytest.param(below("South"), {unit("South")}, id="a leaf"),
        pytest.param(
            below("Contoso"),
            {unit("Contoso"), unit("North"), below("North"), unit("South")},
            id="the topmost",
        ),
        pytest.param(below("Nowhere"), {unit("Nowhere")}, id="an unknown unit"),
    ],
)
def test_a_right_on_a_subtree_is_spread_over_what_entries_name(pattern, parts):
    assert set(spread(pattern, CONTOSO)) == parts


@pytest.mark.parametrize(
    ("within", "above", "kept"),
    [
        ("Port", "North", True),
        ("Pier", "North", True),
        ("North", "North", True),
        ("South", "North", False),
        ("Contoso", "North", False),
    ],
)
def test_a_unit_within_a_subtree_is_all_that_is_left_of_it(within, above, kept):
    both = Pattern(unit=guid(within), ancestor=guid(above))

    assert list(spread(both, CONTOSO)) == ([unit(within)] if kept else [])


def test_an_owner_goes_along():
    owned = Pattern(owner=guid("Ada"), ancestor=guid("North"))

    assert {part.owner for part in spread(owned, CONTOSO)} == {guid("Ada")}
    assert {part.owner for part in flattened(owned, CONTOSO)} == {guid("Ada")}


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        (EVERYTHING, {EVERYTHING}),
        (unit("North"), {unit("North")}),
        (below("North"), {unit("Port"), unit("Pier")}),
        (below("South"), set()),
    ],
)
def test_without_entries_for_ancestors_each_unit_below_is_named(pattern, parts):
    assert set(flattened(pattern, CONTOSO)) == parts


def test_a_circle_ends_where_it_began():
    assert CIRCLE.below(guid("North")) == {guid("North"), guid("Port")}
    assert CIRCLE.is_within(guid("Port"), guid("North"))
    assert not CIRCLE.is_within(guid("Port"), guid("Contoso"))
    assert set(spread(below("North"), CIRCLE)) == {unit("North"), below("North")}
