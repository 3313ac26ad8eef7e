"""The end of a full load: rows that the source no longer has become tombstones."""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from project.errors import MisconfiguredError
from provisioning import failpoints
from replication.domain.tables import SECURITY_TABLES, TableDef
from replication.staging import columns, former, quarantine, schema
from replication.staging.registry import SourceTable

# A sweep of more than this share, in a table of some size, is rather a source
# that answered too little than a table that lost its rows.
BRAKE_SHARE = 0.5
BRAKE_ROWS = 100
# A security table that becomes empty would lock everybody out.
BRAKE_SECURITY_ROWS = 5


class SweepBrakeError(MisconfiguredError):
    """A full load would delete a suspicious share of a table; an operator decides."""

    code = "sweep_brake"


def begin_full_load(conn: psycopg.Connection, source: SourceTable) -> None:
    """Start a new generation; the caller holds the fence.

    A table that is in use keeps its rows until the sweep. One that never was
    complete begins empty, because nobody would sweep what is left of the attempt.
    """
    forget_seen(conn, source)
    failpoints.reach("load.begun")
    conn.execute(
        "UPDATE sync.source SET generation = generation + 1, cursor_kind = NULL,"
        " cursor_link = NULL, loading = %s, division = NULL WHERE id = %s",
        ("full" if source.is_complete else "first", source.id),
    )
    conn.execute("DELETE FROM sync.part WHERE source_id = %s", (source.id,))
    if source.is_complete:
        return
    conn.execute(sql.SQL("TRUNCATE {}").format(schema.relation(source.definition)))
    if not source.replaces:
        conn.execute("UPDATE sync.source SET row_count = 0 WHERE id = %s", (source.id,))


def sweep(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    accepts_any: bool = False,
    watched: Collection[str] = (),
) -> int:
    """Delete what this generation has not met, into `touched`; return how many.

    Former values of the `watched` columns are noted.

    `accepts_any`: an operator has looked at the source and takes the brake off.

    :raises SweepBrakeError: too many rows would go; nothing was deleted.
    """
    table = source.definition
    places = {
        "relation": schema.relation(table),
        "row_id": columns.row_id(table),
        "seen": schema.seen(source.id),
    }
    going = sql.SQL(
        "SELECT t.{row_id} FROM {relation} t WHERE NOT EXISTS"
        " (SELECT FROM {seen} s WHERE s.row_id = t.{row_id})"
    ).format(**places)
    former.note(conn, table, watched, rows=going)
    swept = conn.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {relation} t WHERE NOT EXISTS"
            " (SELECT FROM {seen} s WHERE s.row_id = t.{row_id})"
            " RETURNING t.{row_id} AS row_id)"
            " INSERT INTO touched SELECT row_id, true FROM gone"
        ).format(**places)
    ).rowcount
    if swept and not accepts_any:
        _refuse_mass_deletion(conn, source, swept)
    quarantine.forget_unseen(conn, source)
    return swept


def forget_seen(conn: psycopg.Connection, source: SourceTable) -> None:
    """Begin the list of keys met anew."""
    conn.execute(sql.SQL("TRUNCATE {}").format(schema.seen(source.id)))


def _refuse_mass_deletion(
    conn: psycopg.Connection, source: SourceTable, swept: int
) -> None:
    before = _count(conn, source.definition) + swept
    _refuse(source.definition.name, swept=swept, before=before)


def refuse_mass_loss(
    conn: psycopg.Connection, *, before: TableDef, after: TableDef
) -> None:
    """:raises SweepBrakeError: a relation has suspiciously fewer rows than the one
    whose place it is to take."""
    held = _count(conn, before)
    lost = held - _count(conn, after)
    if lost > 0:
        _refuse(before.name, swept=lost, before=held)


def _refuse(table: str, *, swept: int, before: int) -> None:
    if is_suspicious(table, swept=swept, before=before):
        raise SweepBrakeError(
            f"The full load of {table} would delete {swept} of {before} rows;"
            " an operator has to look at the source."
        )


def _count(conn: psycopg.Connection, table: TableDef) -> int:
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {}").format(schema.relation(table))
    ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def is_suspicious(table: str, *, swept: int, before: int) -> bool:
    """Whether so many rows of the table are unlikely to be gone. Pure."""
    if table in SECURITY_TABLES and swept == before >= BRAKE_SECURITY_ROWS:
        return True
    return swept > BRAKE_ROWS and swept > BRAKE_SHARE * before
