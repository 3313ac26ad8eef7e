"""Turns a checked filter into SQL that is true or false for every row, never NULL.

Each condition stands beside a test for NULL, so that it can be negated and can use an
index on its column all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import sql

from replication.domain import like_patterns, windows
from replication.domain.filter_operators import (
    COMPARISONS,
    PATTERNS,
    WINDOWS,
    Operator,
)
from replication.domain.filters import (
    And,
    Condition,
    Expr,
    Not,
    Or,
    Value,
    canonical,
)
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.domain.windows import Bounds
from replication.staging import columns

_TRUE = sql.SQL("TRUE")
_FALSE = sql.SQL("FALSE")
_OPERATORS = {
    Operator.EQ: sql.SQL("="),
    Operator.GT: sql.SQL(">"),
    Operator.GE: sql.SQL(">="),
    Operator.LT: sql.SQL("<"),
    Operator.LE: sql.SQL("<="),
}


def predicate(
    expr: Expr, alias: str, table: TableDef, *, as_of: datetime
) -> sql.Composable:
    """Return the condition on the table's rows, called `alias`, at a moment.

    The filter has been checked, and says nothing about users: what does has become
    attributes (`filter_parts.split`).
    """
    return _Compiler(alias, table, as_of).any(canonical(expr))


def crossing(
    expr: Expr, table: TableDef, alias: str, *, before: datetime, after: datetime
) -> sql.Composable:
    """Return a condition that holds for every row whose answer may differ between two
    moments: its value lies where a window began or ended in between."""
    ranges = {
        (condition.column, *span)
        for condition in windows.moving_conditions(expr)
        for span in _moved(condition, before=before, after=after)
    }
    # Sorted, so that the same question has the same text.
    return _joined(
        "OR",
        [
            _within(_Column(table.column(name), alias), lo, hi)
            for name, lo, hi in sorted(ranges)
        ],
    )


@dataclass(frozen=True, slots=True)
class _Column:
    definition: ColumnDef
    alias: str

    @property
    def is_text(self) -> bool:
        return self.definition.type is ColumnType.STRING

    @property
    def raw(self) -> sql.Composable:
        """The column itself."""
        name = columns.quoted(self.definition.name)
        return sql.SQL("{}.{}").format(sql.Identifier(self.alias), name)

    @property
    def compared(self) -> sql.Composable:
        """What comparisons are made with."""
        return lower(self.raw) if self.is_text else self.raw

    def literal(self, value: Value) -> sql.Composable:
        if self.is_text:
            return lower(_cast(str(value), "text"))
        return _cast(str(value), self._type_of(value))

    def array(self, values: Iterable[Value]) -> sql.Composable:
        return sql.SQL("ARRAY[{}]").format(
            sql.SQL(", ").join(map(self.literal, values))
        )

    def moment(self, moment: datetime) -> sql.Composable:
        if self.definition.type is ColumnType.DATE:
            return _cast(moment.date().isoformat(), "date")
        return _cast(moment.astimezone(UTC).isoformat(), "timestamptz")

    def _type_of(self, value: Value) -> str:
        # An index on a smaller integer can be searched for a larger one, but not
        # for a numeric.
        if self.definition.type in _INTEGERS:
            return "bigint" if isinstance(value, int) else "numeric"
        return _TYPES[self.definition.type]


_INTEGERS = frozenset({ColumnType.INT, ColumnType.BIGINT})
_TYPES = {
    ColumnType.GUID: "uuid",
    ColumnType.DECIMAL: "numeric",
    ColumnType.DOUBLE: "double precision",
    ColumnType.BOOL: "boolean",
    ColumnType.DATETIME: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.CHOICES: "integer",
}


@dataclass(frozen=True, slots=True)
class _Compiler:
    alias: str
    table: TableDef
    as_of: datetime

    def any(self, expr: Expr) -> sql.Composable:
        match expr:
            case And():
                return _joined("AND", map(self.any, expr.children))
            case Or():
                return _joined("OR", map(self.any, expr.children))
            case Not():
                return sql.SQL("(NOT {})").format(self.any(expr.child))
            case Condition():
                return self._condition(expr)

    def _condition(self, condition: Condition) -> sql.Composable:
        column = _Column(self.table.column(condition.column), self.alias)
        operator = condition.operator
        if operator is Operator.NULL:
            return sql.SQL("({} IS NULL)").format(column.raw)
        if operator in WINDOWS:
            window = windows.bounds(operator, values=condition.values, as_of=self.as_of)
            return _within(column, *window)
        for operators, compiled in _BY_OPERATOR:
            if operator in operators:
                return _present(column, compiled(column, condition))
        raise ValueError(f"{operator} is no condition on rows.")


def _comparison(column: _Column, condition: Condition) -> sql.Composable:
    values = condition.values
    if condition.operator is Operator.IN:
        return sql.SQL("{} = ANY({})").format(column.compared, column.array(values))
    if condition.operator is Operator.BETWEEN:
        return sql.SQL("{} BETWEEN {} AND {}").format(
            column.compared, *map(column.literal, values)
        )
    return sql.SQL("{} {} {}").format(
        column.compared, _OPERATORS[condition.operator], column.literal(values[0])
    )


def _like(column: _Column, condition: Condition) -> sql.Composable:
    pattern = like_patterns.in_postgres(str(condition.values[0]))
    return sql.SQL("{} LIKE {}").format(column.compared, lower(_cast(pattern, "text")))


def _overlap(column: _Column, condition: Condition) -> sql.Composable:
    return sql.SQL("{} && {}").format(column.raw, column.array(condition.values))


_BY_OPERATOR: tuple[
    tuple[frozenset[Operator], Callable[[_Column, Condition], sql.Composable]], ...
] = (
    (COMPARISONS, _comparison),
    (PATTERNS, _like),
    (frozenset({Operator.CONTAIN_VALUES}), _overlap),
)


def lower(text: sql.Composable) -> sql.Composable:
    """Letters of all scripts in lower case, ordered by code point on every server.

    PostgreSQL brings this collation itself: neither ICU nor a locale is involved.
    """
    return sql.SQL('lower({} COLLATE "pg_c_utf8") COLLATE "C"').format(text)


def _cast(text: str, type_name: str) -> sql.Composable:
    return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(type_name))


def _joined(word: str, tests: Iterable[sql.Composable]) -> sql.Composable:
    parts = list(tests)
    if not parts:
        return _TRUE if word == "AND" else _FALSE
    return sql.SQL("({})").format(sql.SQL(f" {word} ").join(parts))


def _present(column: _Column, test: sql.Composable) -> sql.Composable:
    return sql.SQL("({} IS NOT NULL AND {})").format(column.raw, test)


def _within(
    column: _Column, lo: datetime | None, hi: datetime | None
) -> sql.Composable:
    limits = [(sql.SQL(">="), lo), (sql.SQL("<"), hi)]
    tests = [
        sql.SQL("{} {} {}").format(column.raw, sign, column.moment(limit))
        for sign, limit in limits
        if limit is not None
    ]
    return _present(column, _joined("AND", tests))


def _moved(
    condition: Condition, *, before: datetime, after: datetime
) -> Iterable[tuple[datetime, datetime]]:
    """What the window's two ends passed over."""

    def window(as_of: datetime) -> Bounds:
        return windows.bounds(condition.operator, values=condition.values, as_of=as_of)

    for old, new in zip(window(before), window(after), strict=True):
        if old is not None and new is not None and old != new:
            yield min(old, new), max(old, new)
