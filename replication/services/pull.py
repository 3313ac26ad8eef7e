"""Pull one table: fetch pages, commit each, until the source has no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
from psycopg import sql

from project.errors import MisconfiguredError, TransientError
from replication.domain.modes import Found
from replication.domain.pages import Cursor, Page
from replication.domain.source_profiles import PROFILE_TABLES
from replication.domain.tables import TableDef
from replication.services import modes
from replication.services.commit import Committed, commit_page, following
from replication.source import (
    PageReader,
    PollingUnsupportedError,
    ResyncRequiredError,
    Source,
    TrackingUnsupportedError,
)
from replication.staging import merge, registry, schema
from replication.staging.registry import DefinitionMovedError, SourceTable
from replication.staging.sweep import begin_full_load
from replication.visibility import reconcile, source_profiles


class LoopingPagesError(TransientError):
    """A page was named as the next one for the second time."""

    code = "looping_link"


class UnknownTableError(MisconfiguredError):
    """The metadata of this table is not loaded, or the source has it no longer."""

    code = "unknown_table"


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a pull has done so far."""

    pages: int = 0
    written: int = 0
    deleted: int = 0
    unchanged: int = 0
    is_finished: bool = False

    def count(self, committed: Committed) -> None:
        self.pages += 1
        self.written += committed.written
        self.deleted += committed.deleted
        self.unchanged += committed.unchanged
        self.is_finished = committed.is_last


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOrder:
    """Which table, under which lease, and how long it may go on.

    `renew` extends the lease and raises when it is lost; it is called after each
    page. `time_slice` ends the pull between two pages, so that one large table
    never keeps the others waiting.
    """

    table: str
    epoch: int
    time_slice: timedelta
    renew: Callable[[], None]
    wants_resync: bool = False
    # An operator has agreed to a full load that deletes a large share of the table.
    accepts_sweep: bool = False
    resync_begun: Callable[[], None] = field(default=lambda: None)
    # How often the keys of a polled table are compared with the source's.
    reconcile_every: timedelta = timedelta(days=1)
    # Cursors expire with a change of metadata, among other reasons.
    cursor_expired: Callable[[], None] = field(default=lambda: None)


def pull_table(conn: psycopg.Connection, source: Source, order: PullOrder) -> Progress:
    """Bring the table up to date, as far as the time slice allows.

    Repeatable after any crash: each page is committed with its cursor.

    :raises UnknownTableError: staging has no such table.
    :raises FencedError: another worker took the table over.
    :raises SyncError: the source failed; what was committed stays.
    """
    # The fence cannot tell a table that is missing from one that was taken over.
    _staged(conn, order.table)
    registry.fence(conn, order.table, epoch=order.epoch)
    reconcile.prepare(conn)
    if reconcile.is_due(conn):
        reconcile.reconcile(conn)
    _begin(conn, source, order)
    progress = Progress()
    ends_at = time.monotonic() + order.time_slice.total_seconds()
    while not _pull_pages(conn, source, order, progress, ends_at=ends_at):
        # The definition changed: what was fetched by the former one is worthless.
        continue
    if order.table in PROFILE_TABLES and progress.is_finished:
        source_profiles.refresh(conn, source)
    if reconcile.is_due(conn):
        reconcile.reconcile(conn)
    return progress


def _begin(conn: psycopg.Connection, source: Source, order: PullOrder) -> None:
    """Find out the table's mode, and begin a load where one is due."""
    staged = _staged(conn, order.table)
    found = modes.found_out(conn, source, staged, epoch=order.epoch)
    staged = _staged(conn, order.table)
    if order.wants_resync or _compares_anew(staged):
        _restart(conn, order)
        order.resync_begun()
    elif modes.is_reconciliation_due(staged, found, interval=order.reconcile_every):
        modes.begin_reconciliation(conn, staged, epoch=order.epoch)


def _pull_pages(
    conn: psycopg.Connection,
    source: Source,
    order: PullOrder,
    progress: Progress,
    *,
    ends_at: float,
) -> bool:
    """Pull by one definition and in one mode; False when there is another meanwhile."""
    staged = _staged(conn, order.table)
    pulled_as = (staged.definition_rev, staged.found)
    merge.prepare(conn, staged.definition)
    codec = source.codec(staged.definition)
    reader = source.reader(staged.found) if staged.found else source
    with _pages(reader, staged.definition) as pages:
        while True:
            staged = _staged(conn, order.table)
            if (staged.definition_rev, staged.found) != pulled_as:
                return False
            if (page := _taken(conn, order, staged, pages)) is None:
                continue
            if not page.is_last and time.monotonic() < ends_at:
                pages.prefetch(following(page))
            page = _without_recreated(conn, source, staged, page)
            page = modes.completed(conn, source, staged, page, codec=codec)
            try:
                committed = commit_page(
                    conn,
                    staged,
                    page,
                    codec,
                    epoch=order.epoch,
                    accepts_sweep=order.accepts_sweep,
                )
            except DefinitionMovedError:
                return False
            order.renew()
            progress.count(committed)
            if committed.is_last or time.monotonic() >= ends_at:
                return True


