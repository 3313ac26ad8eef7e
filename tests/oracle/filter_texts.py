"""Filters of the world's tables as their authors write them, with what they mean."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

from hypothesis import strategies as st

from replication.domain.filter_operators import Operator
from replication.domain.filter_parts import split
from replication.domain.filters import (
    And,
    Condition,
    Expr,
    FilterError,
    Not,
    Or,
    canonical,
    conditions,
    dumps,
    loads,
)
from replication.domain.profiles import FilterText
from replication.domain.tables import ColumnType, TableDef
from replication.visibility.filter_check import check
from tests.oracle import filter_grammar, world
from tests.oracle.filters import Tree
from tests.replication.filters import printing

_LEAVES = 4
# More conditions than these no organization filter has.
_MOST_OF_SERVED = 3
_MOST_CONDITIONS = 8
# What each text that was ever written means.
_MEANINGS: dict[FilterText, Tree] = {}

# OData has no function for patterns with wildcards in the middle alone.
_IN_ODATA = {
    Operator.LIKE: Operator.BEGINS_WITH,
    Operator.NOT_LIKE: Operator.NOT_BEGIN_WITH,
}
_ABOUT_OWNERS = (
    "eq-userid",
    "ne-userid",
    "eq-useroruserteams",
    "eq-userteams",
    "eq-useroruserhierarchy",
    "eq-useroruserhierarchyandteams",
)
_ABOUT_UNITS = ("eq-businessid", "ne-businessid")
# Windows at whose ends the world's rows lie when a life begins, and soon afterwards.
_WINDOWS: tuple[tuple[str, *tuple[int, ...]], ...] = (
    *(("today",), ("tomorrow",), ("last-seven-days",), ("next-seven-days",)),
    *(("this-week",), ("this-month",), ("next-month",), ("last-x-days", 1)),
    *(("last-x-days", 30), ("next-x-days", 2), ("next-x-hours", 3)),
    *(("olderthan-x-days", 7), ("olderthan-x-hours", 1), ("last-x-months", 1)),
)


def meaning(text: FilterText) -> Tree:
    return _MEANINGS[text]


@functools.cache
def texts(name: str, *, about_users: bool = True) -> st.SearchStrategy[FilterText]:
    """Filters of one table that can be published."""
    table, known = world.BY_NAME[name], _known(name)
    drawn = filter_grammar.expressions(
        known, now=world.BEGINNING, about_users=about_users, leaves=_LEAVES
    ).map(lambda expr: _without_empty_lists(expr, table))
    likely = _likely(known) if about_users else _about_rows(known)
    if not about_users:
        drawn = drawn.filter(lambda expr: len([*conditions(expr)]) <= _MOST_OF_SERVED)
    return (
        st.one_of(likely, drawn)
        .filter(_is_affordable)
        .map(lambda expr: written(expr, table))
    )


@functools.cache
def conditions_of(name: str) -> st.SearchStrategy[Expr]:
    """Single conditions about rows of one table, to be added to its filters."""
    return _about_rows(_known(name))


def _known(name: str) -> TableDef:
    """Versions grow in every run; nobody filters by them."""
    table = world.BY_NAME[name]
    columns = tuple(c for c in table.columns if c.name != "versionnumber")
    return replace(table, columns=columns)


def joined(
    text: FilterText, added: Expr, table: TableDef, *, kind: type[And] | type[Or]
) -> FilterText | None:
    """The filter with one more condition; None when it has become too long for that."""
    joint = kind((loads(json.dumps(meaning(text))), added))
    if len([*conditions(joint)]) > _MOST_CONDITIONS or not _is_affordable(joint):
        return None
    return written(joint, table)


def written(expr: Expr, table: TableDef) -> FilterText:
    """In FetchXML, or in OData where something is negated as a whole."""
    if _is_negated(expr):
        meant = check(_with_patterns_of_odata(expr), table=table)
        text = FilterText(language="odata", text=printing.odata(meant, table=table))
    else:
        meant = check(expr, table=table)
        fetch = printing.fetchxml(meant, table=table)
        text = FilterText(language="fetchxml", text=fetch)
    _MEANINGS[text] = json.loads(dumps(meant))
    return text


def _about_rows(table: TableDef) -> st.SearchStrategy[Expr]:
    drawn = filter_grammar.conditions(table, now=world.BEGINNING, about_users=False)
    return drawn.map(lambda one: And((one,)))


def _likely(table: TableDef) -> st.SearchStrategy[Expr]:
    """What administrators write: something about the user, and something else."""
    operators = {
        "ownerid": _ABOUT_OWNERS,
        # It may be empty, and then it is not the user either.
        "inspectorid": (*_ABOUT_OWNERS, "ne-userid", "ne-userid"),
        "owningbusinessunit": _ABOUT_UNITS,
        "businessunitid": _ABOUT_UNITS,
        "employees": ("eq-userlanguage",),
    }
    about_users = [
        Condition(column.name, Operator(operator))
        for column in table.columns
        for operator in operators.get(column.name, ())
    ]
    others = _about_rows(table)
    windows = [
        And((Condition(column.name, Operator(operator), tuple(counts)),))
        for column in table.columns
        if column.type is ColumnType.DATETIME
        for operator, *counts in _WINDOWS
    ]
    if windows:
        others = st.one_of(others, st.sampled_from(windows))
    if not about_users:
        return others
    first = st.sampled_from(about_users)
    return st.one_of(
        first.map(lambda one: And((one,))),
        st.tuples(first, others).map(And),
        st.tuples(first, others).map(Or),
        others,
    )


def _is_affordable(expr: Expr) -> bool:
    try:
        split(canonical(expr))
    except FilterError:
        return False
    return True


def _without_empty_lists(expr: Expr, table: TableDef) -> Expr:
    """Neither language can write them."""
    match expr:
        case And() | Or():
            children = tuple(_without_empty_lists(c, table) for c in expr.children)
            return type(expr)(children or (Condition(table.key[0], Operator.NOT_NULL),))
        case Not():
            return Not(_without_empty_lists(expr.child, table))
        case Condition():
            return expr


def _is_negated(expr: Expr) -> bool:
    match expr:
        case And() | Or():
            return any(map(_is_negated, expr.children))
        case Not():
            return True
        case Condition():
            return False


def _with_patterns_of_odata(expr: Expr) -> Expr:
    match expr:
        case And() | Or():
            return type(expr)(tuple(map(_with_patterns_of_odata, expr.children)))
        case Not():
            return Not(_with_patterns_of_odata(expr.child))
        case Condition():
            operator = _IN_ODATA.get(expr.operator, expr.operator)
            return Condition(expr.column, operator, expr.values)
