"""The syntax tree of filters: which rows of a table belong to a set. Pure.

Both languages, FetchXML and OData `$filter`, are read into this tree; docs/filters.md
describes it. Its logic has two values:

- A positive condition is false for NULL; `null` alone is true.
- A negative operator (`ne`, `not-in`, `not-like`, `ne-userid`, …) is exactly the
  negation of its positive one, and so is true for NULL.
- `Not` is boolean negation; `And` without children is true, `Or` false.

Text is compared letter by letter in lower case, in the order of Unicode's code
points; numbers as numbers, moments in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from project.errors import RejectedError
from replication.domain import like_patterns
from replication.domain.filter_operators import NEGATIONS, Operator, is_about_user

# Moments, days, GUIDs and fractions are text of one spelling each.
Value: TypeAlias = bool | int | str


class FilterError(RejectedError):
    """A filter that cannot be used; `place` says where in its text, if it has one."""

    code = "filter_refused"

    def __init__(
        self, message: str, *, place: str = "", dynamics_code: str | None = None
    ) -> None:
        super().__init__(f"{message} ({place})" if place else message)
        self.message = message
        self.place = place
        self.dynamics_code = dynamics_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a filter may be; `too_many_code` tells too many conditions."""

    conditions: int = 100
    depth: int = 20
    characters: int = 65_536
    too_many_code: str = "0x80071116"


class And(msgspec.Struct, frozen=True, tag="and", forbid_unknown_fields=True):
    children: tuple[Expr, ...]


class Or(msgspec.Struct, frozen=True, tag="or", forbid_unknown_fields=True):
    children: tuple[Expr, ...]


class Not(msgspec.Struct, frozen=True, tag="not", forbid_unknown_fields=True):
    child: Expr


class Condition(
    msgspec.Struct,
    frozen=True,
    tag="condition",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """`place` is where the filter's text says so; the canonical form has none."""

    column: str
    operator: Operator
    values: tuple[Value, ...] = ()
    place: str = ""


Expr: TypeAlias = And | Or | Not | Condition

TRUE = And(())
FALSE = Or(())


def dumps(expr: Expr) -> str:
    return msgspec.json.encode(expr).decode()


def loads(text: str | bytes) -> Expr:
    """:raises FilterError: the text is no tree."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FilterError(f"This is no filter: {error}.") from error


_DECODER: msgspec.json.Decoder[Expr] = msgspec.json.Decoder(Expr)


def conditions(expr: Expr) -> Iterator[Condition]:
    """Every condition, from left to right."""
    match expr:
        case And() | Or():
            for child in expr.children:
                yield from conditions(child)
        case Not():
            yield from conditions(expr.child)
        case Condition():
            yield expr


def has_user_conditions(expr: Expr) -> bool:
    return any(is_about_user(one.operator) for one in conditions(expr))


def negation(expr: Expr) -> Expr:
    return expr.child if isinstance(expr, Not) else Not(expr)


def canonical(expr: Expr) -> Expr:
    """Return the one spelling of what a checked filter says, without places.

    Only positive operators are left, nested lists are joined and sorted, and what is
    said twice is said once. Two filters with one form select the same rows; the
    reverse need not hold.
    """
    match expr:
        case And():
            return _joined(And, map(canonical, expr.children))
        case Or():
            return _joined(Or, map(canonical, expr.children))
        case Not():
            return _negated(canonical(expr.child))
        case Condition():
            return _canonical_condition(expr)


def _negated(expr: Expr) -> Expr:
    if expr == TRUE:
        return FALSE
    return TRUE if expr == FALSE else negation(expr)


def _joined(kind: type[And] | type[Or], children: Iterable[Expr]) -> Expr:
    neutral, absorbing = (TRUE, FALSE) if kind is And else (FALSE, TRUE)
    flat: set[Expr] = set()
    for child in children:
        # The neutral value is a list of this kind, and empty.
        flat.update(child.children if isinstance(child, kind) else (child,))
    if absorbing in flat:
        return absorbing
    if len(flat) == 1:
        return flat.pop()
    return kind(tuple(sorted(flat, key=dumps))) if flat else neutral


_AS_PATTERN = {
    Operator.LIKE: "{}",
    Operator.BEGINS_WITH: "{}%",
    Operator.ENDS_WITH: "%{}",
}
_SEVEN_DAYS = {
    Operator.LAST_SEVEN_DAYS: Operator.LAST_X_DAYS,
    Operator.NEXT_SEVEN_DAYS: Operator.NEXT_X_DAYS,
}


def _canonical_condition(condition: Condition) -> Expr:
    column, values = condition.column, condition.values
    positive = NEGATIONS.get(condition.operator, condition.operator)
    if positive in _AS_PATTERN:
        pattern = _AS_PATTERN[positive].format(values[0])
        bare = _canonical_pattern(column, pattern)
    elif positive in _SEVEN_DAYS:
        bare = Condition(column, _SEVEN_DAYS[positive], (7,))
    elif positive in (Operator.IN, Operator.CONTAIN_VALUES):
        bare = _canonical_list(column, positive, values)
    else:
        bare = Condition(column, positive, values)
    return bare if positive is condition.operator else Not(bare)


def _canonical_pattern(column: str, pattern: str) -> Condition:
    text = like_patterns.literal(pattern)
    if text is not None:
        return Condition(column, Operator.EQ, (text,))
    return Condition(column, Operator.LIKE, (like_patterns.shortest(pattern),))


def _canonical_list(
    column: str, operator: Operator, values: tuple[Value, ...]
) -> Condition:
    distinct = tuple(sorted(set(values), key=lambda value: (str(type(value)), value)))
    if operator is Operator.IN and len(distinct) == 1:
        return Condition(column, Operator.EQ, distinct)
    return Condition(column, operator, distinct)
