"""Reads `$filter` and `$orderby` of the plain service into functions of a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.plain.tables import EntitySet

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<mark>[(),])"
    r"|(?P<word>[^\s(),']+(?:'(?:[^']|'')*')?))"
)
_MOMENT = re.compile(r"(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.I)
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
}


class InvalidOptionError(Exception):
    """A query option that the service does not understand."""


def condition(text: str, entity_set: EntitySet) -> Test:
    """:raises InvalidOptionError: the text is no condition of this service."""
    reader = _Reader(text, entity_set)
    test = reader.either()
    reader.end()
    return test


def order(text: str, entity_set: EntitySet) -> Callable[[Row], Any]:
    """Return a sort key; nulls are lowest, as OData says."""
    terms = [term.split() for term in text.split(",") if term.strip()]
    if any(len(term) > 2 for term in terms):
        raise InvalidOptionError("orderby")

    def place(row: Row) -> list[_Place]:
        return [
            _Place(comparable(entity_set, name, row.get(name)), falls=rest == ["desc"])
            for name, *rest in terms
        ]

    return place


def comparable(entity_set: EntitySet, name: str, value: Any) -> Any:
    """Return what compares as the column's values do."""
    kind = entity_set.types.get(name)
    if value is None or kind is None:
        return value
    if kind == "decimal":
        return Decimal(value)
    return moment(value) if kind == "datetime" else str(value).lower()


def moment(text: str) -> tuple[datetime, str]:
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        raise InvalidOptionError("datetime")
    try:
        whole = datetime.fromisoformat(parts[1] + parts[3]).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidOptionError("datetime") from error
    return whole, (parts[2] or "").rstrip("0")


class _Place:
    """A value that sorts before or after others."""

    def __init__(self, value: Any, *, falls: bool) -> None:
        self._value = value
        self._falls = falls

    def __lt__(self, other: _Place) -> bool:
        one, two = (other, self) if self._falls else (self, other)
        if one._value is None or two._value is None:
            return one._value is None and two._value is not None
        return bool(one._value < two._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and bool(self._value == other._value)

    __hash__ = None  # type: ignore[assignment]  # never a key of anything


class _Reader:
    def __init__(self, text: str, entity_set: EntitySet) -> None:
        self._tokens = list(_tokens(text))
        self._set = entity_set

    def either(self) -> Test:
        tests = [self._both()]
        while self._take_if("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda row: any(t(row) for t in tests)

    def end(self) -> None:
        if self._tokens:
            raise InvalidOptionError(self._tokens[0])

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take_if("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(t(row) for t in tests)

    def _one(self) -> Test:
        if self._take_if("("):
            test = self.either()
            if not self._take_if(")"):
                raise InvalidOptionError("parenthesis")
            return test
        name, operator, literal = self._take(), self._take(), self._take()
        if operator not in _COMPARED:
            raise InvalidOptionError(operator)
        return self._comparison(name, operator, literal)

    def _comparison(self, name: str, operator: str, literal: str) -> Test:
        if literal == "null":
            is_null = operator == "eq"
            return lambda row: (row.get(name) is None) == is_null
        kind = self._set.types.get(name)
        if kind == "guid" and operator not in {"eq", "ne"}:
            raise InvalidOptionError("No guid is greater than another.")
        wanted = comparable(self._set, name, _value(literal))
        compare = _COMPARED[operator]

        def test(row: Row) -> bool:
            value = comparable(self._set, name, row.get(name))
            return value is not None and compare(value, wanted)

        return test

    def _take(self) -> str:
        if not self._tokens:
            raise InvalidOptionError("end")
        return self._tokens.pop(0)

    def _take_if(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InvalidOptionError(text[at:])
        yield found[0].strip() if found["text"] is None else found["text"]
        at = found.end()


def _value(literal: str) -> Any:
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    if literal in {"true", "false"}:
        return literal == "true"
    if re.fullmatch(r"-?\d+", literal):
        return int(literal)
    return literal
