"""The operators of filters, by their FetchXML names, and what each of them needs. Pure."""

from __future__ import annotations

from enum import Enum, StrEnum


class Operator(StrEnum):
    """One comparison of a column with values, with a moment or with a user."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    IN = "in"
    NOT_IN = "not-in"
    BETWEEN = "between"
    NOT_BETWEEN = "not-between"
    NULL = "null"
    NOT_NULL = "not-null"

    LIKE = "like"
    NOT_LIKE = "not-like"
    BEGINS_WITH = "begins-with"
    NOT_BEGIN_WITH = "not-begin-with"
    ENDS_WITH = "ends-with"
    NOT_END_WITH = "not-end-with"

    CONTAIN_VALUES = "contain-values"
    NOT_CONTAIN_VALUES = "not-contain-values"

    ON = "on"
    ON_OR_BEFORE = "on-or-before"
    ON_OR_AFTER = "on-or-after"
    YESTERDAY = "yesterday"
    TODAY = "today"
    TOMORROW = "tomorrow"
    LAST_SEVEN_DAYS = "last-seven-days"
    NEXT_SEVEN_DAYS = "next-seven-days"
    LAST_WEEK = "last-week"
    THIS_WEEK = "this-week"
    NEXT_WEEK = "next-week"
    LAST_MONTH = "last-month"
    THIS_MONTH = "this-month"
    NEXT_MONTH = "next-month"
    LAST_YEAR = "last-year"
    THIS_YEAR = "this-year"
    NEXT_YEAR = "next-year"
    LAST_X_HOURS = "last-x-hours"
    LAST_X_DAYS = "last-x-days"
    LAST_X_WEEKS = "last-x-weeks"
    LAST_X_MONTHS = "last-x-months"
    LAST_X_YEARS = "last-x-years"
    NEXT_X_HOURS = "next-x-hours"
    NEXT_X_DAYS = "next-x-days"
    NEXT_X_WEEKS = "next-x-weeks"
    NEXT_X_MONTHS = "next-x-months"
    NEXT_X_YEARS = "next-x-years"
    OLDER_THAN_X_MINUTES = "olderthan-x-minutes"
    OLDER_THAN_X_HOURS = "olderthan-x-hours"
    OLDER_THAN_X_DAYS = "olderthan-x-days"
    OLDER_THAN_X_WEEKS = "olderthan-x-weeks"
    OLDER_THAN_X_MONTHS = "olderthan-x-months"
    OLDER_THAN_X_YEARS = "olderthan-x-years"

    EQ_USER_ID = "eq-userid"
    NE_USER_ID = "ne-userid"
    EQ_USER_TEAMS = "eq-userteams"
    EQ_USER_OR_USER_TEAMS = "eq-useroruserteams"
    EQ_USER_OR_USER_HIERARCHY = "eq-useroruserhierarchy"
    EQ_USER_OR_USER_HIERARCHY_AND_TEAMS = "eq-useroruserhierarchyandteams"
    EQ_BUSINESS_ID = "eq-businessid"
    NE_BUSINESS_ID = "ne-businessid"
    EQ_USER_LANGUAGE = "eq-userlanguage"
    # Of users who come from their tokens; the value is the name of a claim.
    EQ_USER_CLAIM = "eq-userclaim"
    NE_USER_CLAIM = "ne-userclaim"


class Arity(Enum):
    """How many values an operator takes."""

    NONE = "no value"
    ONE = "exactly one value"
    TWO = "exactly two values"
    SOME = "at least one value"
    # A number of hours, days, …
    PERIODS = "exactly one whole number"


class AttributeKind(StrEnum):
    """What of a user a column's value is compared with."""

    USER = "user"
    TEAMS = "teams"
    USER_OR_TEAMS = "user_or_teams"
    HIERARCHY = "hierarchy"
    HIERARCHY_AND_TEAMS = "hierarchy_and_teams"
    UNIT = "unit"
    LANGUAGE = "language"
    CLAIM = "claim"


