"""Workers that pull, die between any two statements, and meet each other there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.pq import TransactionStatus

from project.errors import SyncError
from provisioning.models import Organization
from provisioning.services import staging_databases
from replication.odata.client import ODataSource
from replication.services import segments as stored
from replication.services.commit import commit_page
from replication.services.pull import (
    Progress,
    PullOrder,
    _without_recreated,
    pull_table,
)
from replication.services.segments import Keeping
from replication.source import ResyncRequiredError
from replication.staging import connections, merge, registry
from replication.visibility import access, moving, reconcile, segments
from replication.visibility.access import OfflineNotAllowedError
from replication.visibility.member import NotReadyError
from replication.visibility.segment_building import Sizes
from replication.visibility.segments import Demand
from tests.fake_dataverse import ENDPOINT
from tests.oracle import world
from tests.oracle.failures import MismatchError
from tests.oracle.pulled import PlayedSource, Pulled, Wire
from tests.staged import guid

# Whoever waits longer waits for himself.
OPTIONS = "-c timezone=UTC -c lock_timeout=5s"
LONG = timedelta(minutes=1)
ONE_PAGE = timedelta(0)
# Everything is stored that anybody may hold, in blocks of two rows.
TINY = Keeping(sizes=Sizes(block_rows=2, least_rows=1), least_devices=1)


class WorkerDiedError(Exception):
    """The process is gone, and its connection with it."""


class WorkerConnection(psycopg.Connection[Any]):
    """Tells an interruption of every statement before it is sent."""

    interruption: Interruption | None = None

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if self.interruption is not None:
            self.interruption.before(self, query)
        return super().execute(query, params, **options)


class Interruption:
    """Counts a worker's statements, and says in what position it is."""

    def __init__(self) -> None:
        self.statements = 0
        self.holds_clock = False
        self.holds_table = False
        self.is_reconciling = False

    def before(self, conn: WorkerConnection, query: Any) -> None:
        self.statements += 1
        if conn.info.transaction_status == TransactionStatus.IDLE:
            self.holds_clock = self.holds_table = False
        text = query if isinstance(query, str) else ""
        locks_clock = "sync.clock FOR UPDATE" in text
        self.is_reconciling |= "advisory_lock(" in text
        self.act(conn, locks_clock=locks_clock)
        self.is_reconciling &= "pg_advisory_unlock" not in text
        self.holds_clock |= locks_clock
        self.holds_table |= conn.info.transaction_status != TransactionStatus.IDLE

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        """To be overridden; does nothing."""


class Death(Interruption):
    """The worker dies before its n-th statement."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        if self.statements == self._at:
            conn.close()
            raise WorkerDiedError


class Meeting(Interruption):
    """Another worker does something before the n-th statement, or before the clock.

    `at=None` means: when the rows are merged and the clock is about to be locked.
    """

    def __init__(self, at: int | None, other: Callable[[], None]) -> None:
        super().__init__()
        self._at = at
        self._other = other
        self.has_happened = False

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        is_time = locks_clock if self._at is None else self.statements >= self._at
        if is_time and not self.has_happened and self.is_safe():
            self.has_happened = True
            self._other()

    def is_safe(self) -> bool:
        """Otherwise the other one would wait for this one, and both for ever."""
        return not self.holds_clock


class AtClock(Interruption):
    """Something happens before the n-th time that the worker locks the clock."""

    def __init__(self, at: int, event: Callable[[], None]) -> None:
        super().__init__()
        self._at = at
        self._event = event
        self.has_happened = False

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        self._at -= locks_clock
        if locks_clock and self._at == 0:
            self.has_happened = True
            self._event()


class DeathAtClock(AtClock):
    """The worker dies there."""

    def __init__(self, at: int) -> None:
        super().__init__(at, self._die)

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        try:
            super().act(conn, locks_clock=locks_clock)
        except WorkerDiedError:
            conn.close()
            raise

    @staticmethod
    def _die() -> None:
        raise WorkerDiedError


class WhileBuilding(Interruption):
    """Something happens when the clock is about to be locked and `is_time` says so."""

    def __init__(self, is_time: Callable[[], bool], event: Callable[[], None]) -> None:
        super().__init__()
        self._is_time = is_time
        self._event = event
        self.has_happened = False

    def act(self, conn: WorkerConnection, *, locks_clock: bool) -> None:
        if locks_clock and not self.has_happened and self._is_time():
            self.has_happened = True
            self._event()


class Takeover(Meeting):
    """The same, by a worker that has taken over this one's own table."""

    def is_safe(self) -> bool:
        return not (self.holds_clock or self.holds_table or self.is_reconciling)


