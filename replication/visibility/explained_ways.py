"""Follows one row along the ways of profile items: which take it, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from replication.domain import filters
from replication.domain.alternatives import Alternative, Wanted
from replication.domain.choices import PLAIN, Choice
from replication.domain.filter_operators import AttributeKind
from replication.domain.filters import And, Expr
from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.visibility import filter_sql, wanted
from replication.visibility.explained import Named, Way, title_column
from replication.visibility.member import Values

# Paths of one row that are looked at; more say nothing new to people.
_MOST_PATHS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The row in question."""

    table: TableDef
    row_id: UUID
    owner: UUID | None
    unit: UUID | None


class Ways:
    def __init__(
        self,
        conn: psycopg.Connection,
        tables: Mapping[str, TableDef],
        values: Values,
        as_of: Mapping[Choice, datetime],
        *,
        now: datetime,
    ) -> None:
        self._conn = conn
        self._tables = tables
        self._values = values
        self._as_of = as_of
        self._now = now

    def of(self, way: Alternative, place: Place) -> Way:
        """Whether the alternative takes the row, with the reason."""
        if way.choice == PLAIN:
            is_taken, reason = self._plain(way, place)
            return _way(way, is_taken=is_taken, reason=reason)
        missing = self._end_of_path(way.choice, place)
        if missing is not None:
            return _way(way, is_taken=False, reason=missing)
        return self._along(way, place)

    def _plain(self, way: Alternative, place: Place) -> tuple[bool, str]:
        if not any(way.takes):
            return True, "It takes every row."
        for what, value, asked in zip(
            ("owner", "business unit"),
            (place.owner, place.unit),
            way.takes,
            strict=True,
        ):
            if asked is not None:
                is_met = value in self._values.of(asked)
                verb = "is" if is_met else "is not"
                return is_met, f"The {what} {verb} {_asked(asked)}."
        return False, "It takes no rows of its own."

    def _end_of_path(self, choice: Choice, place: Place) -> str | None:
        """Where the path from the row ends before it should; None if it does not."""
        path = wanted.path_of(choice, place.table, self._tables)
        for length, hop in enumerate(choice.hops, start=1):
            query = sql.SQL(
                "SELECT FROM {relation} t {joins} WHERE t.{row_id} = {asked} LIMIT 1"
            ).format(
                relation=schema.relation(place.table),
                joins=sql.SQL(" ").join(path.joins[:length]),
                row_id=columns.row_id(place.table),
                asked=sql.Literal(place.row_id),
            )
            if self._conn.execute(query).fetchone() is None:
                return f"No row of {hop.table} is related by {hop.near} = {hop.far}."
        return None

    def _along(self, way: Alternative, place: Place) -> Way:
        best: tuple[str, tuple[Named, ...]] = ("", ())
        for found in self._paths(way.choice, place):
            reason = self._refused(way, found)
            if reason is None:
                told = "The related row is taken." if way.choice.hops else "It matches."
                return _way(way, is_taken=True, reason=told, path=found.path)
            best = (reason, found.path)
        return _way(way, is_taken=False, reason=best[0], path=best[1])

    def _refused(self, way: Alternative, found: _Found) -> str | None:
        if found.failing:
            return f"The filter does not accept it: {'; '.join(found.failing)}."
        pairs = zip(way.choice.attributes, way.takes, found.values, strict=True)
        for attribute, asked, value in pairs:
            if asked is None:
                continue
            if self._values.lacks(asked):
                return f"The user's tokens have no claim {asked.claim}."
            is_one = value is not None and value in self._values.of(asked)
            if is_one is asked.negated:
                return f"Its {attribute.column} is not {_asked(asked)}."
        return None

    def _paths(self, choice: Choice, place: Place) -> Iterator[_Found]:
        path = wanted.path_of(choice, place.table, self._tables)
        parts = _parts(choice)
        hops = list(enumerate(path.tables))[1:]
        # Without parameters, because a filter's `%` would be taken for a sign of one.
        query = sql.SQL(
            "SELECT {columns} FROM {relation} t {joins} WHERE t.{row_id} = {asked}"
            " LIMIT {most}"
        ).format(
            columns=sql.SQL(", ").join(
                [
                    *(_row(table, place) for place, table in hops),
                    *self._tests(choice, path, parts),
                    *_values(choice, path),
                    sql.SQL("true"),
                ]
            ),
            relation=schema.relation(place.table),
            joins=sql.SQL(" ").join(path.joins),
            row_id=columns.row_id(place.table),
            asked=sql.Literal(place.row_id),
            most=sql.Literal(_MOST_PATHS),
        )
        for row in self._conn.execute(query):
            yield _found(row, [table for _, table in hops], parts)

    def _tests(
        self, choice: Choice, path: wanted.Path, parts: Sequence[Expr]
    ) -> list[sql.Composable]:
        as_of = self._as_of.get(choice, self._now)
        return [
            filter_sql.predicate(part, path.head_alias, path.head, as_of=as_of)
            for part in parts
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One path from the row to a head row."""

    path: tuple[Named, ...]
    # Conditions on the head row that do not hold.
    failing: tuple[str, ...]
    # The head row's values of the key attributes.
    values: tuple[UUID | None, ...]


def _found(
    row: Sequence[Any], hops: Sequence[TableDef], parts: Sequence[Expr]
) -> _Found:
    ends = len(hops) * 2
    names = zip(hops, row[0:ends:2], row[1:ends:2], strict=True)
    tests = row[ends : ends + len(parts)]
    return _Found(
        path=tuple(
            Named(id=row_id, table=table.name, name=name or "")
            for table, row_id, name in names
        ),
        failing=tuple(
            told(part) for part, holds in zip(parts, tests, strict=True) if not holds
        ),
        values=tuple(row[ends + len(parts) : -1]),
    )


def _row(table: TableDef, place: int) -> sql.Composable:
    alias, title = wanted.alias(place), title_column(table)
    name = (
        sql.SQL("{}::text").format(wanted.column(alias, title))
        if title
        else sql.SQL("NULL")
    )
    key = sql.SQL("{}.{}").format(sql.Identifier(alias), columns.row_id(table))
    return sql.SQL("{}, {}").format(key, name)


def _values(choice: Choice, path: wanted.Path) -> list[sql.Composable]:
    return [
        wanted.key_value(path.head, attribute.column, path.head_alias)
        if attribute.column
        else sql.SQL("NULL::uuid")
        for attribute in choice.attributes
    ]


def _parts(choice: Choice) -> tuple[Expr, ...]:
    """Conditions that must all hold, one by one."""
    if not choice.predicate:
        return ()
    expression = filters.loads(choice.predicate)
    if isinstance(expression, And):
        return expression.children or (expression,)
    return (expression,)


def told(expression: Expr) -> str:
    """A filter for people, near to what they wrote."""
    match expression:
        case filters.Condition():
            values = ", ".join(map(str, expression.values))
            return f"{expression.column} {expression.operator} {values}".rstrip()
        case filters.Not():
            return f"not ({told(expression.child)})"
        case _:
            word = " and " if isinstance(expression, And) else " or "
            return word.join(f"({told(child)})" for child in expression.children)


def _asked(asked: Wanted) -> str:
    if asked.kind is AttributeKind.CLAIM:
        one = f"a value of the user's claim {asked.claim}"
        return f"anything but {one}" if asked.negated else one
    word = {
        "user": "the user",
        "teams": "a team of the user",
        "user_or_teams": "the user or one of the user's teams",
        "hierarchy": "the user or somebody below",
        "hierarchy_and_teams": "the user, somebody below, or a team of theirs",
        "unit": "the user's business unit",
        "language": "the user's language",
    }[asked.kind.value]
    return f"anybody but {word}" if asked.negated else word


def _way(
    way: Alternative, *, is_taken: bool, reason: str, path: tuple[Named, ...] = ()
) -> Way:
    # The slot ends with the item in which the way begins: `profile/table…`.
    return Way(slot=way.slot, is_taken=is_taken, reason=reason, path=path)
