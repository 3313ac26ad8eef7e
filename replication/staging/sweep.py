"""The end of a full load: rows that the source no longer has become tombstones."""

from __future__ import annotations

import psycopg
from psycopg import sql

from project.errors import MisconfiguredError
from replication.domain.tables import SECURITY_TABLES
from replication.staging import columns, quarantine, schema
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
    conn.execute(
        "UPDATE sync.source SET generation = generation + 1, cursor_kind = NULL,"
        " cursor_link = NULL, loading = CASE WHEN is_complete THEN 'full'"
        " ELSE 'first' END WHERE id = %s",
        (source.id,),
    )
    if not source.is_complete:
        conn.execute("UPDATE sync.source SET row_count = 0 WHERE id = %s", (source.id,))
        conn.execute(sql.SQL("TRUNCATE {}").format(schema.relation(source.definition)))


def sweep(
    conn: psycopg.Connection, source: SourceTable, *, accepts_any: bool = False
) -> int:
    """Delete what this generation has not met, into `touched`; return how many.

    `accepts_any`: an operator has looked at the source and takes the brake off.

    :raises SweepBrakeError: too many rows would go; nothing was deleted.
    """
    table = source.definition
    swept = conn.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {relation} t WHERE NOT EXISTS"
            " (SELECT FROM {seen} s WHERE s.row_id = t.{row_id})"
            " RETURNING t.{row_id} AS row_id)"
            " INSERT INTO touched SELECT row_id, true FROM gone"
        ).format(
            relation=schema.relation(table),
            row_id=columns.row_id(table),
            seen=schema.seen(source.id),
        )
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
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {}").format(schema.relation(source.definition))
    ).fetchone()
    assert row is not None
    before = row[0] + swept
    if is_suspicious(source.definition.name, swept=swept, before=before):
        raise SweepBrakeError(
            f"The full load of {source.definition.name} would delete {swept} of"
            f" {before} rows; an operator has to look at the source."
        )


def is_suspicious(table: str, *, swept: int, before: int) -> bool:
    """Whether so many rows of the table are unlikely to be gone. Pure."""
    if table in SECURITY_TABLES and swept == before >= BRAKE_SECURITY_ROWS:
        return True
    return swept > BRAKE_ROWS and swept > BRAKE_SHARE * before
