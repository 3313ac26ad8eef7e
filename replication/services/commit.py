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
    while True:
        try:
            return _commit(
                conn, source, page, codec, epoch=epoch, accepts_sweep=accepts_sweep
            )
        except _PathsMovedError:
            # A rule begun meanwhile reaches rows by a column whose former values
            # were not noted: once more, with the rules that there are now.
            continue


class _PathsMovedError(Exception):
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
            _write_feed(conn, source, completes=completes, watched=watched)
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


def _write_feed(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    completes: bool,
    watched: frozenset[str],
) -> None:
    if not source.is_complete and not completes:
        # Nobody sees a table before its first load is complete.
        return
    held = clock.lock(conn)
    failpoints.reach("page.locked")
    living = rules.living(conn)
    if not dependants.watched(source.definition, living) <= watched:
        raise _PathsMovedError
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
