"""Pull one table: fetch pages, commit each, until the source has no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
from psycopg import sql

from project.errors import MisconfiguredError
from replication.domain.modes import Found
from replication.domain.pages import Page
from replication.domain.source_profiles import PROFILE_TABLES
from replication.domain.tables import TableDef
from replication.services import division, modes
from replication.services.commit import (
    Committed,
    commit_page,
    following,
    says_nothing,
)
from replication.services.division import Divider, Standing
from replication.services.fetching import LoopingPagesError, Pages, fetched_ahead
from replication.source import (
    PollingUnsupportedError,
    ResyncRequiredError,
    Source,
    TrackingUnsupportedError,
)
from replication.staging import merge, registry, schema
from replication.staging.registry import DefinitionMovedError, SourceTable
from replication.staging.sweep import begin_full_load
from replication.visibility import reconcile, source_profiles

__all__ = [
    "LoopingPagesError",
    "Progress",
    "PullOrder",
    "UnknownTableError",
    "pull_table",
]


# More rows than these are asked for together.
_FEW = 3


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
    # Others have to read their parts of the table first.
    waits: bool = False

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
    # Told of every page once it is durable; `renew` only while there are more.
    page_committed: Callable[[], None] = field(default=lambda: None)
    # Large tables are shared among workers.
    divider: Divider = field(default=Divider())


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
    if reconcile.is_due(conn):
        reconcile.reconcile(conn)
    staged = _begin(conn, source, order)
    progress = Progress()
    ends_at = time.monotonic() + order.time_slice.total_seconds()
    standing = _divided(conn, source, order, staged, ends_at=ends_at)
    if standing != "undivided":
        progress.waits = standing == "waits"
        return progress
    while not _pull_pages(conn, source, order, progress, ends_at=ends_at):
        # The definition changed: what was fetched by the former one is worthless.
        continue
    if order.table in PROFILE_TABLES and progress.is_finished:
        source_profiles.refresh(conn, source)
    if reconcile.is_due(conn):
        reconcile.reconcile(conn)
    return progress


def _begin(conn: psycopg.Connection, source: Source, order: PullOrder) -> SourceTable:
    """Find out the table's mode, and begin a load where one is due."""
    staged = _staged(conn, order.table)
    found = modes.found_out(conn, source, staged, epoch=order.epoch)
    if found != staged.found:
        staged = _staged(conn, order.table)
    if order.wants_resync or _compares_anew(staged):
        _restart(conn, order)
        order.resync_begun()
    elif modes.is_reconciliation_due(staged, found, interval=order.reconcile_every):
        modes.begin_reconciliation(conn, staged, epoch=order.epoch)
    else:
        return staged
    return _staged(conn, order.table)


def _divided(
    conn: psycopg.Connection,
    source: Source,
    order: PullOrder,
    staged: SourceTable,
    *,
    ends_at: float,
) -> Standing:
    """Let others have their parts of a load, where there is one to share."""
    if staged.loading == "none":
        return "undivided"
    held = division.Held(
        conn=conn,
        table=order.table,
        epoch=order.epoch,
        renew=order.renew,
        ends_at=ends_at,
    )
    return division.stand(held, source, order.divider)


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
    is_prepared = False
    codec = source.codec(staged.definition)
    reader = source.reader(staged.found) if staged.found else source
    with fetched_ahead(reader, staged.definition) as pages:
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
            is_prepared = is_prepared or _prepare(conn, staged, page)
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
            progress.count(committed)
            order.page_committed()
            if committed.is_last or not _goes_on(order, ends_at):
                return True


def _prepare(conn: psycopg.Connection, staged: SourceTable, page: Page) -> bool:
    """Make the connection's temporary tables, if the page needs them: most do not."""
    if says_nothing(staged, page):
        return False
    reconcile.prepare(conn)
    merge.prepare(conn, staged.definition)
    return True


def _goes_on(order: PullOrder, ends_at: float) -> bool:
    order.renew()
    return time.monotonic() < ends_at


def _taken(
    conn: psycopg.Connection, order: PullOrder, staged: SourceTable, pages: Pages
) -> Page | None:
    """Return the next page, None when the table had to begin anew."""
    try:
        return _next_page(pages, staged)
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


def _next_page(pages: Pages, staged: SourceTable) -> Page:
    page = pages.take(staged.cursor)
    if page.lists_rows and _is_amid_changes(staged):
        # A link has expired, and nobody would tell what was deleted.
        name = staged.definition.name
        raise ResyncRequiredError(f"Changes of {name} are followed by all its rows.")
    return page


def _is_amid_changes(staged: SourceTable) -> bool:
    """Whether the next page goes on with changes that others before it began."""
    is_next = staged.cursor is not None and staged.cursor.kind == "next"
    return is_next and staged.mode == "delta" and staged.loading == "none"


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
    recreated = _present(source, staged.definition, doubtful)
    deletes = [key for key in page.deletes if key not in recreated]
    return replace(page, deletes=deletes)


def _present(source: Source, table: TableDef, keys: list[str]) -> set[str]:
    if len(keys) <= _FEW:
        return {key for key in keys if source.has_row(table, key)}
    found = source.fetch_rows(table, keys)
    codec = source.codec(table)
    return {*map(codec.key, found.rows), *(row.key or "" for row in found.set_aside)}


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
