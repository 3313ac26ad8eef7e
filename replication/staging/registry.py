"""The replicated tables of one staging database, and where each pull stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import psycopg

from project.errors import TransientError
from replication.domain.modes import Found, Mode
from replication.domain.pages import Cursor
from replication.domain.parts import Division, Repairing, decoded, encoded
from replication.domain.tables import TableDef


class FencedError(TransientError):
    """Another worker took the table over while this one was away.

    `epoch` is the one that staging knows.
    """

    code = "lease_lost"

    def __init__(self, message: str, *, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch


class DefinitionMovedError(TransientError):
    """The table's definition changed while a page was on its way."""

    code = "definition_moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A row of `sync.source`."""

    id: int
    relation: str
    definition: TableDef
    cursor: Cursor | None
    generation: int
    loading: str
    is_complete: bool
    definition_rev: int
    # How the rows are loaded now, until they are served in that form.
    coming: TableDef | None = None
    coming_way: str | None = None
    # Of the view that a pull has of a table with a form to come: the former one.
    served: TableDef | None = None
    # How changes are found; None until the source was asked.
    found: Found | None = None
    # When keys were last compared with the source's, beside polls.
    reconciled_at: datetime | None = None
    # Of a load that several workers share.
    division: Division | None = None
    is_divisible: bool = True

    @property
    def copies(self) -> bool:
        """Rows that come are not there yet, and nobody sees them before all came."""
        return self.loading == "first" and not self.is_repaired

    @property
    def is_repaired(self) -> bool:
        """All rows were read, and what changed meanwhile comes now."""
        return isinstance(self.division, Repairing)

    @property
    def mode(self) -> Mode:
        """How changes are found, as far as that is known."""
        if self.found is not None:
            return self.found.mode
        return "delta" if self.definition.tracked else "compare"

    @property
    def pulled(self) -> SourceTable:
        """The table as pulls see it: in the form that comes, if one does."""
        if self.coming is None or self.served is not None:
            return self
        return replace(
            self,
            definition=self.coming,
            served=self.definition,
            is_complete=self.is_complete and self.coming_way == "fill",
        )

    @property
    def fills(self) -> bool:
        """Every row is written, because it has columns that staging lacks."""
        return self.served is not None and self.coming_way == "fill"

    @property
    def replaces(self) -> bool:
        """The rows go into a relation that nobody reads yet."""
        return self.served is not None and self.coming_way == "replace"


_COLUMNS = (
    "id, relation, definition::text, cursor_kind, cursor_link, generation,"
    " loading, is_complete, definition_rev, coming::text, coming_way,"
    " mode, watermark_column, reconciled_at, division, is_divisible"
)


def table(conn: psycopg.Connection, name: str) -> SourceTable | None:
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.source WHERE name = %s", (name,)
    ).fetchone()
    return _source_table(row) if row else None


def tables(conn: psycopg.Connection) -> tuple[SourceTable, ...]:
    """All tables, by name."""
    rows = conn.execute(f'SELECT {_COLUMNS} FROM sync.source ORDER BY name COLLATE "C"')
    return tuple(_source_table(row) for row in rows)


def encode(definition: TableDef) -> str:
    return msgspec.json.encode(definition).decode()


def fence(conn: psycopg.Connection, name: str, *, epoch: int) -> None:
    """Copy the lease's epoch into staging, unless a newer one is there.

    :raises FencedError: another worker took over.
    """
    updated = conn.execute(
        "UPDATE sync.source SET fencing_epoch = %s"
        " WHERE name = %s AND fencing_epoch <= %s",
        (epoch, name, epoch),
    )
    if updated.rowcount == 0:
        raise _fenced(conn, name)


def hold_fence(
    conn: psycopg.Connection,
    name: str,
    *,
    epoch: int,
    definition_rev: int | None = None,
) -> None:
    """First statement of every page: lock the table's row, or stop.

    `definition_rev`: of the definition that the page was read by.

    :raises FencedError: another worker took over.
    :raises DefinitionMovedError: the page was read by a former definition.
    """
    row = conn.execute(
        "UPDATE sync.source SET last_page_at = now()"
        " WHERE name = %s AND fencing_epoch = %s RETURNING definition_rev",
        (name, epoch),
    ).fetchone()
    if row is None:
        raise _fenced(conn, name)
    if definition_rev not in (None, row[0]):
        raise DefinitionMovedError(f"The definition of table {name} changed.")


