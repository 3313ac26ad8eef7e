"""Business units with the units above them, and principals with their superiors.

Both are kept as closures, so that a row's keys follow from one join; when one
changes, the rows that hang on it are handed out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import psycopg
from psycopg import sql

from replication.domain.profiles import Hierarchy
from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.staging.clock import LockedClock
from replication.visibility import dependants, wanted
from replication.visibility.rules import Rule

# Tables whose rows make up the closures.
OF_UNITS = frozenset({"businessunit"})
OF_SUPERIORS = frozenset(
    {"systemuser", "team", "teammembership", "position", "businessunit"}
)

# Deeper trees than this do not occur; a cycle, which the source may show for a
# moment between two pages, must end somewhere.
_DEEPEST = 100

_UNITS = """
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

# Whoever is above a user, so many levels up. A manager counts in the same unit as the
# report's or in one above it; positions count wherever they are (SOURCE §3.10).
_MANAGERS = """
line (report, superior, level) AS (
    SELECT systemuserid, parentsystemuserid, 1 FROM data.systemuser
    WHERE parentsystemuserid IS NOT NULL
    UNION
    SELECT l.report, u.parentsystemuserid, l.level + 1
    FROM line l JOIN data.systemuser u ON u.systemuserid = l.superior
    WHERE u.parentsystemuserid IS NOT NULL AND l.level < least(%(depth)s, 100)
),
above AS (
    SELECT DISTINCT l.report, l.superior FROM line l
    JOIN data.systemuser r ON r.systemuserid = l.report
    JOIN data.systemuser m ON m.systemuserid = l.superior
    LEFT JOIN sync.key_value ru ON ru.value = r.businessunitid
    LEFT JOIN sync.key_value mu ON mu.value = m.businessunitid
    LEFT JOIN sync.closure c ON c.unit = ru.id AND c.ancestor = mu.id
    WHERE l.report <> l.superior
    -- A unit that has not arrived yet is in no closure.
    AND (c.unit IS NOT NULL OR r.businessunitid = m.businessunitid)
)
"""
_POSITIONS = """
line (below, upper, level) AS (
    SELECT positionid, parentpositionid, 1 FROM data.position
    WHERE parentpositionid IS NOT NULL
    UNION
    SELECT l.below, p.parentpositionid, l.level + 1
    FROM line l JOIN data.position p ON p.positionid = l.upper
    WHERE p.parentpositionid IS NOT NULL AND l.level < least(%(depth)s, 100)
),
above AS (
    SELECT DISTINCT r.systemuserid AS report, m.systemuserid AS superior FROM line l
    JOIN data.systemuser r ON r.positionid = l.below
    JOIN data.systemuser m ON m.positionid = l.upper
    WHERE r.systemuserid <> m.systemuserid
)
"""
_NOBODY = "above AS (SELECT NULL::uuid AS report, NULL::uuid AS superior WHERE false)"

_SUPERIORS = """
WITH RECURSIVE {above},
wanted AS (
    SELECT DISTINCT p.id AS principal, s.id AS superior FROM (
        SELECT report AS principal, superior FROM above
        UNION ALL
        SELECT m.teamid, a.superior FROM above a
        JOIN data.teammembership m ON m.systemuserid = a.report
        JOIN data.team t ON t.teamid = m.teamid
    ) w
    JOIN sync.key_value p ON p.value = w.principal
    JOIN sync.key_value s ON s.value = w.superior
),
gone AS (
    DELETE FROM sync.superior c WHERE NOT EXISTS
        (SELECT FROM wanted w
         WHERE w.principal = c.principal AND w.superior = c.superior)
    RETURNING principal
),
added AS (
    INSERT INTO sync.superior (principal, superior)
    SELECT principal, superior FROM wanted ON CONFLICT DO NOTHING RETURNING principal
)
SELECT principal FROM gone UNION SELECT principal FROM added
"""