class Workers:
    """All workers of one organization, one connection for each table."""

    def __init__(self, owner: Organization) -> None:
        self.conninfo = staging_databases.conninfo(owner)
        self._connections: dict[str, WorkerConnection] = {}
        self._epoch = 0
        self._newest: dict[str, int] = {}
        self.source: PlayedSource
        self.pulled: Pulled

    def begin(self, source: PlayedSource, pulled: Pulled) -> None:
        self.source, self.pulled = source, pulled

    def connection(self, table: str) -> WorkerConnection:
        conn = self._connections.get(table)
        if conn is None or conn.closed:
            conn = WorkerConnection.connect(
                self.conninfo, autocommit=True, options=OPTIONS
            )
            self._connections[table] = conn
        return conn

    def close(self) -> None:
        for conn in self._connections.values():
            conn.close()
        self._connections.clear()

    def pull(
        self,
        table: str,
        *,
        page_size: int = 5000,
        time_slice: timedelta = LONG,
        wants_resync: bool = False,
        interruption: Interruption | None = None,
    ) -> Progress | None:
        """Pull as the next worker that gets the lease; None when it did not survive."""
        conn, wire, epoch = (
            self.connection(table),
            Wire(self.source),
            self._lease(table),
        )
        order = PullOrder(
            table=table,
            epoch=epoch,
            time_slice=time_slice,
            renew=lambda: None,
            page_committed=lambda: self._committed(table, epoch, wire),
            wants_resync=wants_resync,
        )
        conn.interruption = interruption
        try:
            return pull_table(conn, _source(wire, page_size), order)
        except WorkerDiedError:
            return None
        except SyncError:
            # Who has lost his table may stumble over what his successor left.
            if epoch == self._newest[table]:
                raise
            return None
        finally:
            conn.interruption = None
            wire.close()

    def commit_one_page(self, table: str, *, page_size: int = 5000) -> None:
        """The least that a worker does: one page, and no look at the rules."""
        conn, wire, epoch = (
            self.connection(table),
            Wire(self.source),
            self._lease(table),
        )
        registry.fence(conn, table, epoch=epoch)
        staged = registry.table(conn, table)
        assert staged is not None
        merge.prepare(conn, staged.definition)
        reconcile.prepare(conn)
        source = _source(wire, page_size)
        try:
            page = source.fetch_page(staged.definition, staged.cursor)
        except ResyncRequiredError:
            return
        page = _without_recreated(conn, source, staged, page)
        codec = source.codec(staged.definition)
        commit_page(conn, staged, page, codec, epoch=epoch)
        self._committed(table, epoch, wire)

    def take_over(self, table: str) -> None:
        """Another worker gets the lease of a table whose worker still runs."""
        conn = self._connections.pop(table)
        try:
            self.pull(table)
        finally:
            self._connections.pop(table).close()
            self._connections[table] = conn

    def reconcile(self, *, interruption: Interruption | None = None) -> bool:
        """Bring the rules up to date; False when the worker did not survive."""
        conn = self.connection("")
        conn.interruption = interruption
        try:
            reconcile.reconcile(conn)
        except WorkerDiedError:
            return False
        finally:
            conn.interruption = None
        return True

    def keep_time(
        self, now: datetime, *, interruption: Interruption | None = None
    ) -> bool:
        """Move the rules' windows; False when the worker did not survive."""
        conn = self.connection("time")
        if not moving.is_due(conn, now=now):
            return True
        reconcile.prepare(conn)
        conn.interruption = interruption
        try:
            moving.advance(conn, now=now)
        except WorkerDiedError:
            return False
        finally:
            conn.interruption = None
        return True

    def keep_segments(self, *, interruption: Interruption | None = None) -> int | None:
        """Store what anybody may hold; None when the worker did not survive."""
        conn = self.connection("segments")
        segments.note_demand(conn, self._demands(conn), device_id=uuid4())
        conn.interruption = interruption
        try:
            return stored.tend(conn, keeping=TINY)
        except WorkerDiedError:
            return None
        finally:
            conn.interruption = None

    def _demands(self, conn: WorkerConnection) -> list[Demand]:
        demands = []
        with connections.snapshot(conn):
            for person in world.PEOPLE:
                with contextlib.suppress(OfflineNotAllowedError, NotReadyError):
                    held = access.access_of(conn, guid(person))
                    for table in held.tables.values():
                        demands += segments.demands(table, table.grants)
        return demands

    def _lease(self, table: str) -> int:
        self._epoch += 1
        self._newest[table] = self._epoch
        return self._epoch

    def _committed(self, table: str, epoch: int, wire: Wire) -> None:
        if epoch != self._newest[table]:
            raise MismatchError(f"A worker that had lost {table} committed a page.")
        self.pulled.apply(table, *wire.committed())


def _source(wire: Wire, page_size: int) -> ODataSource:
    return ODataSource(wire, endpoint=ENDPOINT, kind="dataverse", page_size=page_size)
