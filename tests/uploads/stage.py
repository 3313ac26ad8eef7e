"""One organization whose staging database every life finds as new, and its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from project.errors import SyncError
from provisioning.models import Organization, SourceBudget, SourceSlot, WorkItem
from provisioning.services import staging_databases, uploads_due
from replication.domain.profiles import Conflicts
from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.services import allowance
from replication.services import write_back as service
from replication.services import write_back_run as runs
from replication.services.pull import PullOrder, pull_table
from replication.services.write_back import WriteBackOrder
from replication.staging import connections, install, schema
from replication.visibility import policy, reconcile
from tests.fake_dataverse import ENDPOINT
from tests.oracle import copies
from tests.oracle.devices import Ending
from tests.oracle.failures import MismatchError
from tests.oracle.workers import OPTIONS
from tests.staged import guid
from tests.uploads import world
from tests.uploads.checks import check_answer, check_quiet, check_staging
from tests.uploads.devices import UploadingDevice
from tests.uploads.failpoints import Places, Worker, WorkerDied
from tests.uploads.ledger import Ledger
from tests.uploads.occurrences import Occurrences
from tests.uploads.source import TIME_LIMIT, Plans, PlayedDataverse

BASE = "kept_uploads_base"
BACKUP = "kept_uploads_backup"
MOST_ROUNDS = 30
LONG = timedelta(minutes=1)
# Waiting is what a run without waiting edits does most.
service._LOOK_SECONDS = 0.002
runs.GLANCE_SECONDS = 0.01
allowance.LONGEST_WAIT = 0.0


class Wire:
    """One worker's way to the source, cut when the worker is dead."""

    def __init__(self, source: PlayedDataverse, worker: Worker) -> None:
        self._source = source
        self._worker = worker

    @property
    def time_limit(self) -> timedelta:
        return self._source.time_limit

    def get(self, url: str, **request: Any) -> Reply:
        return self._alive(lambda: self._source.get(url, **request))

    def send(self, method: str, url: str, **request: Any) -> Reply:
        return self._alive(lambda: self._source.send(method, url, **request))

    def _alive(self, ask: Callable[[], Reply]) -> Reply:
        if self._worker.is_dead:
            raise WorkerDied
        try:
            return ask()
        except WorkerDied:
            self._worker.is_dead = True
            raise