def refresh_units(
    conn: psycopg.Connection,
    living: Iterable[Rule],
    *,
    by_id: Mapping[int, TableDef],
    held: LockedClock,
) -> None:
    """Recompute the units' closure and hand out the rows of every unit that moved."""
    _note_units(conn)
    moved = [unit for (unit,) in conn.execute(_UNITS, {"deepest": _DEEPEST})]
    if moved:
        _derive(
            conn,
            living,
            by_id,
            held,
            openings={"ancestors"},
            reached=lambda table: _in_units(table, moved),
        )


def refresh_superiors(
    conn: psycopg.Connection,
    living: Iterable[Rule],
    *,
    hierarchy: Hierarchy | None,
    by_id: Mapping[int, TableDef],
    held: LockedClock,
) -> None:
    """Recompute who is above whom, and hand out what belongs to whom it concerns."""
    names = {table.name for table in by_id.values()}
    if not names >= {"systemuser", "teammembership"}:
        # Nobody is above anybody at a source that knows no users.
        return
    query = sql.SQL(_SUPERIORS).format(above=sql.SQL(_above(hierarchy, by_id)))
    depth = hierarchy.depth if hierarchy else 0
    changed = [p for (p,) in conn.execute(query, {"depth": depth})]
    if changed:
        _derive(
            conn,
            living,
            by_id,
            held,
            openings={"managers", "positions"},
            reached=lambda table: _of_principals(
                table, changed, is_shared=wanted.SHARES in names
            ),
        )


def _above(hierarchy: Hierarchy | None, by_id: Mapping[int, TableDef]) -> str:
    """Who is above whom; nobody while the source does not say."""
    columns_of = {t.name: {c.name for c in t.columns} for t in by_id.values()}
    users = columns_of.get("systemuser", set())
    if hierarchy is None:
        return _NOBODY
    if hierarchy.model == "manager" and "parentsystemuserid" in users:
        return _MANAGERS
    if hierarchy.model == "position" and "positionid" in users:
        return _POSITIONS if "position" in columns_of else _NOBODY
    return _NOBODY


def _derive(
    conn: psycopg.Connection,
    living: Iterable[Rule],
    by_id: Mapping[int, TableDef],
    held: LockedClock,
    *,
    openings: set[str],
    reached: Callable[[TableDef], sql.Composable | None],
) -> None:
    tables = {table.name: table for table in by_id.values()}
    for rule in living:
        table = by_id[rule.source_id]
        rows = reached(table) if openings & set(rule.spec.opens) else None
        if rows is not None:
            dependants.derive(conn, rule, table, tables, reached=[rows], held=held)


def _in_units(table: TableDef, units: list[int]) -> sql.Composable | None:
    return _with_key(table, table.unit_column, units)


def _of_principals(
    table: TableDef, principals: list[int], *, is_shared: bool
) -> sql.Composable | None:
    """Rows that belong to the principals, or are shared with them."""
    owned = _with_key(table, table.owner_column, principals)
    if owned is None or not is_shared:
        return owned
    shared = sql.SQL(
        "SELECT t.{row_id} FROM {relation} t"
        " JOIN data.{shares} s ON s.objectid = t.{row_id}"
        " JOIN sync.key_value k ON k.value = s.principalid WHERE k.id = ANY({keys})"
    ).format(
        row_id=columns.row_id(table),
        relation=schema.relation(table),
        shares=sql.Identifier(wanted.SHARES),
        keys=sql.Literal(principals),
    )
    return sql.SQL("{} UNION {}").format(owned, shared)


def _with_key(
    table: TableDef, column: str | None, keys: list[int]
) -> sql.Composable | None:
    if column is None:
        return None
    return sql.SQL(
        "SELECT t.{row_id} AS row_id FROM {relation} t"
        " JOIN sync.key_value k ON k.value = t.{column} WHERE k.id = ANY({keys})"
    ).format(
        row_id=columns.row_id(table),
        relation=schema.relation(table),
        column=columns.quoted(column),
        keys=sql.Literal(keys),
    )


def _note_units(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO sync.key_value (value)"
        " SELECT b.businessunitid FROM data.businessunit b WHERE NOT EXISTS"
        " (SELECT FROM sync.key_value v WHERE v.value = b.businessunitid)"
        " ON CONFLICT DO NOTHING"
    )
