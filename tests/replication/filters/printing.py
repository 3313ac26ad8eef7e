"""Writes checked filters in either language, to be read again."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from replication.domain.filter_operators import Operator
from replication.domain.filters import And, Condition, Expr, Not, Or, Value
from replication.domain.tables import ColumnType, TableDef
from replication.visibility.odata_functions import (
    COMPARISONS,
    FUNCTIONS,
    NAMESPACE,
    TEXT_FUNCTIONS,
)

_UNQUOTED = frozenset(ColumnType) - {ColumnType.STRING, ColumnType.DOUBLE}


def fetchxml(expr: Expr, *, table: TableDef) -> str:
    return f'<fetch><entity name="{table.name}">{_filter(expr)}</entity></fetch>'


def _filter(expr: Expr) -> str:
    match expr:
        case And():
            return f"<filter>{''.join(map(_filter_child, expr.children))}</filter>"
        case Or():
            inner = "".join(map(_filter_child, expr.children))
            return f'<filter type="or">{inner}</filter>'
        case _:
            return f"<filter>{_filter_child(expr)}</filter>"


def _filter_child(expr: Expr) -> str:
    if not isinstance(expr, Condition):
        return _filter(expr)
    head = f'<condition attribute="{expr.column}" operator="{expr.operator}"'
    if len(expr.values) == 1:
        return f"{head} value={quoteattr(_text(expr.values[0]))}/>"
    values = "".join(f"<value>{escape(_text(v))}</value>" for v in expr.values)
    return f"{head}>{values}</condition>"


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def odata(expr: Expr, *, table: TableDef) -> str:
    match expr:
        case And() | Or():
            word = " and " if isinstance(expr, And) else " or "
            return f"({word.join(odata(c, table=table) for c in expr.children)})"
        case Not():
            return f"not ({odata(expr.child, table=table)})"
        case Condition():
            return _odata_condition(expr, table)


_OF_TEXT = {operator: name for name, (operator, _) in TEXT_FUNCTIONS.items()}
_OF_DATAVERSE = {operator: name for name, operator in FUNCTIONS.items()}
_SIGNS = {operator: sign for sign, operator in COMPARISONS.items()}
_NEGATED_TEXT = {
    Operator.NOT_BEGIN_WITH: "startswith",
    Operator.NOT_END_WITH: "endswith",
}


def _odata_condition(condition: Condition, table: TableDef) -> str:
    column, operator = condition.column, condition.operator
    values = [_literal(v, table.column(column).type) for v in condition.values]
    if operator in _OF_TEXT:
        return f"{_OF_TEXT[operator]}({column},{values[0]})"
    if operator in _NEGATED_TEXT:
        return f"not {_NEGATED_TEXT[operator]}({column},{values[0]})"
    if operator in (Operator.NULL, Operator.NOT_NULL):
        return f"{column} {'eq' if operator is Operator.NULL else 'ne'} null"
    if operator in _SIGNS:
        return f"{column} {_SIGNS[operator]} {values[0]}"
    if operator is Operator.IN:
        return f"{column} in ({', '.join(values)})"
    return _call(_OF_DATAVERSE[operator], column, values)


def _call(name: str, column: str, values: Sequence[str]) -> str:
    several = name in {"Between", "NotBetween", "NotIn"} or "ContainValues" in name
    argument = ""
    if several:
        argument = f",PropertyValues=[{','.join(values)}]"
    elif values:
        argument = f",PropertyValue={values[0]}"
    return f"{NAMESPACE}{name}(PropertyName='{column}'{argument})"


def _literal(value: Value, kind: ColumnType) -> str:
    text = _text(value)
    if kind in _UNQUOTED or not isinstance(value, str):
        return text
    return "'" + text.replace("'", "''") + "'"
