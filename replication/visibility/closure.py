"""The tree of business units as a closure, and the rows that hang on it."""

from __future__ import annotations

import psycopg
from psycopg import sql

from replication.staging import columns, registry, schema
from replication.staging.clock import LockedClock
from replication.visibility import feed, rules

_UNITS = "businessunit"
# Deeper trees than this do not occur; a cycle, which the source may show for a
# moment between two pages, must end somewhere.
_DEEPEST = 100

_REFRESH = """
WITH RECURSIVE line AS (
    SELECT b.businessunitid AS unit, b.businessunitid AS ancestor, 0 AS distance
    FROM data.businessunit b
    UNION
    SELECT l.unit, p.parentbusinessunitid, l.distance + 1
    FROM line l JOIN data.businessunit p ON p.businessunitid = l.ancestor
    WHERE p.parentbusinessunitid IS NOT NULL AND l.distance < %(deepest)s
),
wanted AS (
    SELECT DISTINCT u.id AS unit, a.id AS ancestor,
           l.unit <> l.ancestor AND (b.businessunitid IS NULL
               OR b.parentbusinessunitid IS NOT NULL) AS is_handed_out
    FROM line l
    JOIN sync.key_value u ON u.value = l.unit
    JOIN sync.key_value a ON a.value = l.ancestor
    LEFT JOIN data.businessunit b ON b.businessunitid = l.ancestor
),
gone AS (
    DELETE FROM sync.closure c WHERE NOT EXISTS
        (SELECT FROM wanted w WHERE w.unit = c.unit AND w.ancestor = c.ancestor)
    RETURNING unit
),
added AS (
    INSERT INTO sync.closure AS c (unit, ancestor, is_handed_out)
    SELECT unit, ancestor, is_handed_out FROM wanted
    ON CONFLICT (unit, ancestor) DO UPDATE SET is_handed_out = excluded.is_handed_out
    WHERE c.is_handed_out <> excluded.is_handed_out RETURNING unit
)
SELECT unit FROM gone UNION SELECT unit FROM added
"""


def refresh(conn: psycopg.Connection, *, held: LockedClock) -> None:
    """Recompute the closure and hand out the rows of every unit that moved.

    Uses the temporary table `touched`, which must hold nothing more of interest.
    """
    _note_units(conn)
    moved = [unit for (unit,) in conn.execute(_REFRESH, {"deepest": _DEEPEST})]
    if not moved:
        return
    by_id = {table.id: table.definition for table in registry.tables(conn)}
    for rule in rules.living(conn):
        table = by_id[rule.source_id]
        if rule.shape != rules.DEEP or table.unit_column is None:
            continue
        conn.execute("DELETE FROM touched")
        conn.execute(
            sql.SQL(
                "INSERT INTO touched SELECT t.{row_id}, false FROM {relation} t"
                " JOIN sync.key_value u ON u.value = t.{unit} WHERE u.id = ANY(%s)"
            ).format(
                row_id=columns.row_id(table),
                relation=schema.relation(table),
                unit=columns.quoted(table.unit_column),
            ),
            (moved,),
        )
        feed.write_entries(conn, table, [rule], held=held)


def _note_units(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO sync.key_value (value)"
        " SELECT b.businessunitid FROM data.businessunit b WHERE NOT EXISTS"
        " (SELECT FROM sync.key_value v WHERE v.value = b.businessunitid)"
        " ON CONFLICT DO NOTHING"
    )