class Stage:
    """Begins anew for every life."""

    def __init__(self, owner: Organization) -> None:
        self.owner = owner
        self.conninfo = staging_databases.conninfo(owner)
        self.conn: psycopg.Connection[Any] = self._connected()
        self._pulling: dict[str, psycopg.Connection[Any]] = {}
        self._epoch = 0
        self.occurred = Occurrences()
        self.places = Places()
        self._install()

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, autocommit=True, options=OPTIONS)

    def _install(self) -> None:
        with self.conn.transaction():
            for name in ("data", "sync"):
                self.conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            install.install(self.conn)
            schema.create_missing(self.conn, world.TABLES)
        self.source = PlayedDataverse(world.TABLES)
        world.begin(self.source)
        policy.publish(self.conn, world.published("server_wins"))
        for table in world.TABLES:
            self.pull(table.name)
        reconcile.reconcile(self.conn)
        copies.keep(self.conn, BASE)
        uploads_due.ensure(self.owner.pk)
        self.item = WorkItem.objects.get(organization=self.owner, kind="uploads")

    def close(self) -> None:
        for conn in (self.conn, *self._pulling.values()):
            conn.close()
        connections.forget(self.owner.pk)

    def begin(
        self, *, has_markers: bool, conflicts: Conflicts, people: tuple[str, ...]
    ) -> None:
        """An empty organization, its devices, and nothing that goes wrong yet."""
        self.occurred.begin_run()
        self.places.forget()
        copies.restore(self.conn, BASE)
        self.conn.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")
        policy.publish(self.conn, world.published(conflicts))
        reconcile.reconcile(self.conn)
        self.source = PlayedDataverse(
            world.TABLES, has_markers=has_markers, note=self.occurred.note
        )
        world.begin(self.source)
        self.devices = [
            UploadingDevice(
                self.owner.pk,
                person,
                f"{person}'s device {number}",
                guid(f"device {number} of run {self.occurred.runs}"),
            )
            for number, person in enumerate(people)
        ]
        self.ledger = Ledger(
            source=self.source,
            devices=self.devices,
            policy=conflicts,
            has_markers=has_markers,
        )
        for device in self.devices:
            device.on_void = self.ledger.enter
            device.register()
        self.has_failed = False
        self._has_backup = False
        # The newest version of each row that staging has had.
        self.newest: dict[tuple[str, str], int] = {}

    # What workers do.

    def pull(self, table: str) -> None:
        conn = self._pulling.get(table)
        if conn is None or conn.closed:
            conn = self._pulling[table] = self._connected()
        order = PullOrder(
            table=table, epoch=self._lease(), time_slice=LONG, renew=lambda: None
        )
        pull_table(conn, self.source.source(), order)

    def pull_business(self) -> None:
        for table in world.BUSINESS:
            self.pull(table.name)

    def write_back(self, *, threads: int = 2) -> None:
        """One run, in which anything may happen that was planned; then what became of
        edits is looked at."""
        self.let_time_pass()
        self.ledger.before_run(self.conn)
        self.run(threads=threads)
        self.forget_plans()
        with self._noting():
            self.ledger.after_run(self.conn)
            check_staging(self.conn, self.source, self.newest)

    def forget_plans(self) -> None:
        """Nothing happens any more that was planned."""
        self.source.plans = Plans()
        self.places.forget()

    def run(self, *, threads: int) -> None:
        worker = self.places.begin()
        source = ODataSource(
            Wire(self.source, worker), endpoint=ENDPOINT, kind="dataverse"
        )
        order = WriteBackOrder(
            work_item_id=uuid4(),
            epoch=self._lease(),
            threads=threads,
            time_slice=timedelta(seconds=20),
            renew=lambda: None,
        )
        try:
            service.write_back(self.owner, source, order)
        except (WorkerDied, SyncError) as error:
            self.occurred.note(f"run ended: {type(error).__name__}")
        finally:
            worker.is_dead = True
            self.places.end()

    def _lease(self) -> int:
        self._epoch += 1
        return self._epoch

    def let_time_pass(self) -> None:
        """Until edits may be tried again, and the source be asked."""
        self.conn.execute("UPDATE sync.mutation SET next_try_at = NULL")
        SourceSlot.objects.update(holder=None, held_until=None)
        SourceBudget.objects.update(
            window=4, pace=None, paused_until=None, open_until=None, failures=0, trips=0
        )
        allowance._shut_until.clear()

    def let_requests_end(self) -> None:
        """So long that the source is at work on nothing any more."""
        if self.source.late:
            self.occurred.note("late one arrived")
        self.source.arrive()
        self.conn.execute(
            "UPDATE sync.mutation SET sent_at = sent_at - %s", (2 * TIME_LIMIT,)
        )

    def back_up_or_restore(self) -> None:
        if not self._has_backup:
            copies.keep(self.conn, BACKUP)
            self._has_backup = True
            return
        copies.restore(self.conn, BACKUP)
        self.conn.execute("UPDATE sync.clock SET identity = 'another server'")
        self.ledger.restored()
        self.newest.clear()
        self.occurred.note("restored")

    # What devices do.

    def sync(self, device: UploadingDevice, **how: Any) -> Ending:
        with self._noting():
            ending = device.hear(**how)
            if ending is Ending.COMPLETE:
                check_answer(device, self.conn, self.source)
        return ending

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """After something that may not be, nothing else means anything."""
        try:
            yield
        except MismatchError:
            self.has_failed = True
            raise

    # The end.

    def settle(self) -> None:
        """Nothing goes wrong any more: everything comes to rest, and is right."""
        self.forget_plans()
        self.let_requests_end()
        for _ in range(MOST_ROUNDS):
            endings = {self.sync(device) for device in self.devices}
            for device in self.devices:
                device.upload()
            self.write_back()
            if self._is_quiet() and endings == {Ending.COMPLETE}:
                break
        else:
            raise MismatchError("The queues are wedged.")
        self.pull_business()
        for device in self.devices:
            self.sync(device)
        check_quiet(self.conn, self.ledger)
        self._note_outcomes()

    def _is_quiet(self) -> bool:
        waiting = self.conn.execute(
            "SELECT FROM sync.mutation WHERE status = 'accepted' LIMIT 1"
        ).fetchone()
        return waiting is None and not any(device.unsent for device in self.devices)

    def _note_outcomes(self) -> None:
        for record in self.ledger.records(self.conn).values():
            self.occurred.note(record.status)
            for name in ("uncertain", "merged"):
                if record.outcome.get(name):
                    self.occurred.note(name)
            if record.outcome.get("lost") and self.ledger.policy == "merge":
                self.occurred.note("lost columns")
            if "reason" in record.outcome:
                self.occurred.note(record.outcome["reason"])
