"""A filter is split into what it asks of rows and what it asks of the user."""

from __future__ import annotations

import pytest

from replication.domain.filter_operators import AttributeKind, Operator
from replication.domain.filter_parts import Attribute, Part, split
from replication.domain.filters import (
    TRUE,
    And,
    Condition,
    FilterError,
    Not,
    Or,
    canonical,
)
from tests.replication.filters.tables import condition

OPEN = condition("statecode", "eq", 0)
IN_LIMA = condition("city", "eq", "Lima")
MINE = condition("ownerid", "eq-userid")
MY_UNITS = condition("owningbusinessunit", "eq-businessid")
OWNER = Attribute("ownerid", AttributeKind.USER)
UNIT = Attribute("owningbusinessunit", AttributeKind.UNIT)


def test_a_filter_without_users_is_one_part_however_it_is_nested():
    expr = Or((OPEN, And((IN_LIMA, Not(Or((OPEN, IN_LIMA)))))))

    assert split(expr) == (Part(canonical(expr), ()),)


def test_a_filter_that_selects_every_row_asks_nothing():
    assert split(TRUE) == (Part(None, ()),)


def test_a_filter_that_selects_no_row_has_no_part():
    assert split(Or(())) == ()
    assert split(And((MINE, Not(MINE)))) == ()


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("eq-userid", "user"),
        ("eq-userteams", "teams"),
        ("eq-useroruserteams", "user_or_teams"),
        ("eq-useroruserhierarchy", "hierarchy"),
        ("eq-useroruserhierarchyandteams", "hierarchy_and_teams"),
        ("eq-businessid", "unit"),
        ("eq-userlanguage", "language"),
    ],
)
def test_each_operator_about_the_user_is_an_attribute(operator, kind):
    attribute = Attribute("column", AttributeKind(kind))

    assert split(condition("column", operator)) == (Part(None, (attribute,)),)


@pytest.mark.parametrize(
    "expr", [Not(MINE), condition("ownerid", "ne-userid"), Not(Not(Not(MINE)))]
)
def test_a_negated_condition_is_a_negated_attribute(expr):
    assert split(expr) == (Part(None, (OWNER.opposite,)),)


def test_and_joins_rows_and_attributes_in_one_part():
    assert split(And((MINE, OPEN, MY_UNITS, IN_LIMA))) == (
        Part(canonical(And((OPEN, IN_LIMA))), (OWNER, UNIT)),
    )


def test_or_makes_parts_and_keeps_together_what_mentions_no_user():
    assert split(Or((MINE, OPEN, And((MY_UNITS, OPEN)), IN_LIMA))) == (
        Part(canonical(Or((OPEN, IN_LIMA))), ()),
        Part(None, (OWNER,)),
        Part(OPEN, (UNIT,)),
    )


def test_only_conditions_about_users_are_multiplied_out():
    alternatives = Or(tuple(condition("city", "eq", str(n)) for n in range(50)))

    parts = split(And((alternatives, Or((MINE, MY_UNITS)))))

    assert [part.attributes for part in parts] == [(OWNER,), (UNIT,)]
    assert {part.static for part in parts} == {canonical(alternatives)}


def test_negation_exchanges_and_with_or():
    assert split(Not(And((MINE, OPEN)))) == (
        Part(Not(OPEN), ()),
        Part(None, (OWNER.opposite,)),
    )


def test_parts_with_equal_attributes_are_one():
    assert split(Or((And((MINE, OPEN)), And((IN_LIMA, MINE))))) == (
        Part(canonical(Or((OPEN, IN_LIMA))), (OWNER,)),
    )


def test_a_part_that_adds_no_row_is_left_out():
    assert split(Or((MINE, And((MINE, MY_UNITS)), And((MINE, OPEN))))) == (
        Part(None, (OWNER,)),
    )


def about_user(column: str, place: str = "") -> Condition:
    return Condition(column, Operator.EQ_USER_ID, (), place)


def test_more_than_sixteen_parts_are_refused_at_the_first_user():
    alternatives = [about_user(f"c{n}", f"character {n}") for n in range(17)]

    assert len(split(Or(tuple(alternatives[:16])))) == 16
    with pytest.raises(FilterError, match="at a reasonable cost") as refused:
        split(And((OPEN, Or(tuple(alternatives)))))

    assert refused.value.place == "character 0"


def test_more_than_three_columns_in_a_part_are_refused():
    columns = [about_user(f"c{n}") for n in range(4)]

    assert len(split(And(tuple(columns[:3])))[0].attributes) == 3
    with pytest.raises(FilterError, match="4 columns"):
        split(And(tuple(columns)))


def test_a_filter_made_to_explode_is_refused_before_it_does():
    pairs = tuple(Or((about_user(f"a{n}"), about_user(f"b{n}"))) for n in range(50))

    with pytest.raises(FilterError, match="at a reasonable cost"):
        split(And(pairs))
