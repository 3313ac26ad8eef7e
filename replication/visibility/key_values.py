"""The small integers that stand for owners, business units and other key values."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from replication.staging import columns, schema
from replication.staging.registry import SourceTable
from replication.visibility import wanted
from replication.visibility.rules import Rule

# Tables whose keys are principals or business units.
_PRINCIPALS = frozenset({"systemuser", "team", "businessunit"})
_SETTINGS = "usersettings"
LANGUAGE = "uilanguageid"


def note(
    conn: psycopg.Connection,
    source: SourceTable,
    living: Iterable[Rule],
    *,
    rows: sql.Composable | None,
) -> bool:
    """Give every key value of the rows its small integer; True when one was new.

    Principals, units and languages of users get theirs when they appear, and not when
    the first row names them: a subscription that was computed before must not lack
    the key.
    `living` are all rules, whatever table they are for; `rows` as a relation with
    a column `row_id`, or None for all.
    """
    table = source.definition
    is_new = False
    for name in _key_columns(source, living):
        joined = (
            sql.SQL("JOIN {} r ON r.row_id = t.{}").format(rows, columns.row_id(table))
            if rows is not None
            else sql.SQL("")
        )
        value = wanted.key_value(table, name, "t")
        added = conn.execute(
            sql.SQL(
                "INSERT INTO sync.key_value (value)"
                " SELECT DISTINCT {value} FROM {relation} t {joined}"
                " WHERE {value} IS NOT NULL AND NOT EXISTS"
                " (SELECT FROM sync.key_value v WHERE v.value = {value})"
                " ON CONFLICT DO NOTHING"
            ).format(value=value, relation=schema.relation(table), joined=joined)
        )
        is_new = is_new or added.rowcount > 0
    return is_new


def _key_columns(source: SourceTable, living: Iterable[Rule]) -> list[str]:
    table = source.definition
    named = {table.owner_column, table.unit_column}
    if table.name in _PRINCIPALS:
        named.add(table.key[0])
    if table.name == wanted.SHARES:
        named.add("principalid")
    if table.name == _SETTINGS and any(c.name == LANGUAGE for c in table.columns):
        named.add(LANGUAGE)
    for rule in living:
        if _is_head(source, rule):
            named |= {attribute.column for attribute in rule.choice.attributes}
    return sorted(name for name in named if name)


def _is_head(source: SourceTable, rule: Rule) -> bool:
    if rule.choice.hops:
        return rule.choice.hops[-1].table == source.definition.name
    return rule.source_id == source.id
