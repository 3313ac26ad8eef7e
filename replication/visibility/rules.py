"""Rules: which feed a table has, and by which key attributes it is handed out.

Two shapes so far. `base` has one entry per row, keyed by owner (k1) and business
unit (k2). `deep` has one entry per row and unit above its own (k3), the topmost
excepted, so that a user with parent:child depth needs few keys however large the
tree is (domain.units). A grant may fix any of the keys, hence both serve every
combination of profile item and depth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.staging.registry import SourceTable

BASE = "base"
DEEP = "deep"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rule:
    """A row of `sync.rule`."""

    id: int
    source_id: int
    shape: str
    state: str

    @property
    def partition(self) -> sql.Identifier:
        return partition(self.id)


def partition(rule_id: int) -> sql.Identifier:
    return sql.Identifier("sync", f"feed_{rule_id}")


def living(conn: psycopg.Connection, source_id: int | None = None) -> tuple[Rule, ...]:
    """Rules that are built or being built, of one table or of all."""
    rows = conn.execute(
        "SELECT id, source_id, shape, state FROM sync.rule WHERE state <> 'retired'"
        " AND (%s::int IS NULL OR source_id = %s) ORDER BY id",
        (source_id, source_id),
    )
    return tuple(
        Rule(id=i, source_id=s, shape=shape, state=state) for i, s, shape, state in rows
    )


def wanted_keys(rule: Rule, table: TableDef, rows: sql.Composable) -> sql.Composed:
    """A query for (row_id, k1, k2, k3) of the table's rows that are in `rows`.

    `rows` is a relation with a column `row_id`; each row stands in it once.
    """
    chosen = sql.SQL("{} r JOIN").format(rows)
    return _keys(rule, table, chosen, sql.SQL(" ON t.{} = r.row_id"))


def all_keys(rule: Rule, table: TableDef) -> sql.Composed:
    """The same for every row of the table."""
    return _keys(rule, table, sql.SQL(""), sql.SQL(""))


def _keys(
    rule: Rule, table: TableDef, chosen: sql.Composable, condition: sql.SQL
) -> sql.Composed:
    null = sql.SQL("NULL::integer")
    deep = rule.shape == DEEP
    return sql.SQL(
        "SELECT t.{row_id} AS row_id, o.id AS k1, {unit} AS k2, {ancestor} AS k3"
        " FROM {chosen} {relation} t {condition} {joins}"
    ).format(
        row_id=columns.row_id(table),
        # Without the unit a row may move below the same ancestor unnoticed.
        unit=null if deep else sql.SQL("u.id"),
        ancestor=sql.SQL("c.ancestor") if deep else null,
        chosen=chosen,
        relation=schema.relation(table),
        condition=condition.format(columns.row_id(table)),
        joins=_joins(rule, table),
    )


def _joins(rule: Rule, table: TableDef) -> sql.Composed:
    joins = [_dictionary("o", table.owner_column), _dictionary("u", table.unit_column)]
    if rule.shape == DEEP:
        joins.append(
            sql.SQL("JOIN sync.closure c ON c.unit = u.id AND c.is_handed_out")
        )
    return sql.SQL(" ").join(joins)


def _dictionary(alias: str, column: str | None) -> sql.Composable:
    if column is None:
        return sql.SQL("CROSS JOIN (SELECT NULL::integer AS id) {}").format(
            sql.Identifier(alias)
        )
    return sql.SQL(
        "LEFT JOIN sync.key_value {alias} ON {alias}.value = t.{column}"
    ).format(alias=sql.Identifier(alias), column=columns.quoted(column))


def wanted_shapes(
    tables: Iterable[SourceTable],
    *,
    published: frozenset[str],
    held_deep: frozenset[str],
) -> frozenset[tuple[int, str]]:
    """Which rules ought to exist, as (source id, shape). Pure.

    `held_deep` are the lower-case read privileges that some role holds at
    parent:child depth.
    """
    shapes: set[tuple[int, str]] = set()
    for table in tables:
        definition = table.definition
        if not table.is_complete or definition.name not in published:
            continue
        shapes.add((table.id, BASE))
        if _has_deep_readers(definition, held_deep):
            shapes.add((table.id, DEEP))
    return frozenset(shapes)


def _has_deep_readers(table: TableDef, held_deep: frozenset[str]) -> bool:
    if table.unit_column is None or table.read_privilege is None:
        return False
    return table.read_privilege.lower() in held_deep