def _taken(
    conn: psycopg.Connection, order: PullOrder, staged: SourceTable, pages: _Pages
) -> Page | None:
    """Return the next page, None when the table had to begin anew."""
    try:
        return pages.take(staged.cursor)
    except ResyncRequiredError:
        # Links that expire as soon as they are given would never end.
        if staged.cursor is None or pages.began_anew:
            raise
        order.cursor_expired()
        _restart(conn, order)
        pages.begin_anew()
    except (TrackingUnsupportedError, PollingUnsupportedError):
        if not _compare_instead(conn, staged, order):
            raise
    return None


def _without_recreated(
    conn: psycopg.Connection, source: Source, staged: SourceTable, page: Page
) -> Page:
    """Leave out deletes of rows that exist again.

    Deletes come last in a run of pages and carry no version: for a row that an
    earlier page brought, only the source can say what happened last (SOURCE §2.7).
    """
    if not page.deletes or not staged.definition.has_guid_key:
        return page
    doubtful = [
        key
        for (key,) in conn.execute(
            sql.SQL(
                "SELECT DISTINCT row_id::text FROM {} WHERE row_id = ANY(%s::uuid[])"
            ).format(schema.seen(staged.id)),
            (page.deletes,),
        )
    ]
    recreated = {key for key in doubtful if source.has_row(staged.definition, key)}
    deletes = [key for key in page.deletes if key not in recreated]
    return replace(page, deletes=deletes)


class _Pages:
    """Fetches pages, the next one while the present one is committed."""

    def __init__(
        self, source: PageReader, table: TableDef, executor: ThreadPoolExecutor
    ) -> None:
        self._source = source
        self._table = table
        self._executor = executor
        self._fetched: tuple[Cursor | None, Future[Page]] | None = None
        self._followed: set[str] = set()
        self.began_anew = False

    def take(self, cursor: Cursor | None) -> Page:
        fetched, self._fetched = self._fetched, None
        if fetched is not None and fetched[0] == cursor:
            page = fetched[1].result()
        else:
            page = self._source.fetch_page(self._table, cursor)
        self._refuse_loops(page)
        return page

    def prefetch(self, cursor: Cursor | None) -> None:
        self._fetched = (
            cursor,
            self._executor.submit(self._source.fetch_page, self._table, cursor),
        )

    def begin_anew(self) -> None:
        """Links that were followed may come again."""
        self._fetched = None
        self._followed.clear()
        self.began_anew = True

    def _refuse_loops(self, page: Page) -> None:
        if page.next_link is None:
            return
        if page.next_link in self._followed:
            raise LoopingPagesError(
                f"The source's pages of {self._table.name} lead in a circle."
            )
        self._followed.add(page.next_link)


@contextmanager
def _pages(source: PageReader, table: TableDef) -> Iterator[_Pages]:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch")
    try:
        yield _Pages(source, table, executor)
    finally:
        # A page that nobody will commit is not worth waiting for.
        executor.shutdown(wait=False, cancel_futures=True)


def _compares_anew(staged: SourceTable) -> bool:
    """Without change tracking every pull compares the whole table."""
    return (
        staged.mode == "compare" and staged.cursor is None and staged.loading == "none"
    )


def _compare_instead(
    conn: psycopg.Connection, staged: SourceTable, order: PullOrder
) -> bool:
    """Give up a mode that the source does not bear; False when none is left."""
    if staged.mode == "compare":
        return False
    modes.remember(conn, staged, Found(mode="compare"), epoch=order.epoch)
    _restart(conn, order)
    return True


def _restart(conn: psycopg.Connection, order: PullOrder) -> None:
    with conn.transaction():
        registry.hold_fence(conn, order.table, epoch=order.epoch)
        begin_full_load(conn, _staged(conn, order.table))


def _staged(conn: psycopg.Connection, name: str) -> SourceTable:
    staged = registry.table(conn, name)
    if staged is None:
        raise UnknownTableError(f"Staging has no table {name}.")
    return staged.pulled
