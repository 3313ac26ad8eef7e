"""Reads an OData `$filter` into the syntax tree. Pure.

Recursive descent over OData v4's grammar as far as Dataverse has it; every level of
parentheses and of `not` counts against the limit of nesting.
"""

from __future__ import annotations

from typing import NoReturn

from replication.domain.filter_operators import Operator
from replication.domain.filters import (
    TRUE,
    And,
    Condition,
    Expr,
    FilterError,
    Limits,
    Not,
    Or,
    Value,
)
from replication.visibility.fetchxml import LINKED_TABLE
from replication.visibility.filter_check import (
    NO_LIMITS_OF_ITS_OWN,
    too_deep,
    too_many_conditions,
)
from replication.visibility.odata_functions import (
    COMPARISONS,
    FUNCTIONS,
    NAMESPACE,
    TEXT_FUNCTIONS,
)
from replication.visibility.odata_tokens import Kind, Token, tokens

_KEYWORDS = frozenset({"and", "or", "not", "null", "true", "false", "in", *COMPARISONS})
_OF_CLAIMS = {
    Operator.EQ: Operator.EQ_USER_CLAIM,
    Operator.NE: Operator.NE_USER_CLAIM,
}
_LITERALS = frozenset({Kind.STRING, Kind.NUMBER, Kind.PLAIN})


def parse(text: str, *, limits: Limits = NO_LIMITS_OF_ITS_OWN) -> Expr:
    """Return the tree of a filter; an empty text selects all rows.

    `filter_check.check` has to look at it next.

    :raises FilterError: it is no such text, or something in it is not supported.
    """
    if len(text) > limits.characters:
        raise FilterError(f"The filter is longer than {limits.characters} characters.")
    return _Parser(text, limits).filter()


