"""Record what became of edits, together with their rows as the source has them now.

One thread of a run records for all devices: rows are read by the application user, to
whom nothing is masked, merged like a page, and stand with the outcomes in one
transaction. It locks as a page does: its tables, then the clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors, sql

from project.errors import MisconfiguredError, RejectedError, TransientError
from provisioning import failpoints
from replication.domain.pages import Page
from replication.domain.tables import TableDef
from replication.odata.errors import MalformedAnswerError
from replication.odata.writing import ReadRow
from replication.services.commit import PathsMovedError
from replication.services.write_back_run import Draft, Found
from replication.source import Source
from replication.staging import clock, merge, registry, write_backs
from replication.staging.clock import LockedClock
from replication.staging.registry import SourceTable
from replication.staging.write_backs import Pages, Verdict
from replication.visibility import dependants, derive, reconcile, rules
from replication.visibility.rules import Rule

logger = logging.getLogger(__name__)

# Whoever reads a table that is being pulled meets pages now and then, not each time.
_ATTEMPTS = 50


class _OutdatedError(Exception):
    """A page was committed since the rows were read; they may be older than it."""


@dataclass(slots=True, kw_only=True)
class _Read:
    """Rows of one table, all of them read after `pages`."""

    source: SourceTable
    keys: set[str] = field(default_factory=set)
    pages: list[Pages] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def gone(self) -> list[str]:
        return sorted(self.keys - set(self.versions))


Reads = Mapping[str, _Read]


class Recorder:
    """Records drafts, in the order in which they are handed over."""

    def __init__(self, conn: psycopg.Connection, source: Source, *, epoch: int) -> None:
        self._conn = conn
        self._source = source
        self._epoch = epoch
        # Rows that were gone: nobody's earlier reading brings them back.
        self._gone: set[tuple[str, str]] = set()
        # The table for whose rows the connection is prepared.
        self._prepared: TableDef | None = None
        reconcile.prepare(conn)

    def record(self, drafts: Sequence[Draft]) -> int:
        """Return how many outcomes were recorded.

        :raises FencedError: another worker took over.
        :raises TransientError: the source cannot be asked; nothing was recorded.
        """
        fresh: dict[int, Found | None] = {id(draft): draft.found for draft in drafts}
        for _ in range(_ATTEMPTS):
            reads = self._read(drafts, fresh)
            failpoints.reach("upload.read_back")
            for name, read in reads.items():
                self._gone |= {(name, key) for key in read.gone}
            try:
                return self._commit(drafts, reads)
            except (_OutdatedError, PathsMovedError, errors.DeadlockDetected):
                # What senders have read is as old: everything is read anew.
                fresh = {}
        raise TransientError("The rows were pulled each time they had been read.")

    # Reading.

    def _read(
        self, drafts: Iterable[Draft], fresh: Mapping[int, Found | None]
    ) -> Reads:
        wanted = [draft for draft in drafts if draft.is_read_again]
        names = {str(draft.edit.stored.table) for draft in wanted}
        if not names:
            return {}
        pages = write_backs.last_pages(self._conn, names)
        reads = {
            t.definition.name: _Read(source=_as_merged(t))
            for t in registry.tables(self._conn)
            if t.definition.name in names and t.is_complete
        }
        self._sort(wanted, reads, fresh)
        for name, read in list(reads.items()):
            if not self._fetch(read, pages):
                del reads[name]
        return reads

    def _sort(
        self, drafts: Iterable[Draft], reads: Reads, fresh: Mapping[int, Found | None]
    ) -> None:
        """Say which rows have to be read, and take over those that senders have read.

        Only where nobody else can have changed the row in between for all we know.
        """
        by_row: dict[tuple[str, str], list[Draft]] = {}
        for draft in drafts:
            row = draft.edit.stored.row
            if row is not None and row[0] in reads:
                by_row.setdefault(row, []).append(draft)
        for (name, key), of_row in by_row.items():
            found = fresh.get(id(of_row[0])) if len(of_row) == 1 else None
            is_usable = (name, key) not in self._gone and _orders(reads[name])
            if is_usable and found is not None and found.row is not None:
                self._take(reads[name], found.row, found.pages)
            else:
                reads[name].keys.add(key)

    def _take(self, read: _Read, row: ReadRow, pages: Pages) -> None:
        read.pages.append(pages)
        read.versions[row.key] = row.version
        read.rows += row.page.rows

    def _fetch(self, read: _Read, pages: Pages) -> bool:
        """Read the rows that nobody has read; False if the source keeps them."""
        missing = read.gone
        if not missing:
            return True
        table = read.source.definition
        try:
            page = self._source.fetch_rows(table, missing)
        except (MisconfiguredError, RejectedError, MalformedAnswerError) as error:
            if getattr(error, "concerns_organization", False):
                raise
            # The edit is done all the same; the next pull brings its row.
            extra = {"table": table.name, "code": error.code}
            logger.warning("Row not read back", extra=extra)
            return False
        codec = self._source.codec(table)
        read.pages.append(pages)
        read.rows += page.rows
        read.versions |= {codec.key(row): codec.version(row) for row in page.rows}
        set_aside = {row.key for row in page.set_aside}
        read.keys -= {key for key in read.keys if key in set_aside}
        return True

    # Committing.

    def _commit(self, drafts: Sequence[Draft], reads: Reads) -> int:
        with self._conn.transaction():
            write_backs.hold_fence(self._conn, epoch=self._epoch)
            self._lock_tables(reads)
            failpoints.reach("upload.tables_locked")
            held = clock.lock(self._conn)
            living = rules.living(self._conn)
            for read in reads.values():
                self._merge(read, living, held=held)
            failpoints.reach("upload.merged")
            recorded = self._settle(drafts, reads, held)
            clock.store(self._conn, held)
            failpoints.reach("upload.stored")
        failpoints.reach("upload.recorded")
        return recorded

    def _lock_tables(self, reads: Reads) -> None:
        """Keep pages off, and see that none came since the rows were read."""
        names = sorted(reads)
        if not names:
            return
        # In one order, so that nobody waits in a circle.
        for name in names:
            registry.lock(self._conn, name)
        now = write_backs.last_pages(self._conn, names)
        for name in names:
            staged = registry.table(self._conn, name)
            read = reads[name]
            is_same = (
                staged is not None
                and staged.definition_rev == read.source.definition_rev
                and staged.loading == read.source.loading
                and all(pages.get(name) == now[name] for pages in read.pages)
            )
            if not is_same:
                raise _OutdatedError

    def _merge(
        self, read: _Read, living: tuple[Rule, ...], *, held: LockedClock
    ) -> None:
        source = read.source
        table = source.definition
        self._prepare(table)
        watched = dependants.watched(table, living)
        # Not the last page of anything: a full load that is going on has met these.
        page = Page(rows=read.rows, deletes=read.gone, next_link=None)
        merged = merge.merge_page(
            self._conn, source, page, self._source.codec(table), watched=watched
        )
        if not merged.touched:
            return
        registry.count_rows(self._conn, table.name, merged.inserted - merged.deleted)
        changed_access = held.changed_access
        derive.touched_rows(self._conn, source, living, completes=False, held=held)
        held.changed_access = held.changed_access or changed_access
        # The next table begins with none.
        for name in ("touched", "incoming"):
            self._conn.execute(
                sql.SQL("DELETE FROM {}").format(sql.Identifier("pg_temp", name))
            )

    def _prepare(self, table: TableDef) -> None:
        if self._prepared != table:
            merge.prepare(self._conn, table)
            self._prepared = table

    def _settle(self, drafts: Sequence[Draft], reads: Reads, held: LockedClock) -> int:
        verdicts = [_verdict(draft, reads) for draft in drafts]
        recorded = write_backs.settle(self._conn, verdicts, after_rev=held.rev)
        held.take(len(verdicts))
        done: dict[UUID, list[UUID]] = {}
        for one in verdicts:
            if one.status == "applied":
                done.setdefault(one.device_id, []).append(one.id)
        for device_id, ids in done.items():
            write_backs.release(self._conn, device_id, ids)
        return recorded


def _orders(read: _Read) -> bool:
    """Whether a row that was read earlier can do no harm: versions tell what is newer."""
    table = read.source.definition
    return table.version_column is not None and read.source.loading == "none"


def _as_merged(staged: SourceTable) -> SourceTable:
    """The table as rows are written into it: with the columns that are being filled."""
    return staged.pulled if staged.coming_way == "fill" else staged


def _key_of(draft: Draft) -> str:
    key = draft.edit.stored.row_key
    assert key is not None
    return key


def _verdict(draft: Draft, reads: Reads) -> Verdict:
    stored = draft.edit.stored
    settled = draft.settled
    version = _version(draft, reads)
    outcome: dict[str, Any] = {
        "version": version if settled.status == "applied" else None,
        "merged": settled.merged or None,
        "uncertain": draft.is_uncertain or None,
        "lost": list(settled.lost) or None,
        "reason": settled.reason,
        "message": settled.message,
        "blocked_by": str(draft.blocked_by) if draft.blocked_by else None,
    }
    return Verdict(
        device_id=draft.device_id,
        sequence=stored.sequence,
        id=stored.id,
        status=settled.status,
        outcome={name: value for name, value in outcome.items() if value is not None},
        source_version=_own_version(draft, version),
    )


def _own_version(draft: Draft, version: str | None) -> str | None:
    """The version that the edit has left. A row that does not tell whether it was
    edited bears somebody else's."""
    if not draft.was_sent or draft.is_uncertain:
        return None
    return draft.left_version or version


def _version(draft: Draft, reads: Reads) -> str | None:
    if not draft.is_read_again:
        return None
    read = reads.get(str(draft.edit.stored.table))
    return read.versions.get(_key_of(draft)) if read else None
