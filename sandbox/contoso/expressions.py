"""Read `$filter` expressions into a tree. Pure.

Comparison (eq ne gt ge lt le), and/or/not, parentheses, null, string, number,
boolean, guid and datetime literals, enum literals, and the functions contains,
startswith and endswith.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from sandbox.contoso.errors import bad_query

COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
FUNCTIONS = frozenset({"contains", "startswith", "endswith"})
_DEEPEST = 50

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<enum>[A-Za-z_][\w.]*'[^']*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
    | (?P<guid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_@][\w.]*(?:/[A-Za-z_][\w.]*)*)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Property:
    """A property, or a path to one (`CanChangeTrackingBeEnabled/Value`)."""

    path: str


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | Decimal | bool | None
    # null, string, number, boolean, guid, moment, date or enum
    kind: str


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Property
    right: Literal


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    subject: Property
    argument: Literal


@dataclass(frozen=True, slots=True)
class Not:
    inner: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    operator: str
    left: Expression
    right: Expression


Expression = Comparison | Call | Not | Logic


def parse(text: str) -> Expression:
    """:raises WebApiError: the expression cannot be read; 400."""
    return _Parser(text).whole()


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise bad_query(f"Syntax error at position {place} in '{text}'.")
        found.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
        place = match.end()
    return found


class _Parser:
    """Recursive descent: or, and, not, then a comparison or parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._either()
        if self._place < len(self._tokens):
            raise self._error()
        return expression

    def _either(self) -> Expression:
        left = self._both()
        while self._take("word", "or"):
            left = Logic("or", left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._one()
        while self._take("word", "and"):
            left = Logic("and", left, self._one())
        return left

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise bad_query("The filter is nested too deeply.")
        try:
            if self._take("word", "not"):
                return Not(self._one())
            if self._take("mark", "("):
                inner = self._either()
                self._expect(")")
                return inner
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Expression:
        kind, word = self._next()
        if kind != "word":
            raise self._error()
        if word in FUNCTIONS:
            return self._call(word)
        operator = self._next()[1]
        if operator not in COMPARISONS:
            raise self._error()
        return Comparison(operator, Property(word), self._literal())

    def _call(self, function: str) -> Call:
        self._expect("(")
        kind, word = self._next()
        if kind != "word":
            raise self._error()
        self._expect(",")
        argument = self._literal()
        self._expect(")")
        return Call(function, Property(word), argument)

    def _literal(self) -> Literal:
        kind, text = self._next()
        if kind == "string":
            return Literal(text[1:-1].replace("''", "'"), "string")
        if kind == "number":
            return Literal(Decimal(text) if "." in text else _number(text), "number")
        if kind == "enum":
            return Literal(text.partition("'")[2][:-1], "enum")
        if kind in {"guid", "moment", "date"}:
            return Literal(text, kind)
        return self._word_literal(kind, text)

    def _word_literal(self, kind: str, text: str) -> Literal:
        known = {"null": None, "true": True, "false": False}
        if kind != "word" or text not in known:
            raise self._error()
        return Literal(known[text], "null" if text == "null" else "boolean")

    def _next(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise self._error()
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, kind: str, text: str) -> bool:
        found = self._tokens[self._place : self._place + 1] == [(kind, text)]
        self._place += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._take("mark", mark):
            raise self._error()

    def _error(self) -> Exception:
        return bad_query(f"Syntax error in '{self._text}'.")


def _number(text: str) -> int | Decimal:
    return Decimal(text) if "e" in text.lower() else int(text)
