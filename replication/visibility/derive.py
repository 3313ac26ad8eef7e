"""What follows for the feed when a page has touched rows of a table.

The clock is held, and every statement here begins after it was locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from replication.domain.tables import ACCESS_TABLES, TableDef
from replication.staging import registry
from replication.staging.clock import LockedClock
from replication.staging.registry import SourceTable
from replication.visibility import closure, dependants, feed, key_values, policy, wanted
from replication.visibility.rules import Rule


def touched_rows(
    conn: psycopg.Connection,
    source: SourceTable,
    living: tuple[Rule, ...],
    *,
    completes: bool,
    held: LockedClock,
) -> None:
    """Write the entries of the rows in `touched`, and of all that depend on them.

    `completes`: this was the last page of the table's first load.
    """
    table = source.definition
    rows = None if completes else sql.SQL("(SELECT DISTINCT row_id FROM touched)")
    is_new = key_values.note(conn, source, living, rows=rows)
    by_id = _definitions(conn)
    own = [rule for rule in living if rule.source_id == source.id]
    tables = {t.name: t for t in by_id.values()}
    feed.write_entries(conn, table, own, tables=tables, held=held)
    dependants.write_entries(conn, source, living, by_id=by_id, held=held)
    _refresh_closures(conn, table, living, by_id, held=held)
    held.changed_access = (
        completes
        or table.name in ACCESS_TABLES
        # Who is granted every value but his own has to be granted this one too.
        or (is_new and any(rule.choice.is_negated for rule in living))
        or (table.name == wanted.SHARES and _shares_anew(conn, living, by_id))
    )


def _refresh_closures(
    conn: psycopg.Connection,
    table: TableDef,
    living: tuple[Rule, ...],
    by_id: Mapping[int, TableDef],
    *,
    held: LockedClock,
) -> None:
    if table.name in closure.OF_UNITS:
        closure.refresh_units(conn, living, by_id=by_id, held=held)
    if table.name in closure.OF_SUPERIORS:
        hierarchy = policy.effective(conn).hierarchy
        if hierarchy is not None:
            closure.refresh_superiors(
                conn, living, hierarchy=hierarchy, by_id=by_id, held=held
            )


def _definitions(conn: psycopg.Connection) -> dict[int, TableDef]:
    return {table.id: table.definition for table in registry.tables(conn)}


def _shares_anew(
    conn: psycopg.Connection, living: Iterable[Rule], by_id: Mapping[int, TableDef]
) -> bool:
    """Rows of a table with rules are shared, and none hands out shared rows yet."""
    handed_out = {by_id[r.source_id] for r in living}
    served = {by_id[r.source_id].name for r in living if "shares" in r.spec.opens}
    unserved = [t.name for t in handed_out if t.owner_column and t.name not in served]
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM touched r JOIN data.principalobjectaccess s"
        " ON s.principalobjectaccessid = r.row_id WHERE s.objecttypecode = ANY(%s))",
        (unserved,),
    ).fetchone()
    return row == (True,)