class _Parser:
    def __init__(self, text: str, limits: Limits) -> None:
        self._tokens = tokens(text)
        self._limits = limits
        self._depth = 0
        self._conditions = 0
        self._next = next(self._tokens)

    def filter(self) -> Expr:
        if self._is_at_end():
            return TRUE
        expr = self._any()
        if not self._is_at_end():
            self._refuse("and, or, or the end")
        return expr

    # The grammar, from the loosest binding to the tightest

    def _any(self) -> Expr:
        children = [self._all()]
        while self._skips("or"):
            children.append(self._all())
        return children[0] if len(children) == 1 else Or(tuple(children))

    def _all(self) -> Expr:
        children = [self._one()]
        while self._skips("and"):
            children.append(self._one())
        return children[0] if len(children) == 1 else And(tuple(children))

    def _one(self) -> Expr:
        token = self._next
        if self._skips_sign("("):
            self._enter(token)
            inner = self._any()
            self._expect_sign(")")
            self._depth -= 1
            return inner
        if self._skips("not"):
            self._enter(token)
            inner = self._negatable()
            self._depth -= 1
            return Not(inner)
        return self._condition()

    def _negatable(self) -> Expr:
        """What `not` may stand before: in OData it binds tighter than `eq`."""
        begin = self._next
        inner = self._one()
        is_call = isinstance(inner, Condition) and inner.place == begin.place
        if is_call and begin.text not in TEXT_FUNCTIONS and "." not in begin.text:
            raise FilterError(
                "After not, parentheses or a function are expected.", place=begin.place
            )
        return inner

    def _condition(self) -> Condition:
        token = self._take_name("a column or a function")
        self._conditions += 1
        if self._conditions > self._limits.conditions:
            raise too_many_conditions(self._limits, place=token.place)
        if self._skips_sign("("):
            condition = self._call(token)
            self._expect_sign(")")
            return condition
        self._check_column(token)
        return self._comparison(token)

    def _comparison(self, column: Token) -> Condition:
        word = self._take_name("an operator")
        if word.text == "in":
            return Condition(
                column.text, Operator.IN, self._list("(", ")"), column.place
            )
        operator = COMPARISONS.get(word.text)
        if operator is None:
            raise FilterError(
                f"The operator {word.text} is not supported.", place=word.place
            )
        if self._next.kind is Kind.NAME and self._next.text == "null":
            return self._null_test(column, operator)
        if self._next.kind is Kind.SIGN and self._next.text == "@":
            return self._of_user(column, operator)
        return Condition(column.text, operator, (self._value(),), column.place)

    def _null_test(self, column: Token, operator: Operator) -> Condition:
        tests = {Operator.EQ: Operator.NULL, Operator.NE: Operator.NOT_NULL}
        if operator not in tests:
            self._refuse("a value other than null")
        self._advance()
        return Condition(column.text, tests[operator], (), column.place)

    def _of_user(self, column: Token, operator: Operator) -> Condition:
        """A comparison with a claim of the user's token: `@user.region`."""
        sign = self._advance()
        alias = self._next
        user, _, claim = alias.text.partition(".")
        if alias.kind is not Kind.NAME or (user, alias.offset) != (
            "user",
            sign.offset + 1,
        ):
            raise FilterError(
                "a value is expected, not '@'; of the user's claims, @user.name.",
                place=sign.place,
            )
        if not claim or "." in claim:
            raise FilterError(
                "After @user. stands the name of one claim, without dots.",
                place=sign.place,
            )
        if operator not in _OF_CLAIMS:
            raise FilterError(
                "Claims of the user are compared by eq and ne only.", place=column.place
            )
        self._advance()
        return Condition(column.text, _OF_CLAIMS[operator], (claim,), column.place)

    # Functions

    def _call(self, function: Token) -> Condition:
        name = function.text.removeprefix(NAMESPACE)
        if function.text in TEXT_FUNCTIONS:
            return self._text_call(function)
        if name == function.text or name not in FUNCTIONS:
            reason = "the fiscal calendar is not replicated" if "Fiscal" in name else ""
            raise FilterError(
                f"The function {function.text} is not supported"
                f"{': ' if reason else ''}{reason}.",
                place=function.place,
            )
        column = self._property_name()
        values: tuple[Value, ...] = ()
        while self._skips_sign(","):
            values += self._property_values()
        return Condition(column.text, FUNCTIONS[name], values, function.place)

    def _text_call(self, function: Token) -> Condition:
        operator, pattern = TEXT_FUNCTIONS[function.text]
        column = self._take_name("a column")
        self._check_column(column)
        self._expect_sign(",")
        if self._next.kind is not Kind.STRING:
            self._refuse("a string")
        text = self._advance().text
        return Condition(column.text, operator, (pattern.format(text),), function.place)

    def _property_name(self) -> Token:
        if not self._skips("PropertyName"):
            self._refuse("PropertyName")
        self._expect_sign("=")
        if self._next.kind is not Kind.STRING:
            self._refuse("the name of a column as a string")
        column = self._advance()
        if "/" in column.text:
            raise _linked(column)
        return column

    def _property_values(self) -> tuple[Value, ...]:
        if self._skips("PropertyValue"):
            self._expect_sign("=")
            return (self._value(),)
        if not self._skips("PropertyValues"):
            self._refuse("PropertyValue or PropertyValues")
        self._expect_sign("=")
        return self._list("[", "]")

    # Literals

    def _list(self, begin: str, end: str) -> tuple[Value, ...]:
        self._expect_sign(begin)
        values = [self._value()]
        while self._skips_sign(","):
            values.append(self._value())
        self._expect_sign(end)
        return tuple(values)

    def _value(self) -> Value:
        token = self._next
        if token.kind is Kind.NAME and token.text in ("true", "false"):
            return self._advance().text == "true"
        if token.kind not in _LITERALS:
            self._refuse("a value")
        self._advance()
        # Fractions stay text: a float would not hold all their digits.
        is_whole = token.kind is Kind.NUMBER and token.text.lstrip("+-").isdigit()
        return int(token.text) if is_whole and len(token.text) <= 40 else token.text

    # Tokens

    def _is_at_end(self) -> bool:
        return self._next.kind is Kind.END

    def _advance(self) -> Token:
        token, self._next = self._next, next(self._tokens, self._next)
        return token

    def _skips(self, word: str) -> bool:
        return self._skips_token(Kind.NAME, word)

    def _skips_sign(self, sign: str) -> bool:
        return self._skips_token(Kind.SIGN, sign)

    def _skips_token(self, kind: Kind, text: str) -> bool:
        if self._next.kind is not kind or self._next.text != text:
            return False
        self._advance()
        return True

    def _expect_sign(self, sign: str) -> None:
        if not self._skips_sign(sign):
            self._refuse(sign)

    def _take_name(self, expected: str) -> Token:
        is_keyword = expected != "an operator" and self._next.text in _KEYWORDS
        if self._next.kind is not Kind.NAME or is_keyword:
            self._refuse(expected)
        return self._advance()

    def _check_column(self, column: Token) -> None:
        if self._next.kind is Kind.SIGN and self._next.text == "/":
            raise _linked(column)

    def _enter(self, token: Token) -> None:
        if self._depth == self._limits.depth:
            raise too_deep(self._limits, place=token.place)
        self._depth += 1

    def _refuse(self, expected: str) -> NoReturn:
        found = self._next
        what = ascii(found.text) if found.kind is not Kind.END else "the end"
        raise FilterError(f"{expected} is expected, not {what}.", place=found.place)


def _linked(token: Token) -> FilterError:
    return FilterError(
        "Linked tables are not allowed in a filter; use a relationship of the profile.",
        place=token.place,
        dynamics_code=LINKED_TABLE,
    )
