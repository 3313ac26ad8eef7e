"""Follow navigations from rows: `$expand`, and paths such as `accounts(id)/Account_Tasks`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.contoso.errors import bad_query, no_such_property
from sandbox.contoso.filters import Condition, order, value_of, where
from sandbox.contoso.picking import expansions
from sandbox.contoso.preferences import LARGEST_PAGE, Preferences
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.security import Caller, visible_rows
from sandbox.contoso.shaping import labelled, shape_of
from sandbox.contoso.store import Row, decode, find, sql_name

_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Way:
    """A navigation from a row: to one row of `target`, or to those that match."""

    target: Table
    row_id: str | None = None
    condition: Condition | None = None

    @property
    def is_collection(self) -> bool:
        return self.condition is not None


def way_from(schema: Schema, table: Table, row: Row, name: str) -> Way | None:
    """Return where the navigation leads; None when the table has no such one."""
    collection = schema.collections.get((table.name, name))
    if collection is not None:
        source, column = collection
        condition = Condition(f"{value_of(column)} = ?", (row[table.key],))
        return Way(source, condition=condition)
    pairs = schema.intersects.get(name)
    if pairs is not None and pairs.intersect is not None:
        return _through(schema, pairs, table, row)
    if name not in table.binds:
        return None
    column, navigation = table.binds[name]
    actual = str(row.get(column.note) or column.targets[0])
    is_other = navigation.target not in {actual, "principal"}
    value = None if is_other else row[column.wire]
    target = schema.tables[actual if not is_other else column.targets[0]]
    return Way(target, row_id=None if value is None else str(value))


def _through(schema: Schema, pairs: Table, table: Table, row: Row) -> Way | None:
    intersect = pairs.intersect
    assert intersect is not None
    mine, others, other = (
        intersect.first_column,
        intersect.second_column,
        intersect.second,
    )
    if table.name == intersect.second:
        mine, others, other = others, mine, intersect.first
    elif table.name != intersect.first:
        return None
    condition = Condition(
        f'id IN (SELECT "{others}" FROM {sql_name(pairs)} WHERE "{mine}" = ?)',
        (row[table.key],),
    )
    return Way(schema.tables[other], condition=condition)


@dataclass(frozen=True, slots=True)
class Expanding:
    """Adds to rows what `$expand` asks for; out of reach means left out."""

    schema: Schema
    connection: sqlite3.Connection
    caller: Caller
    preferences: Preferences

    def expanded(
        self, table: Table, row: Row, shown: Row, text: str, *, depth: int = 1
    ) -> Row:
        """Return `shown` with the navigations of `row`."""
        if depth > _DEEPEST:
            raise bad_query("$expand is nested too deeply.")
        for name, options in expansions(text):
            way = way_from(self.schema, table, row, name)
            if way is None:
                raise no_such_property(name, type_name=table.name)
            rows = self._rows(way, options)
            shapes = [self._shown(way.target, one, options, depth) for one in rows]
            if way.is_collection:
                shown[name] = shapes
            else:
                shown[name] = shapes[0] if shapes else None
        return shown

    def _shown(
        self, table: Table, row: Row, options: Mapping[str, str], depth: int
    ) -> Row:
        select = options.get("$select")
        shape = shape_of(table, select=select, preferences=self.preferences)
        shown = labelled(shape, row)
        if "$expand" in options:
            inner = options["$expand"]
            self.expanded(table, row, shown, inner, depth=depth + 1)
        return shown

    def _rows(self, way: Way, options: Mapping[str, str]) -> Sequence[Row]:
        within = visible_rows(self.connection, self.caller, table=way.target)
        if way.condition is None:
            condition = Condition("id = ?", (way.row_id,)) & within
        else:
            condition = way.condition & where(way.target, options.get("$filter"))
            condition = condition & within
        top = options.get("$top", "")
        limit = int(top) if top.isdigit() else LARGEST_PAGE
        found = self.connection.execute(
            f"SELECT body FROM {sql_name(way.target)} WHERE {condition.sql}"
            f" ORDER BY {order(way.target, options.get('$orderby'))} LIMIT ?",
            (*condition.parameters, limit),
        )
        return [decode(body) for (body,) in found]


def row_at(connection: sqlite3.Connection, way: Way) -> Row | None:
    return None if way.row_id is None else find(connection, way.target, way.row_id)
