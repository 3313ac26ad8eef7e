"""Write side of the feed (FEED §1): wanted keys against stored entries.

Everything here runs in a transaction that holds the clock. Which rows are looked
at stands in a temporary table; which entries result is one statement per rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging.clock import LockedClock
from replication.visibility import wanted
from replication.visibility.rules import Rule

TOUCHED = sql.Identifier("touched")


def write_entries(
    conn: psycopg.Connection,
    table: TableDef,
    living: Iterable[Rule],
    *,
    tables: Mapping[str, TableDef],
    held: LockedClock,
    rows: sql.Identifier = TOUCHED,
) -> None:
    """Bring the entries of the rows in `rows` up to date, under these rules.

    A row whose data changed gets a new rev for each live entry; entries whose
    keys no longer hold become tombstones. Rows of rules that are still being
    built are left for their catch-up.
    """
    for rule in living:
        if rule.state == "active":
            _write_difference(conn, rule, table, tables, held=held, rows=rows)
        else:
            leave_for_catchup(conn, rule, rows)


def leave_for_catchup(
    conn: psycopg.Connection, rule: Rule, rows: sql.Identifier = TOUCHED
) -> None:
    conn.execute(
        sql.SQL(
            "INSERT INTO sync.catchup SELECT DISTINCT %s::integer, row_id FROM {}"
            " ON CONFLICT DO NOTHING"
        ).format(rows),
        (rule.id,),
    )


def _write_difference(
    conn: psycopg.Connection,
    rule: Rule,
    table: TableDef,
    tables: Mapping[str, TableDef],
    *,
    held: LockedClock,
    rows: sql.Identifier,
) -> None:
    written = conn.execute(
        _DIFFERENCE.format(
            touched=rows,
            wanted=_beside_parameters(
                conn,
                wanted.wanted_keys(rule, table, tables, rows=sql.SQL("touched_once")),
            ),
            feed=rule.partition,
            **key_lists(rule),
        ),
        {"rule": rule.id, "rev": held.rev},
    )
    held.take(written.rowcount)


def _beside_parameters(conn: psycopg.Connection, query: sql.Composable) -> sql.SQL:
    """The query for a statement with parameters, where a filter's `%` is no sign."""
    return sql.SQL(query.as_string(conn).replace("%", "%%"))


# The keys are compared as COALESCE(k, 0), which no id is, because a full join cannot
# use IS NOT DISTINCT FROM.
_DIFFERENCE = sql.SQL(
    """
    WITH touched_once AS MATERIALIZED
        (SELECT row_id, bool_or(changed) AS changed FROM {touched} GROUP BY row_id),
    wanted AS ({wanted}),
    stored AS (
        SELECT f.row_id, {stored_keys}, f.live
        FROM touched_once r JOIN {feed} f ON f.row_id = r.row_id
    ),
    difference AS (
        SELECT coalesce(w.row_id, s.row_id) AS row_id, {either_key},
               w.row_id IS NOT NULL AS live, s.live AS was_live
        FROM wanted w FULL JOIN stored s ON w.row_id = s.row_id AND {same_keys}
    )
    INSERT INTO {feed} AS f (rule, row_id, {keys}, rev, live)
    SELECT %(rule)s, d.row_id, {different_keys},
           %(rev)s + row_number() OVER (ORDER BY d.row_id, {different_keys}),
           d.live
    FROM difference d JOIN touched_once r ON r.row_id = d.row_id
    WHERE d.live IS DISTINCT FROM d.was_live AND (d.live OR d.was_live)
       OR (d.live AND r.changed)
    ON CONFLICT (row_id, {keys})
    DO UPDATE SET rev = excluded.rev, live = excluded.live
    """
)


def key_lists(rule: Rule) -> dict[str, sql.Composable]:
    """The rule's key columns in the lists that statements need."""

    def each(template: str, separator: str = ", ") -> sql.Composable:
        return sql.SQL(separator).join(
            sql.SQL(template).format(sql.Identifier(key)) for key in rule.keys
        )

    return {
        "keys": each("{0}"),
        "stored_keys": each("f.{0}"),
        "different_keys": each("d.{0}"),
        "either_key": each("coalesce(w.{0}, s.{0}) AS {0}"),
        "same_keys": each("coalesce(w.{0}, 0) = coalesce(s.{0}, 0)", " AND "),
    }
