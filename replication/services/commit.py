"""One page of changes becomes part of staging: rows, feed and cursor, or nothing.

The order inside the transaction is fixed: fence, merge, lock the clock, derive the
feed in statements that begin after the lock, store the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from provisioning import failpoints
from replication.domain.pages import Cursor, Page
from replication.domain.tables import SECURITY_TABLES
from replication.source import RowCodec
from replication.staging import clock, merge, registry
from replication.staging.merge import Merged
from replication.staging.registry import SourceTable
from replication.staging.sweep import forget_seen, sweep
from replication.visibility import closure, feed, rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a page changed in staging."""

    written: int
    deleted: int
    unchanged: int
    is_last: bool


def commit_page(
    conn: psycopg.Connection,
    source: SourceTable,
    page: Page,
    codec: RowCodec,
    *,
    epoch: int,
    accepts_sweep: bool = False,
) -> Committed:
    """Commit the page with the cursor that follows it.

    :raises FencedError: another worker took the table over; nothing was written.
    :raises SweepBrakeError: a full load would delete suspiciously many rows.
    """
    with conn.transaction():
        registry.hold_fence(conn, source.definition.name, epoch=epoch)
        merged = merge.merge_page(conn, source, page, codec)
        failpoints.reach("page.merged")
        swept = 0
        if page.is_last and source.loading == "full":
            swept = sweep(conn, source, accepts_any=accepts_sweep)
        completes = page.is_last and source.loading == "first"
        if merged.touched or swept or completes:
            _write_feed(conn, source, completes=completes)
        failpoints.reach("page.derived")
        _store_progress(conn, source, page, merged, swept)
        failpoints.reach("page.stored")
    failpoints.reach("page.committed")
    return Committed(
        written=merged.written,
        deleted=merged.deleted + swept,
        unchanged=merged.unchanged,
        is_last=page.is_last,
    )


def _write_feed(
    conn: psycopg.Connection, source: SourceTable, *, completes: bool
) -> None:
    table = source.definition
    if not source.is_complete and not completes:
        # Nobody sees a table before its first load is complete.
        return
    held = clock.lock(conn)
    failpoints.reach("page.locked")
    if completes:
        feed.note_keys(conn, table, None)
    feed.write_entries(conn, table, rules.living(conn, source.id), held=held)
    if table.name == "businessunit":
        closure.refresh(conn, held=held)
    held.changed_access = completes or table.name in SECURITY_TABLES
    clock.store(conn, held)


def _store_progress(
    conn: psycopg.Connection,
    source: SourceTable,
    page: Page,
    merged: Merged,
    swept: int,
) -> None:
    name = source.definition.name
    registry.store_cursor(conn, name, following(page))
    registry.count_rows(conn, name, merged.inserted - merged.deleted - swept)
    if page.is_last:
        registry.note_complete(conn, name)
        if source.is_complete and (
            source.cursor is None or source.cursor.kind == "next"
        ):
            forget_seen(conn, source)


def following(page: Page) -> Cursor | None:
    """The place after the page; None when the next pull starts from the beginning."""
    if page.next_link is not None:
        return Cursor(kind="next", link=page.next_link)
    if page.delta_link is not None:
        return Cursor(kind="delta", link=page.delta_link)
    return None
