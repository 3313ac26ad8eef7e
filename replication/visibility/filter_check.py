"""Checks a filter against the table that it is for: columns, operators, literals. Pure.

What comes out names columns as staging does and holds each value in one spelling.
"""

from __future__ import annotations

from functools import partial

from replication.domain import token_users, windows
from replication.domain.filter_operators import (
    CLAIMS,
    COMPARISONS,
    DAYS,
    EQUALITIES,
    MEMBERSHIPS,
    NULL_TESTS,
    PATTERNS,
    PERIODS,
    USER_OPERATORS,
    WINDOWS,
    WITHIN_A_DAY,
    Arity,
    Operator,
    arity,
)
from replication.domain.filters import (
    And,
    Condition,
    Expr,
    FilterError,
    Limits,
    Not,
    Or,
    Value,
    conditions,
)
from replication.domain.profiles import People
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.visibility import filter_literals
from replication.visibility.filter_literals import LiteralError

NO_LIMITS_OF_ITS_OWN = Limits()
# Dataverse's name for a number of days that makes no sense.
ZERO_DAYS = "0x80060990"

_OF_LANGUAGE = frozenset({Operator.EQ_USER_LANGUAGE})
_OF_USERS = (
    (frozenset(USER_OPERATORS) | {Operator.NE_USER_ID, Operator.NE_BUSINESS_ID})
    - _OF_LANGUAGE
    - CLAIMS
)
# Claims are text; these types have one spelling that they can be compared with.
_COMPARED_WITH_CLAIMS = frozenset(
    {
        ColumnType.GUID,
        ColumnType.STRING,
        ColumnType.INT,
        ColumnType.BIGINT,
        ColumnType.BOOL,
    }
)

_ALLOWED = {
    ColumnType.GUID: EQUALITIES | _OF_USERS,
    ColumnType.STRING: (COMPARISONS - {Operator.BETWEEN, Operator.NOT_BETWEEN})
    | PATTERNS,
    ColumnType.INT: COMPARISONS | _OF_LANGUAGE,
    ColumnType.BIGINT: COMPARISONS | _OF_LANGUAGE,
    ColumnType.DECIMAL: COMPARISONS,
    ColumnType.DOUBLE: COMPARISONS,
    ColumnType.BOOL: EQUALITIES,
    ColumnType.DATETIME: COMPARISONS | WINDOWS,
    ColumnType.DATE: (COMPARISONS | WINDOWS) - WITHIN_A_DAY,
    ColumnType.CHOICES: MEMBERSHIPS,
}


def operators_of(kind: ColumnType, *, people: People = "source") -> frozenset[Operator]:
    """The operators that fit a column of this type, where users come from there."""
    found = _ALLOWED.get(kind, frozenset()) | NULL_TESTS
    if people == "source":
        return found
    found -= _OF_USERS | _OF_LANGUAGE
    return found | CLAIMS if kind in _COMPARED_WITH_CLAIMS else found


def check(
    expr: Expr,
    *,
    table: TableDef,
    limits: Limits = NO_LIMITS_OF_ITS_OWN,
    people: People = "source",
) -> Expr:
    """Return the filter with the staging names of columns and with typed values.

    :raises FilterError: it does not fit the table or its users, or is too large.
    """
    for number, condition in enumerate(conditions(expr), start=1):
        if number > limits.conditions:
            raise too_many_conditions(limits, place=condition.place)
        _insist_on_people(condition, people)
    return _checked(expr, table, limits, people, depth=0)


def too_many_conditions(limits: Limits, *, place: str) -> FilterError:
    return FilterError(
        f"The filter has more than {limits.conditions} conditions.",
        place=place,
        dynamics_code=limits.too_many_code,
    )


def too_deep(limits: Limits, *, place: str) -> FilterError:
    return FilterError(
        f"The filter is nested more than {limits.depth} levels deep.", place=place
    )