# Each of these is exactly the negation of another one.
NEGATIONS = {
    Operator.NE: Operator.EQ,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_BETWEEN: Operator.BETWEEN,
    Operator.NOT_NULL: Operator.NULL,
    Operator.NOT_LIKE: Operator.LIKE,
    Operator.NOT_BEGIN_WITH: Operator.BEGINS_WITH,
    Operator.NOT_END_WITH: Operator.ENDS_WITH,
    Operator.NOT_CONTAIN_VALUES: Operator.CONTAIN_VALUES,
    Operator.NE_USER_ID: Operator.EQ_USER_ID,
    Operator.NE_BUSINESS_ID: Operator.EQ_BUSINESS_ID,
    Operator.NE_USER_CLAIM: Operator.EQ_USER_CLAIM,
}

USER_OPERATORS = {
    Operator.EQ_USER_ID: AttributeKind.USER,
    Operator.EQ_USER_TEAMS: AttributeKind.TEAMS,
    Operator.EQ_USER_OR_USER_TEAMS: AttributeKind.USER_OR_TEAMS,
    Operator.EQ_USER_OR_USER_HIERARCHY: AttributeKind.HIERARCHY,
    Operator.EQ_USER_OR_USER_HIERARCHY_AND_TEAMS: AttributeKind.HIERARCHY_AND_TEAMS,
    Operator.EQ_BUSINESS_ID: AttributeKind.UNIT,
    Operator.EQ_USER_LANGUAGE: AttributeKind.LANGUAGE,
    Operator.EQ_USER_CLAIM: AttributeKind.CLAIM,
}
CLAIMS = frozenset({Operator.EQ_USER_CLAIM, Operator.NE_USER_CLAIM})

COMPARISONS = frozenset(
    {
        Operator.EQ,
        Operator.NE,
        Operator.GT,
        Operator.GE,
        Operator.LT,
        Operator.LE,
        Operator.IN,
        Operator.NOT_IN,
        Operator.BETWEEN,
        Operator.NOT_BETWEEN,
    }
)
EQUALITIES = frozenset({Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN})
NULL_TESTS = frozenset({Operator.NULL, Operator.NOT_NULL})
PATTERNS = frozenset(
    {
        Operator.LIKE,
        Operator.NOT_LIKE,
        Operator.BEGINS_WITH,
        Operator.NOT_BEGIN_WITH,
        Operator.ENDS_WITH,
        Operator.NOT_END_WITH,
    }
)
MEMBERSHIPS = frozenset({Operator.CONTAIN_VALUES, Operator.NOT_CONTAIN_VALUES})

# The value is a day.
DAYS = frozenset({Operator.ON, Operator.ON_OR_BEFORE, Operator.ON_OR_AFTER})
# The value is a number of hours, days, …
PERIODS = frozenset(operator for operator in Operator if "-x-" in operator)
# Neither has a meaning where a value has no time of day.
WITHIN_A_DAY = frozenset(
    operator for operator in PERIODS if operator.endswith(("-hours", "-minutes"))
)
WINDOWS = (
    DAYS
    | PERIODS
    | {
        Operator.YESTERDAY,
        Operator.TODAY,
        Operator.TOMORROW,
        Operator.LAST_SEVEN_DAYS,
        Operator.NEXT_SEVEN_DAYS,
        Operator.LAST_WEEK,
        Operator.THIS_WEEK,
        Operator.NEXT_WEEK,
        Operator.LAST_MONTH,
        Operator.THIS_MONTH,
        Operator.NEXT_MONTH,
        Operator.LAST_YEAR,
        Operator.THIS_YEAR,
        Operator.NEXT_YEAR,
    }
)
# Their bounds depend on the moment of the question.
MOVING = WINDOWS - DAYS

_TWO = frozenset({Operator.BETWEEN, Operator.NOT_BETWEEN})
_SOME = frozenset({Operator.IN, Operator.NOT_IN}) | MEMBERSHIPS
_ONE = (COMPARISONS | PATTERNS | DAYS | CLAIMS) - _TWO - _SOME


def arity(operator: Operator) -> Arity:
    """Say how many values the operator takes."""
    for operators, needed in (
        (_ONE, Arity.ONE),
        (_TWO, Arity.TWO),
        (_SOME, Arity.SOME),
        (PERIODS, Arity.PERIODS),
    ):
        if operator in operators:
            return needed
    return Arity.NONE


def is_about_user(operator: Operator) -> bool:
    """Say whether the answer differs between users."""
    return NEGATIONS.get(operator, operator) in USER_OPERATORS
