"""Separates what a filter asks of a row from what it asks of the user. Pure.

Nothing is evaluated per user and row: the part about the row decides which rows an
entry of the feed is written for, and the columns that are compared with the user
become key attributes of these entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from replication.domain.filter_operators import (
    NEGATIONS,
    USER_OPERATORS,
    AttributeKind,
)
from replication.domain.filters import (
    FALSE,
    TRUE,
    And,
    Condition,
    Expr,
    FilterError,
    Not,
    Or,
    canonical,
    conditions,
    dumps,
    has_user_conditions,
)

MOST_PARTS = 16
MOST_ATTRIBUTES = 3


@dataclass(frozen=True, slots=True, order=True)
class Attribute:
    """The column's value is one of the user's values of this kind; negated, it is
    none of them, and NULL is none. `claim` is the one that has them, for that kind."""

    column: str
    kind: AttributeKind
    negated: bool = False
    claim: str = ""

    @property
    def opposite(self) -> Attribute:
        return replace(self, negated=not self.negated)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for which `static` holds, if there is any, and every attribute."""

    static: Expr | None
    attributes: tuple[Attribute, ...]


def split(expr: Expr) -> tuple[Part, ...]:
    """Return parts of which a row must meet any; none at all select nothing.

    Whatever mentions no user stays in one piece.

    :raises FilterError: the parts would be too many, or one has too many attributes.
    """
    first = next((c for c in conditions(expr) if _attribute(c, negated=False)), None)
    return _Splitter(first.place if first else "").parts(expr, negated=False)


@dataclass(frozen=True, slots=True)
class _Splitter:
    # Where the first condition about the user stands.
    place: str

    def parts(self, expr: Expr, *, negated: bool) -> tuple[Part, ...]:
        if not has_user_conditions(expr):
            return _merged([Part(Not(expr) if negated else expr, ())])
        match expr:
            case Condition():
                attribute = _attribute(expr, negated=negated)
                return (Part(None, (attribute,)),) if attribute else ()
            case Not():
                return self.parts(expr.child, negated=not negated)
            case And() | Or():
                each = [
                    self.parts(child, negated=negated)
                    for child in _grouped(expr.children, kind=type(expr))
                ]
                if isinstance(expr, Or) is not negated:
                    return self._any(each)
                return self._all(each)

    def _any(self, alternatives: Iterable[Sequence[Part]]) -> tuple[Part, ...]:
        return self._affordable(part for parts in alternatives for part in parts)

    def _all(self, factors: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
        product: tuple[Part, ...] = (Part(None, ()),)
        for factor in factors:
            product = self._affordable(
                _both(one, other) for one in product for other in factor
            )
        return product

    def _affordable(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        merged = _merged(parts)
        most = max((len(part.attributes) for part in merged), default=0)
        if len(merged) > MOST_PARTS or most > MOST_ATTRIBUTES:
            raise FilterError(
                "The conditions about the user are combined in too many ways"
                f" ({len(merged)} alternatives, {most} columns in one of them):"
                " the filter cannot be kept current at a reasonable cost.",
                place=self.place,
            )
        return merged


def _attribute(condition: Condition, *, negated: bool) -> Attribute | None:
    positive = NEGATIONS.get(condition.operator, condition.operator)
    kind = USER_OPERATORS.get(positive)
    if kind is None:
        return None
    is_negative = positive is not condition.operator
    claim = str(condition.values[0]) if kind is AttributeKind.CLAIM else ""
    return Attribute(condition.column, kind, is_negative is not negated, claim)


def _grouped(children: Sequence[Expr], *, kind: type[And] | type[Or]) -> list[Expr]:
    """Keep together what mentions no user."""
    about_users = [child for child in children if has_user_conditions(child)]
    others = tuple(child for child in children if not has_user_conditions(child))
    return [*about_users, kind(others)] if others else about_users


def _both(one: Part, other: Part) -> Part:
    statics = [part.static for part in (one, other) if part.static is not None]
    attributes = {*one.attributes, *other.attributes}
    return Part(And(tuple(statics)) if statics else None, tuple(sorted(attributes)))


def _merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Join parts with equal attributes, and leave out what adds no row."""
    statics: dict[tuple[Attribute, ...], list[Expr]] = {}
    for part in parts:
        if not any(one.opposite in part.attributes for one in part.attributes):
            static = TRUE if part.static is None else part.static
            statics.setdefault(part.attributes, []).append(static)
    joined = {
        attributes: canonical(Or(tuple(each))) for attributes, each in statics.items()
    }
    return tuple(
        Part(None if static == TRUE else static, attributes)
        for attributes, static in sorted(
            joined.items(), key=lambda item: (item[0], dumps(item[1]))
        )
        if static != FALSE and not _is_covered(attributes, static, joined)
    )


def _is_covered(
    attributes: tuple[Attribute, ...],
    static: Expr,
    joined: dict[tuple[Attribute, ...], Expr],
) -> bool:
    """Another part asks less: fewer attributes, and no or the same condition."""
    return any(
        other != attributes and set(other) <= set(attributes) and wide in (TRUE, static)
        for other, wide in joined.items()
    )