def _insist_on_people(condition: Condition, people: People) -> None:
    operator = condition.operator
    if people == "source" and operator in CLAIMS:
        raise FilterError(
            "Users of this organization are rows of its source, not known by claims of"
            " their tokens; use eq-userid and its kin.",
            place=condition.place,
        )
    if people == "tokens" and operator in _OF_USERS | _OF_LANGUAGE:
        raise FilterError(
            f"The operator {operator} needs users of Dataverse; here users are known by"
            " their tokens: compare with @user.claim, or by eq-userclaim.",
            place=condition.place,
        )
    quoted = [v for v in condition.values if str(v).startswith("@user.")]
    if people == "tokens" and quoted:
        raise FilterError(
            f"{_shown(quoted[0])} would be compared as text; write it without quotes,"
            " or in FetchXML the operator eq-userclaim with the claim's name.",
            place=condition.place,
        )


def _checked(
    expr: Expr, table: TableDef, limits: Limits, people: People, *, depth: int
) -> Expr:
    if isinstance(expr, Condition):
        return _checked_condition(expr, table, people)
    if depth == limits.depth:
        first = next(conditions(expr), None)
        raise too_deep(limits, place=first.place if first else "")
    inner = partial(
        _checked, table=table, limits=limits, people=people, depth=depth + 1
    )
    match expr:
        case And():
            return And(tuple(map(inner, expr.children)))
        case Or():
            return Or(tuple(map(inner, expr.children)))
        case Not():
            return Not(inner(expr.child))


def _checked_condition(
    condition: Condition, table: TableDef, people: People
) -> Condition:
    column = _column(condition, table)
    if condition.operator not in operators_of(column.type, people=people):
        raise FilterError(
            f"The operator {condition.operator} does not fit the column"
            f" {column.name} of type {column.type}.",
            place=condition.place,
        )
    _check_count(condition)
    return Condition(
        column.name,
        condition.operator,
        tuple(_value(condition, column, value) for value in condition.values),
        condition.place,
    )


def _column(condition: Condition, table: TableDef) -> ColumnDef:
    by_name = {column.name: column for column in table.columns}
    by_source_name = {
        column.source_name: column
        for column in table.columns
        if not column.from_annotation
    }
    column = by_name.get(condition.column) or by_source_name.get(condition.column)
    if column is None:
        raise FilterError(
            f"The table {table.name} has no column {condition.column}.",
            place=condition.place,
        )
    return column


def _check_count(condition: Condition) -> None:
    needed, count = arity(condition.operator), len(condition.values)
    fits = {
        Arity.NONE: count == 0,
        Arity.ONE: count == 1,
        Arity.PERIODS: count == 1,
        Arity.TWO: count == 2,
        Arity.SOME: count > 0,
    }
    if not fits[needed]:
        raise FilterError(
            f"The operator {condition.operator} takes {needed.value}.",
            place=condition.place,
        )


def _value(condition: Condition, column: ColumnDef, value: Value) -> Value:
    operator = condition.operator
    try:
        if operator in CLAIMS:
            return _claim(value)
        if operator in PATTERNS:
            return filter_literals.pattern(value)
        if operator in DAYS:
            return filter_literals.day(value)
        if operator in PERIODS:
            most = windows.most_periods(operator)
            return filter_literals.count(value, most=most)
        return filter_literals.literal(column.type, value)
    except LiteralError as error:
        is_zero = operator in PERIODS and str(value).strip() == "0"
        raise FilterError(
            f"{_shown(value)} does not fit {column.name} {operator}: {error}.",
            place=condition.place,
            dynamics_code=ZERO_DAYS if is_zero else None,
        ) from error


def _claim(value: Value) -> str:
    fault = token_users.fault_of_name(str(value))
    if fault:
        raise LiteralError(fault)
    return str(value)


def _shown(value: Value) -> str:
    longest = 40
    text = ascii(value)
    return text if len(text) <= longest else f"{text[:longest]}…"
