"""The parts of a load that several workers share, each with a fence of its own.

A part belongs to the generation in which it was planned: a load that begins anew
deletes it, and pages that are on their way find it gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from project.errors import TransientError
from replication.domain.parts import Span
from replication.staging.registry import (
    DefinitionMovedError,
    FencedError,
    SourceTable,
)

# A step of `install`: it is released, and so never edited.
TABLES = """
ALTER TABLE sync.source
    -- How far a load has come that several workers share (domain.parts).
    ADD COLUMN division text,
    -- False: the source could not be read by ranges; nobody tries again.
    ADD COLUMN is_divisible boolean NOT NULL DEFAULT true;

-- Ranges of rows that are loaded side by side, each by whoever holds its lease.
CREATE TABLE sync.part (
    source_id integer NOT NULL,
    number integer NOT NULL,
    fencing_epoch bigint NOT NULL DEFAULT 0,
    column_name text NOT NULL,
    -- What is left: values above the one, up to the other.
    after_value bigint NOT NULL,
    upto_value bigint NOT NULL,
    -- How many more rows the table has since.
    row_count bigint NOT NULL DEFAULT 0,
    last_page_at timestamptz,
    completed_at timestamptz,
    PRIMARY KEY (source_id, number)
);
"""

_COLUMNS = "source_id, number, column_name, after_value, upto_value"


class PartGoneError(TransientError):
    """The load that the part was of began anew, or somebody has completed it."""

    code = "part_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A range of rows that are still to be read."""

    source_id: int
    number: int
    column: str
    after: int
    upto: int


def plan(
    conn: psycopg.Connection,
    source: SourceTable,
    spans: Iterable[Span],
    *,
    column: str,
) -> None:
    """Write the parts down; the caller holds the table's fence."""
    conn.execute("DELETE FROM sync.part WHERE source_id = %s", (source.id,))
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO sync.part ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s)",
            [
                (source.id, number, column, span.after, span.upto)
                for number, span in enumerate(spans, start=1)
            ],
        )


def unfinished(conn: psycopg.Connection, source_id: int) -> list[int]:
    rows = conn.execute(
        "SELECT number FROM sync.part WHERE source_id = %s AND completed_at IS NULL"
        " ORDER BY number",
        (source_id,),
    )
    return [number for (number,) in rows]


def find(conn: psycopg.Connection, source: SourceTable, number: int) -> Part:
    """:raises PartGoneError: nothing of it is to be read any more."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.part WHERE source_id = %s AND number = %s"
        " AND completed_at IS NULL",
        (source.id, number),
    ).fetchone()
    if row is None:
        raise _gone(source, number)
    source_id, number, column, after, upto = row
    return Part(
        source_id=source_id, number=number, column=column, after=after, upto=upto
    )


def fence(
    conn: psycopg.Connection, source: SourceTable, number: int, *, epoch: int
) -> None:
    """Copy the lease's epoch into staging, unless a newer one is there.

    :raises FencedError: another worker has the part.
    :raises PartGoneError: there is no such part.
    """
    updated = conn.execute(
        "UPDATE sync.part SET fencing_epoch = %s"
        " WHERE source_id = %s AND number = %s AND fencing_epoch <= %s",
        (epoch, source.id, number, epoch),
    )
    if updated.rowcount == 0:
        raise _fenced(conn, source, number)


def hold(
    conn: psycopg.Connection, source: SourceTable, number: int, *, epoch: int
) -> None:
    """First statements of every page: keep the load as it is, and the part, or stop.

    Pages of other parts are not kept waiting, but whoever begins a load anew or
    changes the table's definition is. The order of the two locks is theirs.

    :raises FencedError: another worker has the part.
    :raises PartGoneError: the load began anew.
    :raises DefinitionMovedError: the page was read by a former definition.
    """
    row = conn.execute(
        "SELECT generation, definition_rev FROM sync.source WHERE id = %s FOR SHARE",
        (source.id,),
    ).fetchone()
    if row is None or row[0] != source.generation:
        raise _gone(source, number)
    if row[1] != source.definition_rev:
        message = f"The definition of table {source.definition.name} changed."
        raise DefinitionMovedError(message)
    held = conn.execute(
        "UPDATE sync.part SET last_page_at = now() WHERE source_id = %s"
        " AND number = %s AND fencing_epoch = %s AND completed_at IS NULL",
        (source.id, number, epoch),
    )
    if held.rowcount == 0:
        raise _fenced(conn, source, number)


def store(
    conn: psycopg.Connection, part: Part, *, after: int | None, more: int
) -> None:
    """Note how far the part has come; None: to its end."""
    conn.execute(
        "UPDATE sync.part SET after_value = coalesce(%s, upto_value),"
        " row_count = row_count + %s,"
        " completed_at = CASE WHEN %s::bigint IS NULL THEN now() END"
        " WHERE source_id = %s AND number = %s",
        (after, more, after, part.source_id, part.number),
    )


def close(conn: psycopg.Connection, source: SourceTable) -> None:
    """Forget the parts, and count their rows; the caller holds the table's fence."""
    conn.execute(
        "WITH gone AS (DELETE FROM sync.part WHERE source_id = %(id)s"
        " RETURNING row_count)"
        " UPDATE sync.source SET row_count = source.row_count"
        " + (SELECT coalesce(sum(gone.row_count), 0) FROM gone) WHERE id = %(id)s",
        {"id": source.id},
    )


def _gone(source: SourceTable, number: int) -> PartGoneError:
    name = source.definition.name
    return PartGoneError(f"Part {number} of table {name} is not to be read any more.")


def _fenced(
    conn: psycopg.Connection, source: SourceTable, number: int
) -> FencedError | PartGoneError:
    row = conn.execute(
        "SELECT fencing_epoch FROM sync.part WHERE source_id = %s AND number = %s"
        " AND completed_at IS NULL",
        (source.id, number),
    ).fetchone()
    if row is None:
        return _gone(source, number)
    message = f"Part {number} of table {source.definition.name} was taken over."
    return FencedError(message, epoch=row[0])
