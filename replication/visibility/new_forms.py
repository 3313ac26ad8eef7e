"""A table takes the form that its pull has loaded, together with its last page.

Rules that were written for the former form must not meet the new one: those whose
rows would be told apart in another way are retired with it, and built anew when the
rules are looked at next.
"""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from provisioning import failpoints
from replication.domain.tables import TableDef
from replication.staging import clock, columns, former, schema, schema_changes
from replication.staging.registry import SourceTable
from replication.staging.sweep import refuse_mass_loss
from replication.visibility import building, rules, stale
from replication.visibility.rules import Rule


def take_place(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    watched: Collection[str],
    accepts_any: bool = False,
) -> None:
    """Serve the loaded form; rows that differ from the former ones are `touched`.

    `source` as pulls see it. The caller holds the fence and keeps everybody off the
    rules, and derives the feed.

    :raises SweepBrakeError: far fewer rows came than there were, and no operator has
        agreed (`accepts_any`).
    """
    served, table = source.served, source.definition
    assert served is not None
    if source.replaces:
        if not accepts_any:
            refuse_mass_loss(conn, before=served, after=table)
        schema_changes.copy_indexes(conn, served, table)
        concerned = _concerned(conn, source)
        building.retire(conn, [rule for rule in concerned if rule.state == "active"])
        if _identity(served) == _identity(table):
            _touch_differing(conn, served, table, watched)
    schema_changes.adopt(conn, source)
    failpoints.reach("schema.adopted")


def tell_devices(conn: psycopg.Connection, source: SourceTable) -> None:
    """The model is another one; rules that name a refilled column are looked through."""
    held = clock.lock(conn)
    assert source.served is not None
    if source.fills:
        refilled = _other_columns(source.served, source.definition)
        stale.mark(conn, [r.id for r in _naming(conn, source, refilled)])
    held.changed_access = True
    clock.store(conn, held)


def _identity(table: TableDef) -> tuple[object, ...]:
    """What the feed tells rows by, and hands them out by."""
    kinds = tuple(table.column(name).type for name in table.key)
    return table.key, kinds, table.ownership


def _concerned(conn: psycopg.Connection, source: SourceTable) -> list[Rule]:
    """Rules that cannot go on over the new form."""
    served, table = source.served, source.definition
    assert served is not None
    if _identity(served) != _identity(table):
        return _over(conn, source)
    return _naming(conn, source, _other_types(served, table))


def _over(conn: psycopg.Connection, source: SourceTable) -> list[Rule]:
    name = source.definition.name
    return [
        rule
        for rule in rules.living(conn)
        if rule.source_id == source.id or name in rule.choice.tables
    ]


def _naming(
    conn: psycopg.Connection, source: SourceTable, names: Collection[str]
) -> list[Rule]:
    # Predicates stand as text within the text. A name that only looks like one of
    # the columns costs a rule too many.
    return [
        rule
        for rule in _over(conn, source)
        if any(f'"{name}"' in rule.spec.text.replace("\\", "") for name in names)
    ]


def _other_types(before: TableDef, after: TableDef) -> set[str]:
    kinds = {column.name: column.type for column in before.columns}
    return {
        column.name
        for column in after.columns
        if kinds.get(column.name, column.type) is not column.type
    }


def _other_columns(before: TableDef, after: TableDef) -> set[str]:
    ids = {column.name: column.source_id for column in before.columns}
    return {
        column.name
        for column in after.columns
        if ids.get(column.name, column.source_id) != column.source_id
    }


def _touch_differing(
    conn: psycopg.Connection,
    served: TableDef,
    table: TableDef,
    watched: Collection[str],
) -> None:
    """Rows of another version than the former relation has, and those gone from it."""
    conn.execute("DELETE FROM touched")
    conn.execute(
        sql.SQL(
            "INSERT INTO touched SELECT coalesce(n.{row_id}, o.{row_id}), true,"
            " o.{row_id} IS NULL FROM {before} o FULL JOIN {after} n"
            " ON n.{row_id} = o.{row_id}"
            " WHERE n.{version}::text IS DISTINCT FROM o.{version}::text"
        ).format(
            row_id=columns.row_id(table),
            before=schema.relation(served),
            after=schema.relation(table),
            version=sql.Identifier(columns.VERSION),
        )
    )
    held = {column.name for column in (*served.columns, *served.retired)}
    former.note(
        conn,
        served,
        [name for name in watched if name in held],
        rows=sql.SQL("SELECT row_id FROM touched"),
    )
