"""Carry the waiting edits of an organization's devices to its source.

Devices in parallel, as many as the source bears requests; each device's edits one after
the other. This thread lines devices up, records what became of their edits, and lets
threads begin as slots of the source's budget become free.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty
from uuid import UUID

import psycopg
from django.db import connection

from project.errors import SyncError
from provisioning import failpoints
from provisioning.models import Organization
from replication.odata.client import ODataSource
from replication.odata.measured import SourceShutError
from replication.services import allowance, write_back_files
from replication.services.allowance import Allowance
from replication.services.write_back_device import Carrier
from replication.services.write_back_recording import Recorder
from replication.services.write_back_run import Batch, Run, RunOverError
from replication.services.write_back_told import Told
from replication.staging import connections, write_backs

# Outcomes that are recorded in one transaction.
_MOST_AT_ONCE = 200
_LOOK_SECONDS = 0.05
# How often another slot is asked for, and devices with new edits are looked for.
_GROW_SECONDS = 0.25
_RENEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBackOrder:
    """Under which lease, with how many threads at most, and for how long.

    `renew` extends the lease and raises when it is lost.
    """

    work_item_id: UUID
    epoch: int
    threads: int
    time_slice: timedelta
    renew: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBack:
    """What a run has done. `next_in`: until an edit may be tried again; None: none
    waits."""

    settled: int
    has_more: bool
    next_in: timedelta | None


def write_back(
    organization: Organization, opened: ODataSource, order: WriteBackOrder
) -> WrittenBack:
    """Carry what waits, as far as the time slice allows. Repeatable after any crash.

    :raises FencedError: another worker took over.
    :raises SourceShutError: the source may not be asked now.
    :raises SyncError: something that concerns all devices; what was done is recorded.
    """
    with connections.opened(organization.id) as conn:
        write_backs.fence(conn, epoch=order.epoch)
        turns = write_backs.turns(conn)
        if not any(turn.waits is None or turn.waits <= timedelta() for turn in turns):
            waits = [turn.waits for turn in turns if turn.waits is not None]
            return WrittenBack(
                settled=0, has_more=False, next_in=min(waits, default=None)
            )
        asked = allowance.asking(
            organization, opened, work_item_id=order.work_item_id, urgent=True
        )
        with asked as (source, allowed):
            lane = _Lane(conn=conn, source=source, allowed=allowed)
            return _Supervisor(organization, opened, order, lane).work()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """A connection to staging, and a slot of the source's budget."""

    conn: psycopg.Connection
    source: ODataSource
    allowed: Allowance


class _Supervisor:
    """Keeps the threads of one run busy, and records for them."""

    def __init__(
        self,
        organization: Organization,
        opened: ODataSource,
        order: WriteBackOrder,
        lane: _Lane,
    ) -> None:
        self._organization = organization
        self._opened = opened
        self._order = order
        self._conn = lane.conn
        self._source = lane.source
        self._allowed = lane.allowed
        self._recorder = Recorder(lane.conn, lane.source, epoch=order.epoch)
        self._told = Told(organization, lane.source)
        self._run = Run(organization.id, epoch=order.epoch, time_slice=order.time_slice)
        self._threads: list[threading.Thread] = []
        self._settled = 0
        self._looked_at = self._renewed_at = 0.0

    def work(self) -> WrittenBack:
        try:
            while self._has_work():
                self._look_around()
                self._record()
        except BaseException as error:
            self._run.stop(error)
            raise
        finally:
            self._run.stop()
            for thread in self._threads:
                thread.join()
        self._record_rest()
        if self._run.error is not None:
            raise self._run.error
        return WrittenBack(
            settled=self._settled,
            has_more=self._run.has_more,
            next_in=self._run.next_in,
        )

    def _has_work(self) -> bool:
        if self._run.is_over:
            self._run.has_more = not self._run.is_idle
            return any(thread.is_alive() for thread in self._threads)
        if not self._run.batches.empty() or not self._run.is_idle:
            return True
        self._line_up()
        return not self._run.is_idle

    def _look_around(self) -> None:
        now = time.monotonic()
        if now - self._renewed_at >= _RENEW_SECONDS:
            self._renewed_at = now
            self._order.renew()
            self._allowed.look()
        if now - self._looked_at >= _GROW_SECONDS and not self._run.is_over:
            self._looked_at = now
            self._line_up()
            self._grow()

    def _line_up(self) -> None:
        self._run.add(write_backs.turns(self._conn))

    def _grow(self) -> None:
        """Begin as many threads as devices wait; those without a slot end at once."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        free = self._order.threads - len(self._threads)
        for _ in range(min(free, self._run.waiting)):
            # One may share the slot of this thread: there may be no other.
            is_first = not self._threads
            self._begin_thread(self._source if is_first else None)

    def _begin_thread(self, source: ODataSource | None) -> None:
        thread = threading.Thread(
            target=self._carry, args=(source,), name="write-back", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _carry(self, shared: ODataSource | None) -> None:
        """Carry devices' edits with a slot of its own, or the shared one if there is
        none."""
        try:
            with connections.opened(self._organization.id) as conn:
                self._serve_with_slot(conn, shared)
        except RunOverError:
            pass
        except BaseException as error:
            self._run.stop(error)
            if not isinstance(error, SyncError | psycopg.Error):
                raise
        finally:
            connection.close()

    def _serve_with_slot(
        self, conn: psycopg.Connection, shared: ODataSource | None
    ) -> None:
        asked = allowance.asking(
            self._organization,
            self._opened,
            work_item_id=self._order.work_item_id,
            urgent=True,
        )
        with ExitStack() as stack:
            source = shared
            with suppress(SourceShutError):
                source, _ = stack.enter_context(asked)
            # One slot more may not be had; the other threads go on.
            if source is not None:
                self._serve(conn, source)

    def _serve(self, conn: psycopg.Connection, source: ODataSource) -> None:
        carrier = Carrier(self._run, conn, source.writer())
        while (device_id := self._run.take()) is not None:
            has_more = True
            try:
                has_more = carrier.turn(device_id)
            except SourceShutError as error:
                self._run.stop(error)
            finally:
                self._run.give_back(device_id, has_more=has_more)

    def _record_rest(self) -> None:
        """What threads handed over before they ended; if that cannot be recorded, it
        is found out later."""
        while not self._run.batches.empty():
            try:
                self._record()
            except (SyncError, psycopg.Error) as error:
                self._run.stop(error)
                return

    def _record(self) -> None:
        batches = self._handed_over()
        drafts = [draft for batch in batches for draft in batch.drafts]
        if drafts:
            failpoints.reach("upload.handed_over")
            self._told.before(drafts)
            self._settled += self._recorder.record(drafts)
            write_back_files.forget_done(self._organization.id, drafts)
        for batch in batches:
            batch.done.set()
        self._told.after(drafts)

    def _handed_over(self) -> list[Batch]:
        """Wait a moment for the first batch, and take what is there by then."""
        found: list[Batch] = []
        try:
            found.append(self._run.batches.get(timeout=_LOOK_SECONDS))
            while sum(len(batch.drafts) for batch in found) < _MOST_AT_ONCE:
                found.append(self._run.batches.get_nowait())
        except Empty:
            pass
        return found
