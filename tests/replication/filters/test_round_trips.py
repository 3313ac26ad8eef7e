"""What is written in either language is read as it was meant."""

from __future__ import annotations

from hypothesis import given, settings

from replication.domain.filter_operators import Operator
from replication.domain.filters import (
    And,
    Condition,
    Expr,
    Not,
    Or,
    canonical,
    dumps,
    loads,
)
from replication.visibility import fetchxml, odata_filter
from replication.visibility.filter_check import check
from tests.oracle.filter_grammar import expressions
from tests.oracle.filter_soak import MOMENTS, TABLE
from tests.replication.filters import printing

_SOMETHING = Condition("accountid", Operator.NOT_NULL)
# OData has no function for patterns with wildcards in the middle alone.
_IN_ODATA = {
    Operator.LIKE: Operator.BEGINS_WITH,
    Operator.NOT_LIKE: Operator.NOT_BEGIN_WITH,
}


def without_empty_lists(expr: Expr) -> Expr:
    """Neither language can write them."""
    match expr:
        case And() | Or():
            children = tuple(map(without_empty_lists, expr.children))
            return type(expr)(children or (_SOMETHING,))
        case Not():
            return Not(without_empty_lists(expr.child))
        case Condition():
            return expr


def without_not(expr: Expr) -> Expr:
    """FetchXML negates operators only."""
    match expr:
        case And() | Or():
            return type(expr)(tuple(map(without_not, expr.children)))
        case Not():
            return without_not(expr.child)
        case Condition():
            return expr


def with_patterns_of_odata(expr: Expr) -> Expr:
    match expr:
        case And() | Or():
            return type(expr)(tuple(map(with_patterns_of_odata, expr.children)))
        case Not():
            return Not(with_patterns_of_odata(expr.child))
        case Condition():
            operator = _IN_ODATA.get(expr.operator, expr.operator)
            return Condition(expr.column, operator, expr.values)


filters = expressions(TABLE, now=MOMENTS[0]).map(without_empty_lists)


@given(expr=filters)
@settings(max_examples=100, deadline=None)
def test_a_filter_written_as_fetchxml_is_read_as_it_was_meant(expr):
    meant = check(without_not(expr), table=TABLE)

    text = printing.fetchxml(meant, table=TABLE)
    read = check(fetchxml.parse(text, table="account"), table=TABLE)

    assert canonical(read) == canonical(meant)


@given(expr=filters)
@settings(max_examples=100, deadline=None)
def test_a_filter_written_as_odata_is_read_as_it_was_meant(expr):
    meant = check(with_patterns_of_odata(expr), table=TABLE)

    read = check(odata_filter.parse(printing.odata(meant, table=TABLE)), table=TABLE)

    assert canonical(read) == canonical(meant)


@given(expr=filters)
@settings(max_examples=100, deadline=None)
def test_a_stored_tree_is_read_back_and_has_one_canonical_form(expr):
    checked = check(expr, table=TABLE)
    form = canonical(checked)

    assert loads(dumps(checked)) == checked
    assert loads(dumps(form)) == form
    assert canonical(form) == form
    assert check(form, table=TABLE) == form
