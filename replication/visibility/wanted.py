"""SQL for the entries that a rule ought to have: rows, and the keys they go by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from replication.domain import filters
from replication.domain.choices import Choice, KeyColumn, Opening
from replication.domain.tables import ColumnType, TableDef
from replication.staging import columns, schema
from replication.visibility import filter_sql
from replication.visibility.rules import DEEP, Rule

SHARES = "principalobjectaccess"
READ_ACCESS = 1

# Stands for "no value" where a grant has to name that as well.
NO_VALUE = "00000000-0000-0000-0000-000000000000"

_ROW = "t"
_AND = sql.SQL(" AND ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Aliases and tables from a row (first) to the head row (last)."""

    tables: tuple[TableDef, ...]
    joins: tuple[sql.Composable, ...]

    @property
    def head(self) -> TableDef:
        return self.tables[-1]

    @property
    def head_alias(self) -> str:
        return alias(len(self.tables) - 1)


def alias(place: int) -> str:
    return _ROW if place == 0 else f"h{place}"


def path_of(choice: Choice, table: TableDef, tables: Mapping[str, TableDef]) -> Path:
    """:raises KeyError: a table of the path is not replicated."""
    line = (table, *(tables[hop.table] for hop in choice.hops))
    joins = tuple(
        sql.SQL("JOIN {relation} {alias} ON {condition}").format(
            relation=schema.relation(line[place]),
            alias=sql.Identifier(alias(place)),
            condition=hop_condition(choice, place),
        )
        for place in range(1, len(line))
    )
    return Path(tables=line, joins=joins)


def hop_condition(choice: Choice, place: int) -> sql.Composable:
    """What connects the rows at `place` with those before them."""
    hop = choice.hops[place - 1]
    near, far = alias(place - 1), alias(place)
    conditions = [
        sql.SQL("{} = {}").format(column(far, hop.far), column(near, hop.near)),
        *type_checks(near, hop.near, hop.near_type),
        *type_checks(far, hop.far, hop.far_type),
    ]
    return _AND.join(conditions)


def type_checks(
    where: str, lookup: str, named: str | None
) -> tuple[sql.Composable, ...]:
    if named is None:
        return ()
    companion = column(where, f"{lookup}__type")
    return (sql.SQL("{} = {}").format(companion, sql.Literal(named)),)


def column(where: str, name: str) -> sql.Composable:
    return sql.SQL("{}.{}").format(sql.Identifier(where), columns.quoted(name))


def wanted_keys(
    rule: Rule,
    table: TableDef,
    tables: Mapping[str, TableDef],
    *,
    rows: sql.Composable | None = None,
    where: sql.Composable | None = None,
) -> sql.Composable:
    """A query for the row id and the keys (`rule.keys`) of every entry.

    `rows`: a relation with a column `row_id` that names the rows in question, each
    once; `where`: a condition on the row `t`; all rows without either.
    """
    builder = _Builder(rule, table, tables, rows, where)
    if rule.shape != DEEP:
        return builder.select(_CLOSED)
    selects = [
        builder.select(opening)
        for name in rule.spec.opens
        for opening in _openings(name, table, is_shared="shares" in rule.spec.opens)
    ]
    if not selects:
        return sql.SQL("{} LIMIT 0").format(builder.select(_CLOSED))
    return sql.SQL(" UNION ").join(selects)


@dataclass(frozen=True, slots=True)
class _Opening:
    """One way to come to k3."""

    key: sql.Composable
    joins: tuple[sql.Composable, ...] = ()
    # It may come to the same key of one row twice.
    may_repeat: bool = True


_CLOSED = _Opening(sql.SQL("NULL::integer"), may_repeat=False)


def _openings(
    name: Opening, table: TableDef, *, is_shared: bool
) -> tuple[_Opening, ...]:
    key = columns.row_id(table)
    shares = sql.SQL(
        "JOIN data.principalobjectaccess s ON s.objectid = t.{}"
        " AND (coalesce(s.accessrightsmask, 0)"
        " | coalesce(s.inheritedaccessrightsmask, 0)) & "
        + str(READ_ACCESS)
        + " <> 0 JOIN sync.key_value sp ON sp.value = s.principalid"
    ).format(key)
    above_owner = sql.SQL("JOIN sync.superior m ON m.principal = o.id")
    above_shares = sql.SQL("JOIN sync.superior m ON m.principal = sp.id")
    if name == "ancestors":
        line = sql.SQL("JOIN sync.closure c ON c.unit = u.id AND c.is_handed_out")
        return (_Opening(sql.SQL("c.ancestor"), (line,), may_repeat=False),)
    if name == "shares":
        return (_Opening(sql.SQL("sp.id"), (shares,)),)
    found = [_Opening(sql.SQL("m.superior"), (above_owner,))]
    if is_shared:
        found.append(_Opening(sql.SQL("m.superior"), (shares, above_shares)))
    return tuple(found)


