"""One page of changes becomes part of staging: rows, feed and cursor, or nothing.

The order inside the transaction is fixed: fence, merge, lock the clock, derive the
feed in statements that begin after the lock, store the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from provisioning import failpoints
from replication.domain.pages import Cursor, Page
from replication.source import RowCodec
from replication.staging import clock, merge, registry
from replication.staging.merge import Merged
from replication.staging.registry import SourceTable
from replication.staging.sweep import forget_seen, sweep
from replication.visibility import dependants, derive, new_forms, reconcile, rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a page changed in staging."""

    written: int
    deleted: int
    unchanged: int
    is_last: bool

    @classmethod
    def of(cls, merged: Merged, *, swept: int, is_last: bool) -> Committed:
        return cls(
            written=merged.written,
            deleted=merged.deleted + swept,
            unchanged=merged.unchanged,
            is_last=is_last,
        )


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
    :raises DefinitionMovedError: the page was read by a former definition.
    :raises SweepBrakeError: a full load would delete suspiciously many rows.
    """
    if says_nothing(source, page):
        return _pass(conn, source, page, epoch=epoch)
    while True:
        try:
            return _commit(
                conn, source, page, codec, epoch=epoch, accepts_sweep=accepts_sweep
            )
        except PathsMovedError:
            # A rule begun meanwhile reaches rows by a column whose former values
            # were not noted: once more, with the rules that there are now.
            continue


def says_nothing(source: SourceTable, page: Page) -> bool:
    """Whether the page is a whole run without any change, as most are."""
    is_idle = source.loading == "none" and source.served is None
    is_run = source.cursor is not None and source.cursor.kind == "delta"
    has_rows = page.rows or page.deletes or page.met or page.set_aside
    return is_idle and is_run and page.is_last and not has_rows


def _pass(
    conn: psycopg.Connection, source: SourceTable, page: Page, *, epoch: int
) -> Committed:
    """Commit a run without changes: one statement, which holds the fence by itself."""
    registry.pass_page(
        conn,
        source.definition.name,
        following(page),
        watermark=page.watermark,
        epoch=epoch,
        definition_rev=source.definition_rev,
    )
    failpoints.reach("page.committed")
    return Committed(written=0, deleted=0, unchanged=0, is_last=True)


class PathsMovedError(Exception):
    """More columns have to be watched than were."""


def _commit(
    conn: psycopg.Connection,
    source: SourceTable,
    page: Page,
    codec: RowCodec,
    *,
    epoch: int,
    accepts_sweep: bool,
) -> Committed:
    with conn.transaction():
        registry.hold_fence(
            conn,
            source.definition.name,
            epoch=epoch,
            definition_rev=source.definition_rev,
        )
        if _takes_form(source, page):
            # Before the page's locks, for whoever builds a rule waits for those.
            reconcile.keep_off(conn)
        watched = dependants.watched(source.definition, rules.living(conn))
        merged = merge.merge_page(conn, source, page, codec, watched=watched)
        failpoints.reach("page.merged")
        swept = 0
        if page.is_last and source.loading == "full":
            swept = sweep(conn, source, accepts_any=accepts_sweep, watched=watched)
        completes = page.is_last and source.loading == "first"
        if _takes_form(source, page):
            new_forms.take_place(
                conn, source, watched=watched, accepts_any=accepts_sweep
            )
        if merged.touched or swept or completes:
            write_feed(conn, source, completes=completes, watched=watched)
        if _takes_form(source, page):
            new_forms.tell_devices(conn, source)
        failpoints.reach("page.derived")
        _store_progress(conn, source, page, merged, swept)
        failpoints.reach("page.stored")
    failpoints.reach("page.committed")
    return Committed.of(merged, swept=swept, is_last=page.is_last)


def _takes_form(source: SourceTable, page: Page) -> bool:
    """The rows are complete in the form that comes."""
    return page.is_last and source.served is not None


def write_feed(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    completes: bool,
    watched: frozenset[str],
) -> None:
    """Derive the feed of what the page has touched.

    :raises PathsMovedError: the page has to be merged once more.
    """
    if not source.is_complete and not completes:
        # Nobody sees a table before its first load is complete.
        return
    held = clock.lock(conn)
    failpoints.reach("page.locked")
    living = rules.living(conn)
    if not dependants.watched(source.definition, living) <= watched:
        raise PathsMovedError
    derive.touched_rows(conn, source, living, completes=completes, held=held)
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
    if page.watermark is not None:
        registry.store_watermark(conn, name, page.watermark)
    if not source.replaces:
        registry.count_rows(conn, name, merged.inserted - merged.deleted - swept)
    if page.is_last:
        registry.note_complete(conn, name)
        if source.loading == "full":
            registry.note_reconciled(conn, name)
        has_run = source.cursor is None or source.cursor.kind == "next"
        if source.is_repaired or (source.is_complete and has_run):
            forget_seen(conn, source)


def following(page: Page) -> Cursor | None:
    """The place after the page; None when the next pull starts from the beginning."""
    if page.next_link is not None:
        return Cursor(kind="next", link=page.next_link)
    if page.delta_link is not None:
        return Cursor(kind="delta", link=page.delta_link)
    return None
