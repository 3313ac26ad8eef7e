"""Turn `$filter` and `$orderby` into SQL, or try a filter on a plain mapping. Pure.

Text is compared without regard to case, as Dataverse does. A comparison with a
null value is not true, except `eq null` and `ne`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sandbox.contoso.errors import bad_query, no_such_property
from sandbox.contoso.expressions import (
    Call,
    Comparison,
    Expression,
    Literal,
    Logic,
    Not,
    parse,
)
from sandbox.contoso.schema import Column, Table

_SQL = {"eq": "IS", "ne": "IS NOT", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_TEXTS = frozenset({"Edm.String"})
_NUMBERS = frozenset({"Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double"})
_FITTING = {
    "string": _TEXTS,
    "number": _NUMBERS,
    "boolean": frozenset({"Edm.Boolean"}),
    "guid": frozenset({"Edm.Guid"}),
    "moment": frozenset({"Edm.DateTimeOffset"}),
    "date": frozenset({"Edm.Date", "Edm.DateTimeOffset"}),
    "enum": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL that is true for some rows, with its parameters."""

    sql: str
    parameters: tuple[object, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            f"({self.sql}) AND ({other.sql})", self.parameters + other.parameters
        )


EVERYTHING = Condition("1")
NOTHING = Condition("0")


def where(table: Table, text: str | None) -> Condition:
    """Return the condition of a `$filter`; None means every row.

    :raises WebApiError: unreadable, an unknown property or an unfit literal; 400.
    """
    return EVERYTHING if text is None else _condition(table, parse(text))


def order(table: Table, text: str | None) -> str:
    """Return what to put after ORDER BY, ending in a unique place."""
    terms = []
    for term in (text or "").split(","):
        words = term.split()
        if not words:
            continue
        direction = words[1] if len(words) > 1 else "asc"
        if len(words) > 2 or direction not in {"asc", "desc"}:
            raise bad_query(f"Syntax error in '{text}'.")
        column = known_column(table, words[0])
        terms.append(f"{value_of(column)}{_collation(column)} {direction}")
    return ", ".join([*terms, "place"])


def matches(row: Mapping[str, object], expression: Expression) -> bool:
    """Tell whether a mapping, such as a table's definition, fits the expression."""
    match expression:
        case Logic("and", left, right):
            return matches(row, left) and matches(row, right)
        case Logic(_, left, right):
            return matches(row, left) or matches(row, right)
        case Not(inner):
            return not matches(row, inner)
        case Comparison(operator, left, right):
            return _compare(operator, _at(row, left.path), right.value)
        case Call(function, subject, argument):
            return _call(function, str(_at(row, subject.path)), str(argument.value))


def known_column(table: Table, name: str) -> Column:
    column = table.by_wire.get(name)
    if column is None:
        raise no_such_property(name, type_name=table.name)
    return column


def _condition(table: Table, expression: Expression) -> Condition:
    match expression:
        case Logic(operator, left, right):
            first, second = _condition(table, left), _condition(table, right)
            return Condition(
                f"({first.sql} {operator.upper()} {second.sql})",
                first.parameters + second.parameters,
            )
        case Not(inner):
            condition = _condition(table, inner)
            # What is unknown is not true, so its opposite is.
            return Condition(f"NOT ifnull({condition.sql}, 0)", condition.parameters)
        case Comparison():
            return _comparison(table, expression)
        case Call():
            return _text_search(table, expression)


def _comparison(table: Table, expression: Comparison) -> Condition:
    column = known_column(table, expression.left.path)
    literal = expression.right
    operator = expression.operator
    left = value_of(column)
    if literal.value is None:
        return Condition(f"{left} {_SQL[operator]} NULL")
    _insist_on_fit(column, literal)
    value = _parameter(column, literal, operator=operator)
    return Condition(f"{left} {_SQL[operator]} ?{_collation(column)}", (value,))


def _text_search(table: Table, call: Call) -> Condition:
    column = known_column(table, call.subject.path)
    if column.edm != "Edm.String" or call.argument.kind != "string":
        raise bad_query(f"{call.function} searches text for text.")
    text = str(call.argument.value)
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    pattern = {
        "contains": f"%{escaped}%",
        "startswith": f"{escaped}%",
        "endswith": f"%{escaped}",
    }[call.function]
    return Condition(f"{value_of(column)} LIKE ? ESCAPE '!'", (pattern,))


def value_of(column: Column) -> str:
    if column.wire == "versionnumber":
        return "version"
    if column.indexed:
        return f'"{column.wire}"'
    return f"json_extract(body, '$.{column.wire}')"


def _collation(column: Column) -> str:
    return " COLLATE NOCASE" if column.edm == "Edm.String" else ""


def _insist_on_fit(column: Column, literal: Literal) -> None:
    if column.edm not in _FITTING[literal.kind]:
        raise bad_query(
            "A binary operator with incompatible types was detected. Found operand"
            f" types '{column.edm}' and '{literal.kind}' for '{column.wire}'."
        )


def _parameter(column: Column, literal: Literal, *, operator: str) -> object:
    value = literal.value
    if column.edm == "Edm.DateTimeOffset":
        return _moment(str(value), operator=operator)
    if isinstance(value, Decimal):
        return float(value)
    return value.lower() if literal.kind == "guid" and isinstance(value, str) else value


def _moment(text: str, *, operator: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise bad_query(f"'{text}' is not a point in time.") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    # Stored moments are whole seconds, so a fraction only shifts the border.
    if at.microsecond and operator in {"lt", "ge"}:
        at += timedelta(seconds=1)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _at(row: Mapping[str, object], path: str) -> object:
    value: object = row
    for name in path.split("/"):
        if not isinstance(value, Mapping) or name not in value:
            raise no_such_property(name, type_name="EntityMetadata")
        value = value[name]
    return value


def _compare(operator: str, left: object, right: object) -> bool:
    if operator in {"eq", "ne"}:
        return (left == right) is (operator == "eq")
    if left is None or right is None or type(left) is not type(right):
        return False
    ordered = sorted((left, right))  # type: ignore[type-var]  # Same types.
    return {
        "gt": left != right and ordered[0] == right,
        "ge": ordered[0] == right,
        "lt": left != right and ordered[0] == left,
        "le": ordered[0] == left,
    }[operator]


def _call(function: str, subject: str, argument: str) -> bool:
    subject, argument = subject.lower(), argument.lower()
    if function == "contains":
        return argument in subject
    if function == "startswith":
        return subject.startswith(argument)
    return subject.endswith(argument)