class _Builder:
    def __init__(
        self,
        rule: Rule,
        table: TableDef,
        tables: Mapping[str, TableDef],
        rows: sql.Composable | None,
        where: sql.Composable | None,
    ) -> None:
        self._rule = rule
        self._table = table
        self._path = path_of(rule.choice, table, tables)
        self._rows = rows
        self._condition = where

    def select(self, opening: _Opening) -> sql.Composable:
        attributes = [
            sql.SQL("a{0}.id AS k{0}").format(sql.SQL(str(4 + number)))
            for number in range(len(self._rule.choice.attributes))
        ]
        # A row may reach the same head, or heads with the same keys, in many ways.
        may_repeat = opening.may_repeat or self._rule.choice.hops
        return sql.SQL(
            "SELECT {distinct} {columns} FROM {source} {joins} {where}"
        ).format(
            distinct=sql.SQL("DISTINCT" if may_repeat else ""),
            columns=sql.SQL(", ").join(
                [
                    sql.SQL("t.{} AS row_id").format(columns.row_id(self._table)),
                    sql.SQL("o.id AS k1"),
                    sql.SQL("u.id AS k2"),
                    sql.SQL("{} AS k3").format(opening.key),
                    *attributes,
                ]
            ),
            source=self._source(),
            joins=sql.SQL(" ").join(
                [
                    _dictionary("o", self._table.owner_column),
                    _dictionary("u", self._table.unit_column),
                    *opening.joins,
                    *self._path.joins,
                    *self._attribute_joins(),
                ]
            ),
            where=self._where(),
        )

    def _source(self) -> sql.Composable:
        relation = sql.SQL("{} t").format(schema.relation(self._table))
        if self._rows is None:
            return relation
        return sql.SQL("{} r JOIN {} ON t.{} = r.row_id").format(
            self._rows, relation, columns.row_id(self._table)
        )

    def _attribute_joins(self) -> list[sql.Composable]:
        return [
            _attribute(
                f"a{4 + number}", attribute, self._path.head, self._path.head_alias
            )
            for number, attribute in enumerate(self._rule.choice.attributes)
        ]

    def _where(self) -> sql.Composable:
        spec, as_of = self._rule.spec, self._rule.as_of
        conditions = [
            filter_sql.predicate(filters.loads(text), where, table, as_of=as_of)
            for text, where, table in (
                (spec.served, _ROW, self._table),
                (spec.choice.predicate, self._path.head_alias, self._path.head),
            )
            if text
        ]
        if self._condition is not None:
            conditions.append(self._condition)
        if not conditions:
            return sql.SQL("")
        return sql.SQL("WHERE {}").format(_AND.join(conditions))


def _dictionary(name: str, column_name: str | None) -> sql.Composable:
    if column_name is None:
        return sql.SQL("CROSS JOIN (SELECT NULL::integer AS id) {}").format(
            sql.Identifier(name)
        )
    return sql.SQL("LEFT JOIN sync.key_value {name} ON {name}.value = {value}").format(
        name=sql.Identifier(name), value=column(_ROW, column_name)
    )


def _attribute(
    name: str, attribute: KeyColumn, head: TableDef, where: str
) -> sql.Composable:
    if not attribute.column:
        return _dictionary(name, None)
    value = key_value(head, attribute.column, where)
    if attribute.negated:
        value = sql.SQL("coalesce({}, {}::uuid)").format(value, sql.Literal(NO_VALUE))
    return sql.SQL("{kind} sync.key_value {name} ON {name}.value = {value}").format(
        kind=sql.SQL("LEFT JOIN" if attribute.optional else "JOIN"),
        name=sql.Identifier(name),
        value=value,
    )


def key_value(table: TableDef, name: str, where: str) -> sql.Composable:
    """A column's value as the dictionary of keys has it: a uuid."""
    kind = table.column(name).type
    if kind is ColumnType.GUID:
        return column(where, name)
    if kind is ColumnType.STRING:
        return text_key(column(where, name))
    return sql.SQL("md5({}::text)::uuid").format(column(where, name))


def text_key(text: sql.Composable) -> sql.Composable:
    """Text is compared as filters do: without regard to case."""
    return sql.SQL("md5({})::uuid").format(filter_sql.lower(text))
