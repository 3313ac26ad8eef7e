"""Choose how a table is pulled, and complete pages that need the source once more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg

from provisioning import failpoints
from replication.domain.modes import Found, Place
from replication.domain.pages import Cursor, Page
from replication.source import RowCodec, Source
from replication.staging import differences, registry
from replication.staging.registry import SourceTable
from replication.staging.sweep import begin_full_load

# So many rows that a scan did not meet are asked for by their keys. Where more are
# gone, the brake on mass deletion decides.
_MOST_VERIFIED = 500


def found_out(
    conn: psycopg.Connection, source: Source, staged: SourceTable, *, epoch: int
) -> Found:
    """Return the table's mode; ask the source, and remember it, where that is due.

    A table that is compared is looked at again by every pull that begins: it may
    have been empty, or have had no time in any row.
    """
    known = staged.found
    if known is not None and _fits(known, staged) and not _is_asked_anew(staged):
        return known
    found = source.find_mode(staged.definition)
    if found != known:
        remember(conn, staged, found, epoch=epoch)
    return found


def remember(
    conn: psycopg.Connection, staged: SourceTable, found: Found, *, epoch: int
) -> None:
    """Store the mode. A cursor of another mode is worth nothing: the table begins anew.

    :raises FencedError: another worker took the table over.
    """
    name = staged.definition.name
    with conn.transaction():
        registry.hold_fence(conn, name, epoch=epoch)
        has_moved = staged.mode != found.mode or staged.found is not None
        registry.store_mode(conn, name, found)
        failpoints.reach("mode.stored")
        if has_moved and staged.cursor is not None:
            begin_full_load(conn, staged)


def is_reconciliation_due(
    staged: SourceTable, found: Found, *, interval: timedelta
) -> bool:
    """Whether keys are to be compared now, instead of a poll.

    That finds rows that were deleted, and edits that no poll could see. It is due
    once after a first load, for which rows may have moved from page to page.
    """
    if found.mode != "watermark" or not staged.is_complete or staged.served is not None:
        return False
    if staged.loading != "none":
        return False
    last = staged.reconciled_at
    return last is None or last < datetime.now(UTC) - interval


def begin_reconciliation(
    conn: psycopg.Connection, staged: SourceTable, *, epoch: int
) -> None:
    """Start a full load that reads keys and versions first.

    :raises FencedError: another worker took the table over.
    """
    name = staged.definition.name
    light = Cursor(kind="next", link=Place(kind="scan", light=True).encoded())
    with conn.transaction():
        registry.hold_fence(conn, name, epoch=epoch)
        begin_full_load(conn, staged)
        registry.store_cursor(conn, name, light)


def completed(
    conn: psycopg.Connection,
    source: Source,
    staged: SourceTable,
    page: Page,
    *,
    codec: RowCodec,
) -> Page:
    """Return the page with the rows for which the source has to be asked again."""
    table = staged.definition
    if page.outline is not None:
        differing, alike = differences.split(conn, staged, page.outline)
        page = replace(_with_rows(page, source.fetch_rows(table, differing)), met=alike)
    scans = staged.loading == "full" and staged.mode != "delta"
    if scans and page.is_last:
        # A page that came in another order may have hidden rows that are there.
        present = [*map(codec.key, page.rows), *page.met]
        keys = differences.missing(
            conn, staged, present=present, most=_MOST_VERIFIED + 1
        )
        if 0 < len(keys) <= _MOST_VERIFIED:
            page = _with_rows(page, source.fetch_rows(table, keys))
    return page


def _with_rows(page: Page, more: Page) -> Page:
    return replace(
        page,
        rows=[*page.rows, *more.rows],
        set_aside=(*page.set_aside, *more.set_aside),
        stripped_nuls=page.stripped_nuls + more.stripped_nuls,
        outline=None,
    )


def _fits(found: Found, staged: SourceTable) -> bool:
    """Whether the table still looks as it did when its mode was found out."""
    names = {column.name for column in staged.definition.columns}
    return found.column is None or found.column in names


def _is_asked_anew(staged: SourceTable) -> bool:
    begins = staged.cursor is None and staged.loading != "full"
    return staged.mode == "compare" and begins and not staged.definition.tracked
