"""Pull one part of a table whose load several workers share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import errors

from provisioning import failpoints
from replication.domain.pages import Cursor, Page
from replication.services import division
from replication.services.commit import Committed, PathsMovedError, write_feed
from replication.services.fetching import fetched_ahead
from replication.services.pull import Progress
from replication.source import RangesUnsupportedError, RowCodec, Source
from replication.staging import merge, parts, registry
from replication.staging.merge import Merged
from replication.staging.parts import Part, PartGoneError
from replication.staging.registry import DefinitionMovedError, SourceTable
from replication.visibility import dependants, reconcile, rules

# Parts share no rows, but rows of the table that pages of parts touch may be the same:
# set-aside rows, key values, rows that others depend on.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOrder:
    """Which part, under which lease; see `PullOrder`."""

    table: str
    number: int
    epoch: int
    time_slice: timedelta
    renew: Callable[[], None]


def pull_part(conn: psycopg.Connection, source: Source, order: PartOrder) -> Progress:
    """Read what is left of the part, as far as the time slice allows.

    Finished also if the part is not to be read any more. Repeatable after any crash:
    each page is committed with the place that follows it.

    :raises FencedError: another worker took the part over.
    :raises SyncError: the source failed; what was committed stays.
    """
    progress = Progress()
    ends_at = time.monotonic() + order.time_slice.total_seconds()
    reconcile.prepare(conn)
    try:
        staged = _staged(conn, order)
        parts.fence(conn, staged, order.number, epoch=order.epoch)
        while not _pull_pages(conn, source, order, progress, ends_at=ends_at):
            # The definition changed: what was fetched by the former one is worthless.
            continue
    except PartGoneError:
        progress.is_finished = True
    except RangesUnsupportedError:
        division.give_up(conn, order.table, epoch=None)
        progress.is_finished = True
    return progress


def _pull_pages(
    conn: psycopg.Connection,
    source: Source,
    order: PartOrder,
    progress: Progress,
    *,
    ends_at: float,
) -> bool:
    """Pull by one definition; False when there is another meanwhile."""
    staged = _staged(conn, order)
    part = parts.find(conn, staged, order.number)
    merge.prepare(conn, staged.definition)
    codec = source.codec(staged.definition)
    reader = source.ranges().reader(part.column, upto=part.upto)
    with fetched_ahead(reader, staged.definition) as pages:
        cursor: Cursor | None = Cursor(kind="next", link=str(part.after))
        while cursor is not None:
            page = pages.take(cursor)
            cursor = _following(page)
            if cursor is not None and time.monotonic() < ends_at:
                pages.prefetch(cursor)
            try:
                committed = _commit_patiently(conn, staged, part, page, codec, order)
            except DefinitionMovedError:
                return False
            order.renew()
            progress.count(committed)
            if time.monotonic() >= ends_at:
                break
    return True


def _following(page: Page) -> Cursor | None:
    return Cursor(kind="next", link=page.next_link) if page.next_link else None


def _staged(conn: psycopg.Connection, order: PartOrder) -> SourceTable:
    staged = registry.table(conn, order.table)
    if staged is None:
        raise PartGoneError(f"Staging has no table {order.table}.")
    return staged.pulled


def _commit_patiently(
    conn: psycopg.Connection,
    staged: SourceTable,
    part: Part,
    page: Page,
    codec: RowCodec,
    order: PartOrder,
) -> Committed:
    for _ in range(_ATTEMPTS - 1):
        try:
            return _commit(conn, staged, part, page, codec, epoch=order.epoch)
        except (errors.DeadlockDetected, errors.UniqueViolation, PathsMovedError):
            continue
    return _commit(conn, staged, part, page, codec, epoch=order.epoch)


def _commit(
    conn: psycopg.Connection,
    staged: SourceTable,
    part: Part,
    page: Page,
    codec: RowCodec,
    *,
    epoch: int,
) -> Committed:
    """Commit the page with the place that follows it.

    It ends its part, but not the load: nothing is swept, and nobody sees rows of a
    table that was never complete.
    """
    with conn.transaction():
        parts.hold(conn, staged, part.number, epoch=epoch)
        watched = dependants.watched(staged.definition, rules.living(conn))
        merged = merge.merge_page(conn, staged, page, codec, watched=watched)
        failpoints.reach("part.merged")
        if merged.touched:
            write_feed(conn, staged, completes=False, watched=watched)
        _store(conn, part, page, merged)
        failpoints.reach("part.stored")
    failpoints.reach("part.committed")
    return Committed.of(merged, swept=0, is_last=page.is_last)


def _store(conn: psycopg.Connection, part: Part, page: Page, merged: Merged) -> None:
    after = int(page.next_link) if page.next_link else None
    parts.store(conn, part, after=after, more=merged.inserted - merged.deleted)
