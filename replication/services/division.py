"""Share the load of a large table among workers, and wait until they are done.

Whoever holds the table's work item plans the parts, and ends the load once all of them
were read: what changed since then comes with an ordinary run of pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import psycopg

from project.errors import MisconfiguredError, RejectedError
from provisioning import failpoints
from replication.domain import parts as planning
from replication.domain.modes import Found
from replication.domain.pages import Cursor
from replication.domain.parts import Division, Listing, Loading, Repairing, Span
from replication.source import ResyncRequiredError, Source
from replication.staging import parts, registry
from replication.staging.registry import SourceTable
from replication.staging.sweep import begin_full_load

Standing = Literal["undivided", "goes on", "waits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divider:
    """Of how many rows on tables are divided, and who is to hear of their parts.

    `planned` is called with the numbers of parts that are to be read, again and again
    until there are none.
    """

    # None: the source bears one request at a time.
    rows: int | None = None
    planned: Callable[[Sequence[int]], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The table's fence, and for how long the work on it may go on."""

    conn: psycopg.Connection
    table: str
    epoch: int
    renew: Callable[[], None]
    ends_at: float

    def staged(self) -> SourceTable:
        staged = registry.table(self.conn, self.table)
        assert staged is not None
        return staged.pulled

    def store(self, division: Division) -> None:
        with self.conn.transaction():
            registry.hold_fence(self.conn, self.table, epoch=self.epoch)
            registry.store_division(self.conn, self.table, division)
        self.renew()


def stand(held: Held, source: Source, divider: Divider) -> Standing:
    """Bring the division on, as far as the time slice allows.

    `undivided`: what is left can be pulled page by page. `goes on`: there is more to
    do before parts can be read. `waits`: parts are to be read by others.

    :raises FencedError: another worker took the table over.
    """
    _begin(held, source, divider)
    while True:
        staged = held.staged()
        match staged.division:
            case None | Repairing():
                return "undivided"
            case Listing() as listing:
                if not _list(held, source, staged, listing):
                    return "goes on"
            case Loading() as loading:
                left = parts.unfinished(held.conn, staged.id)
                if left:
                    divider.planned(left)
                    return "waits"
                _repair(held, staged, loading)


def _begin(held: Held, source: Source, divider: Divider) -> None:
    """Divide the load if it is to begin now, and worth it."""
    if divider.rows is None:
        return
    staged = held.staged()
    column = _column(source, staged)
    if column is None:
        return
    rows = source.row_count(staged.definition) or 0
    count = planning.how_many(rows, divide_from=divider.rows)
    if count == 1:
        return
    if staged.definition.tracked:
        held.store(Listing(parts=count))
        return
    assert staged.found is not None
    then = source.ranges().cursor_after(staged.definition, staged.found, None)
    span = source.ranges().ends(staged.definition, column)
    if span is not None:
        spans = planning.spans((), span, parts=count)
        _plan(held, staged, spans, column=column, then=then)


def _column(source: Source, staged: SourceTable) -> str | None:
    """By what a load can be divided that begins now; None when none does."""
    begins = staged.cursor is None and staged.loading != "none"
    is_new = staged.division is None and staged.served is None
    if not (begins and is_new and staged.is_divisible and staged.found):
        return None
    return source.ranges().column(staged.definition, staged.found)


def _list(held: Held, source: Source, staged: SourceTable, listing: Listing) -> bool:
    """Read keys and versions to the end, as far as the time slice allows."""
    ranges, table = source.ranges(), staged.definition
    while True:
        try:
            page = ranges.listed(table, listing.link)
        except ResyncRequiredError:
            if listing.link is None:
                raise
            # The run expired before its end: once more.
            listing = Listing(parts=listing.parts)
            continue
        values = ranges.versions(table, page.rows)
        listing = listing.with_page(values, link=page.next_link)
        if page.delta_link is not None:
            _end_listing(held, source, staged, listing, page.delta_link)
            return True
        held.store(listing)
        if time.monotonic() >= held.ends_at:
            return False


def _end_listing(
    held: Held, source: Source, staged: SourceTable, listing: Listing, link: str
) -> None:
    ranges, table = source.ranges(), staged.definition
    found = staged.found or Found(mode="delta")
    try:
        then = ranges.cursor_after(table, found, link)
        column = ranges.column(table, found)
        # After the cursor was given: rows beyond the end are among its changes.
        span = ranges.ends(table, column) if column else None
    except (MisconfiguredError, RejectedError, ResyncRequiredError):
        give_up(held.conn, held.table, epoch=held.epoch)
        return
    if span is None or column is None:
        give_up(held.conn, held.table, epoch=held.epoch)
        return
    spans = planning.spans(listing.sample, span, parts=listing.parts)
    _plan(held, staged, spans, column=column, then=then)


def _plan(
    held: Held,
    staged: SourceTable,
    spans: Sequence[Span],
    *,
    column: str,
    then: str,
) -> None:
    with held.conn.transaction():
        registry.hold_fence(held.conn, held.table, epoch=held.epoch)
        parts.plan(held.conn, staged, spans, column=column)
        registry.store_division(held.conn, held.table, Loading(then=then))
    failpoints.reach("division.planned")


def _repair(held: Held, staged: SourceTable, loading: Loading) -> None:
    """All parts are read: follow what changed since the load began."""
    with held.conn.transaction():
        registry.hold_fence(held.conn, held.table, epoch=held.epoch)
        parts.close(held.conn, staged)
        registry.store_cursor(
            held.conn, held.table, Cursor(kind="delta", link=loading.then)
        )
        registry.store_division(held.conn, held.table, Repairing())
    failpoints.reach("division.closed")


def give_up(conn: psycopg.Connection, table: str, *, epoch: int | None) -> None:
    """Load the table anew, by one worker. Without an epoch, whoever asks holds a part.

    :raises FencedError: another worker took the table over.
    """
    with conn.transaction():
        if epoch is not None:
            registry.hold_fence(conn, table, epoch=epoch)
        else:
            registry.lock(conn, table)
        staged = registry.table(conn, table)
        assert staged is not None
        registry.note_indivisible(conn, table)
        begin_full_load(conn, staged.pulled)
