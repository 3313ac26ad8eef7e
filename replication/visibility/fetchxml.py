"""Reads the filter of a FetchXML query into the syntax tree. Pure.

The text comes from outside: document type declarations and entities are refused, and
it is read as a stream, so that limits hold before anything large has been built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from replication.domain.filter_operators import Operator
from replication.domain.filters import (
    TRUE,
    And,
    Condition,
    Expr,
    FilterError,
    Limits,
    Or,
)
from replication.visibility.filter_check import (
    NO_LIMITS_OF_ITS_OWN,
    too_deep,
    too_many_conditions,
)

LINKED_TABLE = "0x80071120"

_SYNONYMS = {
    "neq": Operator.NE,
    "eq-null": Operator.NULL,
    "ne-null": Operator.NOT_NULL,
} | {
    str(operator).replace("olderthan", "older-than"): operator
    for operator in Operator
    if operator.startswith("olderthan")
}
_REFUSED_OPERATORS = {
    **dict.fromkeys(
        ("above", "eq-or-above", "under", "eq-or-under", "not-under"),
        "it follows a hierarchy of rows",
    ),
    "contains": "it needs a full-text index; use like with %",
}

# What says nothing about which rows match.
_IGNORED = {
    "fetch": {
        "version",
        "output-format",
        "mapping",
        "distinct",
        "no-lock",
        "returntotalrecordcount",
        "count",
        "latematerialize",
        "useraworderby",
        "options",
        "savedqueryid",
    },
    "entity": {"enableprefiltering", "prefilterparametername"},
    "filter": {"hint", "overridequickfindrecordlimitenabled"},
    "condition": {"uiname", "uitype", "uihidden"},
    "value": {"uiname", "uitype"},
}
_UNDERSTOOD = {
    "fetch": {"aggregate"},
    "entity": {"name"},
    "filter": {"type", "isquickfindfields"},
    "condition": {"attribute", "operator", "value"},
    "value": set(),
}
_PARENTS = {
    "fetch": {""},
    "entity": {"fetch"},
    "filter": {"", "entity", "filter"},
    "condition": {"filter"},
    "value": {"condition"},
    "attribute": {"entity"},
    "all-attributes": {"entity"},
    "order": {"entity"},
}
_WITHOUT_MEANING = frozenset({"attribute", "all-attributes", "order"})


def parse(
    text: str, *, table: str | None = None, limits: Limits = NO_LIMITS_OF_ITS_OWN
) -> Expr:
    """Return the tree of a `<fetch>` or a bare `<filter>`; no filter selects all rows.

    `filter_check.check` has to look at it next. `table` is what a `<fetch>` must name.

    :raises FilterError: it is no such text, or something in it is not supported.
    """
    if len(text) > limits.characters:
        raise FilterError(f"The filter is longer than {limits.characters} characters.")
    reader = _Reader(table, limits)
    parser = DefusedXMLParser(target=reader, forbid_dtd=True)
    reader.position = lambda: _place(
        parser.parser.CurrentLineNumber, parser.parser.CurrentColumnNumber
    )
    try:
        parser.feed(text)
        parser.close()
    except ParseError as error:
        raise FilterError(
            f"This is no XML: {str(error.msg).split(':')[0]}.",
            place=_place(*error.position),
        ) from error
    except DefusedXmlException as error:
        raise FilterError(
            "Document types and entities are not allowed.", place=reader.position()
        ) from error
    except UnicodeEncodeError as error:
        raise FilterError("This is no XML: it holds a lone surrogate.") from error
    return _all(reader.root.filters)


def _place(line: int, column: int) -> str:
    return f"line {line}, column {column + 1}"


@dataclass(slots=True, kw_only=True)
class _Element:
    """An element that is open, and what its children have come to."""

    tag: str
    attributes: Mapping[str, str]
    place: str
    filters: list[Expr] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    text: str = ""


class _Reader:
    """Receives the parser's events."""

    def __init__(self, table: str | None, limits: Limits) -> None:
        self.root = _Element(tag="", attributes={}, place="")
        self.position: Callable[[], str] = str
        self._table = table
        self._limits = limits
        self._open = [self.root]
        self._conditions = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        element = _Element(tag=tag, attributes=attributes, place=self.position())
        self._check_place(element)
        self._check_attributes(element)
        if tag == "filter":
            self._check_filter(element)
        elif tag == "condition":
            self._conditions += 1
            if self._conditions > self._limits.conditions:
                raise too_many_conditions(self._limits, place=element.place)
        elif tag == "entity":
            self._check_table(element)
        self._open.append(element)

    def data(self, text: str) -> None:
        innermost = self._open[-1]
        if innermost.tag == "value":
            innermost.text += text
        elif text.strip():
            raise FilterError("There is text between elements.", place=self.position())

    def end(self, _tag: str) -> None:
        element = self._open.pop()
        parent = self._open[-1]
        match element.tag:
            case "value":
                parent.values.append(element.text)
            case "condition":
                parent.filters.append(_condition(element))
            case "filter" if element.filters:
                kind = Or if element.attributes.get("type") == "or" else And
                parent.filters.append(kind(tuple(element.filters)))
            case "entity" | "fetch":
                parent.filters += element.filters

    def _check_place(self, element: _Element) -> None:
        if element.tag == "link-entity":
            raise _linked(element.place)
        if self._open[-1].tag not in _PARENTS.get(element.tag, ()):
            raise FilterError(
                f"The element {element.tag} is not expected here.", place=element.place
            )

    def _check_attributes(self, element: _Element) -> None:
        tag, place = element.tag, element.place
        if tag in _WITHOUT_MEANING:
            return
        names = set(element.attributes)
        if "entityname" in names:
            raise _linked(place)
        unknown = names - _IGNORED[tag] - _UNDERSTOOD[tag]
        if unknown:
            raise FilterError(f"{tag} {min(unknown)} is not supported.", place=place)
        for name in ("aggregate", "isquickfindfields"):
            if element.attributes.get(name, "false") not in ("false", "0"):
                raise FilterError(f"{tag} {name} is not supported.", place=place)

    def _check_filter(self, element: _Element) -> None:
        if element.attributes.get("type", "and") not in ("and", "or"):
            raise FilterError(
                'The type of a filter is "and" or "or".', place=element.place
            )
        around = sum(outer.tag == "filter" for outer in self._open)
        if around == self._limits.depth:
            raise too_deep(self._limits, place=element.place)

    def _check_table(self, element: _Element) -> None:
        name = element.attributes.get("name")
        if name is None or self._table not in (None, name):
            raise FilterError(
                f"The query is about {name or 'no table'},"
                f" not about {self._table or 'one'}.",
                place=element.place,
            )


def _condition(element: _Element) -> Condition:
    column = element.attributes.get("attribute")
    if not column:
        raise FilterError("The condition names no attribute.", place=element.place)
    values = element.values
    if "value" in element.attributes:
        values = [element.attributes["value"], *values]
    return Condition(column, _operator(element), tuple(values), element.place)


def _operator(element: _Element) -> Operator:
    name = element.attributes.get("operator", "")
    if name in _SYNONYMS:
        return _SYNONYMS[name]
    try:
        return Operator(name)
    except ValueError as error:
        reason = _REFUSED_OPERATORS.get(name, "it is unknown")
        if "fiscal" in name:
            reason = "the fiscal calendar is not replicated"
        raise FilterError(
            f"The operator {name or '(none)'} is not supported: {reason}.",
            place=element.place,
        ) from error


def _linked(place: str) -> FilterError:
    return FilterError(
        "Linked tables are not allowed in a filter; use a relationship of the profile.",
        place=place,
        dynamics_code=LINKED_TABLE,
    )


def _all(filters: list[Expr]) -> Expr:
    if not filters:
        return TRUE
    return filters[0] if len(filters) == 1 else And(tuple(filters))