def pass_page(
    conn: psycopg.Connection,
    name: str,
    cursor: Cursor | None,
    *,
    watermark: str | None,
    epoch: int,
    definition_rev: int,
) -> None:
    """Hold the fence and store what follows a run without changes, in one statement.

    :raises FencedError: another worker took over.
    :raises DefinitionMovedError: the page was read by a former definition.
    """
    passed = conn.execute(
        "UPDATE sync.source SET cursor_kind = %s, cursor_link = %s,"
        " watermark = coalesce(%s, watermark), is_complete = true,"
        " last_page_at = now(), last_complete_at = now()"
        " WHERE name = %s AND fencing_epoch = %s AND definition_rev = %s"
        " AND loading = 'none'",
        (
            cursor.kind if cursor else None,
            cursor.link if cursor else None,
            watermark,
            name,
            epoch,
            definition_rev,
        ),
    )
    if passed.rowcount == 0:
        hold_fence(conn, name, epoch=epoch, definition_rev=definition_rev)
        raise DefinitionMovedError(f"Table {name} is being loaded anew.")


def lock(conn: psycopg.Connection, name: str) -> None:
    """Keep everybody's pages off the table until the transaction ends."""
    conn.execute("SELECT FROM sync.source WHERE name = %s FOR UPDATE", (name,))


def _fenced(conn: psycopg.Connection, name: str) -> FencedError:
    row = conn.execute(
        "SELECT fencing_epoch FROM sync.source WHERE name = %s", (name,)
    ).fetchone()
    message = f"Table {name} was taken over by another worker."
    return FencedError(message, epoch=row[0] if row else 0)


def store_cursor(conn: psycopg.Connection, name: str, cursor: Cursor | None) -> None:
    conn.execute(
        "UPDATE sync.source SET cursor_kind = %s, cursor_link = %s WHERE name = %s",
        (cursor.kind if cursor else None, cursor.link if cursor else None, name),
    )


def store_division(conn: psycopg.Connection, name: str, division: Division) -> None:
    conn.execute(
        "UPDATE sync.source SET division = %s WHERE name = %s",
        (encoded(division), name),
    )


def note_indivisible(conn: psycopg.Connection, name: str) -> None:
    conn.execute("UPDATE sync.source SET is_divisible = false WHERE name = %s", (name,))


def store_mode(conn: psycopg.Connection, name: str, found: Found) -> None:
    """Remember how changes of the table are found. Its cursor is of that mode."""
    conn.execute(
        "UPDATE sync.source SET mode = %s, watermark_column = %s, watermark = NULL,"
        " reconciled_at = NULL WHERE name = %s",
        (found.mode, found.column, name),
    )


def store_watermark(conn: psycopg.Connection, name: str, watermark: str) -> None:
    """For people: what a poll begins with is in its cursor."""
    conn.execute(
        "UPDATE sync.source SET watermark = %s WHERE name = %s", (watermark, name)
    )


def note_reconciled(conn: psycopg.Connection, name: str) -> None:
    conn.execute(
        "UPDATE sync.source SET reconciled_at = now() WHERE name = %s", (name,)
    )


def count_rows(conn: psycopg.Connection, name: str, more: int) -> None:
    conn.execute(
        "UPDATE sync.source SET row_count = row_count + %s WHERE name = %s",
        (more, name),
    )


def note_complete(conn: psycopg.Connection, name: str) -> None:
    """The last page of a pull is in: the table is as the source was."""
    conn.execute(
        "UPDATE sync.source SET loading = 'none', is_complete = true, division = NULL,"
        " last_complete_at = now() WHERE name = %s",
        (name,),
    )


@lru_cache(maxsize=4_096)
def _decoded(definition: str) -> TableDef:
    return msgspec.json.decode(definition, type=TableDef)


def _source_table(row: tuple[Any, ...]) -> SourceTable:
    source_id, relation, definition, kind, link, generation, loading, *rest = row
    is_complete, definition_rev, coming, coming_way, *more = rest
    mode, column, reconciled, division, is_divisible = more
    return SourceTable(
        id=source_id,
        relation=relation,
        definition=_decoded(definition),
        cursor=Cursor(kind=kind, link=link) if kind else None,
        generation=generation,
        loading=loading,
        is_complete=is_complete,
        definition_rev=definition_rev,
        coming=_decoded(coming) if coming else None,
        coming_way=coming_way,
        found=Found(mode=mode, column=column) if mode else None,
        reconciled_at=reconciled,
        division=decoded(division) if division else None,
        is_divisible=is_divisible,
    )
