"""Write side of the feed (FEED §1): wanted keys against stored entries.

Everything here runs in a transaction that holds the clock. Which rows are looked
at stands in a temporary table; which entries result is one statement per rule.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.staging.clock import LockedClock
from replication.visibility import rules
from replication.visibility.rules import Rule

_TOUCHED = sql.SQL(
    "(SELECT row_id, bool_or(changed) AS changed FROM touched GROUP BY row_id)"
)


def write_entries(
    conn: psycopg.Connection,
    table: TableDef,
    living: Iterable[Rule],
    *,
    held: LockedClock,
) -> None:
    """Bring the entries of the rows in `touched` up to date, under every rule.

    A row whose data changed gets a new rev for each live entry; entries whose
    keys no longer hold become tombstones. Rows of rules that are still being
    built are left for their catch-up.
    """
    note_keys(conn, table, _TOUCHED)
    for rule in living:
        if rule.state == "active":
            _write_difference(conn, rule, table, held=held)
        else:
            leave_for_catchup(conn, rule)


def note_keys(
    conn: psycopg.Connection, table: TableDef, rows: sql.Composable | None
) -> None:
    """Give every owner and business unit of the rows its small integer.

    Principals and units get theirs when they appear, and not when the first row
    names them: a subscription that was computed before must not lack the key.
    """
    for column in _key_columns(table):
        joined = (
            sql.SQL("JOIN {} r ON r.row_id = t.{}").format(rows, columns.row_id(table))
            if rows is not None
            else sql.SQL("")
        )
        conn.execute(
            sql.SQL(
                "INSERT INTO sync.key_value (value)"
                " SELECT DISTINCT t.{column} FROM {relation} t {joined}"
                " WHERE t.{column} IS NOT NULL AND NOT EXISTS"
                " (SELECT FROM sync.key_value v WHERE v.value = t.{column})"
                " ON CONFLICT DO NOTHING"
            ).format(
                column=columns.quoted(column),
                relation=schema.relation(table),
                joined=joined,
            )
        )


# Tables whose keys are principals or business units.
_PRINCIPALS = frozenset({"systemuser", "team", "businessunit"})


def _key_columns(table: TableDef) -> list[str]:
    named = [table.owner_column, table.unit_column]
    if table.name in _PRINCIPALS:
        named.append(table.key[0])
    return [name for name in named if name is not None]


def leave_for_catchup(conn: psycopg.Connection, rule: Rule) -> None:
    conn.execute(
        "INSERT INTO sync.catchup SELECT DISTINCT %s::integer, row_id FROM touched"
        " ON CONFLICT DO NOTHING",
        (rule.id,),
    )


def _write_difference(
    conn: psycopg.Connection, rule: Rule, table: TableDef, *, held: LockedClock
) -> None:
    # The keys are compared as COALESCE(k, 0), which no id is, because a full join
    # cannot use IS NOT DISTINCT FROM.
    written = conn.execute(
        sql.SQL(
            """
            WITH touched_once AS MATERIALIZED {touched},
            wanted AS ({wanted}),
            stored AS (
                SELECT f.row_id, f.k1, f.k2, f.k3, f.live
                FROM touched_once r JOIN {feed} f ON f.row_id = r.row_id
            ),
            difference AS (
                SELECT coalesce(w.row_id, s.row_id) AS row_id,
                       coalesce(w.k1, s.k1) AS k1,
                       coalesce(w.k2, s.k2) AS k2,
                       coalesce(w.k3, s.k3) AS k3,
                       w.row_id IS NOT NULL AS live,
                       s.live AS was_live
                FROM wanted w FULL JOIN stored s
                  ON w.row_id = s.row_id
                 AND coalesce(w.k1, 0) = coalesce(s.k1, 0)
                 AND coalesce(w.k2, 0) = coalesce(s.k2, 0)
                 AND coalesce(w.k3, 0) = coalesce(s.k3, 0)
            )
            INSERT INTO {feed} AS f (rule, row_id, k1, k2, k3, rev, live)
            SELECT %(rule)s, d.row_id, d.k1, d.k2, d.k3,
                   %(rev)s + row_number() OVER (ORDER BY d.row_id, d.k1, d.k2, d.k3),
                   d.live
            FROM difference d JOIN touched_once r ON r.row_id = d.row_id
            WHERE d.live IS DISTINCT FROM d.was_live AND (d.live OR d.was_live)
               OR (d.live AND r.changed)
            ON CONFLICT (row_id, k1, k2, k3)
            DO UPDATE SET rev = excluded.rev, live = excluded.live
            """
        ).format(
            touched=_TOUCHED,
            wanted=rules.wanted_keys(rule, table, sql.SQL("touched_once")),
            feed=rule.partition,
        ),
        {"rule": rule.id, "rev": held.rev},
    )
    held.take(written.rowcount)
