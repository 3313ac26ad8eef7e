"""A source that takes edits, in memory, and an organization whose devices send some.

The writer keeps to what `replication.odata.writing.SourceWriter` promises; what it was
asked to do, and what it did, stands in a journal.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from provisioning.models import Organization, SourceSlot, WorkItem
from replication.domain.profiles import ProfileItem
from replication.domain.tables import TableDef
from replication.odata.answers import Reply
from replication.odata.client import ODataSource
from replication.odata.errors import SourceUnavailableError, UnknownOutcomeError
from replication.odata.reading_back import row_of
from replication.odata.writing import (
    MarkerExistsError,
    PreconditionFailedError,
    Sent,
    WriteRefusedError,
)
from replication.services import write_back
from replication.services.write_back import WriteBackOrder, WrittenBack
from replication.staging import connections
from tests.fake_dataverse import FakeDataverse
from tests.replication.worlds import World, profile
from tests.staged import guid

WRITABLE = ProfileItem(table="account", writable=True)


@dataclass
class Played:
    """One write that the source has carried out."""

    op: str
    table: str
    key: str
    values: dict[str, Any]
    caller: UUID | None
    marker: UUID | None


@dataclass
class PlayedSource:
    """A source as write-back needs it, with faults that a test sets."""

    fake: FakeDataverse
    has_markers: bool = True
    impersonates: bool = True
    journal: list[Played] = field(default_factory=list)
    markers: set[UUID] = field(default_factory=set)
    # Called before each change set with its writes; may raise.
    before: Callable[[list[Any]], None] = lambda _writes: None
    # The same, once it was carried out.
    after: Callable[[list[Any]], None] = lambda _writes: None
    time_limit: timedelta = timedelta(0)
    sync_errors: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    # Called before a row is read alone.
    before_read: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: ODataSource = self.fake.source()

    # What `ODataSource` has.

    def watched(self, _observer: object) -> PlayedSource:
        return self

    def writer(self) -> PlayedSource:
        return self

    def codec(self, table: TableDef) -> Any:
        return self._reader.codec(table)

    def fetch_rows(self, table: TableDef, keys: Any) -> Any:
        self.before_read()
        with self._lock:
            return self._reader.fetch_rows(table, keys)

    # What `SourceWriter` has.

    def other_table(self, _table: TableDef, relationship: str) -> str | None:
        return "account" if relationship == "account_account" else None

    def may_mark(self, *, caller: UUID | None) -> bool:
        return self.has_markers

    def has_marker(self, marker_id: UUID) -> bool:
        return marker_id in self.markers

    def read(self, table: TableDef, key: tuple[Any, ...]) -> Any:
        self.before_read()
        with self._lock:
            self.asked += 1
            row = self.fake.rows(table.name).get(str(key[0]))
            if row is None:
                return None
            wire = self.fake._wire(table, row)
            return row_of(table, _reply(wire))

    def send(self, writes: Any, *, caller: UUID | None, marker: Any = None) -> Any:
        with self._lock:
            if writes[0].table.name == "syncerror":
                self.sync_errors.append(dict(writes[0].values))
                return [Sent()]
            self.before(list(writes))
            if marker is not None and marker.id in self.markers:
                raise MarkerExistsError("The edit has been made already.")
            for index, write in enumerate(writes):
                self._check(write, index)
            for write in writes:
                self._apply(write, caller, marker)
            if marker is not None:
                self.markers.add(marker.id)
            self.after(list(writes))
        return [Sent() for _ in writes]

    def _check(self, write: Any, index: int) -> None:
        if write.op in ("associate", "disassociate"):
            return
        row = self.fake.rows(write.table.name).get(str(write.key[0]))
        if write.op == "create":
            if row is not None:
                raise WriteRefusedError("There already.", reason="exists", index=index)
            return
        if row is None:
            raise WriteRefusedError("It is gone.", reason="not_found", index=index)
        etag = f'W/"{row["versionnumber"]}"'
        if write.if_match is not None and write.if_match != etag:
            raise PreconditionFailedError("It has changed.", index=index)

    def _apply(self, write: Any, caller: UUID | None, marker: Any) -> None:
        key = str(write.key[0])
        self.journal.append(
            Played(
                op=write.op,
                table=write.table.name,
                key=key,
                values=dict(write.values),
                caller=caller,
                marker=marker.id if marker else None,
            )
        )
        if write.op == "delete":
            self.fake.delete(write.table.name, key)
        elif write.op in ("create", "update"):
            self.fake.put(write.table.name, key, **write.values)


class Uploading(World):
    """A world whose devices send edits; Ada of North owns its accounts."""

    sink: PlayedSource
    item: WorkItem

    def begin(self, **policy: Any) -> None:
        self.sink = PlayedSource(self.source)
        self.put_in_effect(
            profile(ProfileItem(table="account", writable=True, **policy))
        )
        self.item = WorkItem.objects.create(
            organization=Organization.objects.get(pk=self.id),
            kind="uploads",
            interval=timedelta(minutes=10),
        )

    def version(self, name: str, table: str = "account") -> str:
        """The row's version, as a device that has just synced has it."""
        return str(self.source.rows(table)[str(guid(name))]["versionnumber"])

    def accept(
        self,
        op: str,
        key: object = None,
        *,
        device: UUID,
        table: str | None = "account",
        user: str = "Ada",
        group: UUID | None = None,
        base_version: str | None = None,
        id_: UUID | None = None,
        **body: Any,
    ) -> UUID:
        """Store a mutation, as the web process does; return its id."""
        key_text = None if key is None else str(key)
        found = self.values(
            "SELECT coalesce(max(sequence), 0) + 1 FROM sync.mutation"
            " WHERE device_id = %s",
            device,
        )
        mutation_id = id_ or uuid4()
        self.execute(
            "INSERT INTO sync.mutation (device_id, sequence, id, epoch, user_id,"
            ' object_id, user_name, op, "table", key, row_key, group_id, base_version,'
            " body, body_hash) SELECT %s, %s, %s, epoch, %s, %s, %s, %s, %s, %s, %s,"
            " %s, %s, %s, '' FROM sync.clock",
            device,
            found[0],
            mutation_id,
            guid(user),
            guid(f"{user}@entra"),
            user,
            op,
            table if op != "void" else None,
            json.dumps([key_text]) if key_text else None,
            key_text,
            group,
            base_version,
            json.dumps(body).encode(),
        )
        return mutation_id

    def edit(self, row: str, /, *, device: UUID, **values: Any) -> UUID:
        """An update of a row as it is now."""
        return self.accept(
            "update",
            guid(row),
            device=device,
            base_version=self.version(row),
            values=values,
        )

    def next_epoch(self) -> int:
        self._epochs += 1
        return self._epochs

    def carry(self, *, threads: int = 4, epoch: int | None = None) -> WrittenBack:
        """One run over what waits."""
        order = WriteBackOrder(
            work_item_id=self.item.pk,
            epoch=epoch or self.next_epoch(),
            threads=threads,
            time_slice=timedelta(seconds=20),
            renew=lambda: None,
        )
        sink: Any = self.sink
        try:
            return write_back.write_back(self.organization, sink, order)
        finally:
            connections.forget(self.id)

    def outcomes(self, device: UUID) -> list[tuple[str, dict[str, Any]]]:
        """Status and outcome of the device's mutations, by sequence."""
        return [
            (status, outcome or {})
            for status, outcome in self.fetch(
                "SELECT status, outcome FROM sync.mutation WHERE device_id = %s"
                " ORDER BY sequence",
                device,
            )
        ]

    def statuses(self, device: UUID) -> list[str]:
        return [status for status, _ in self.outcomes(device)]

    def try_again_now(self) -> None:
        """Time passes: edits may be tried again, and the dead hold no slots any more."""
        self.execute("UPDATE sync.mutation SET next_try_at = NULL")
        SourceSlot.objects.update(holder=None, held_until=None)

    @property
    def written(self) -> list[tuple[str, str]]:
        """What the source has carried out, by name of the row, in order."""
        return [(one.op, one.key) for one in self.sink.journal]


def unknown(_writes: object) -> None:
    """The answer was never heard."""
    raise UnknownOutcomeError(SourceUnavailableError("The connection failed."))


def _reply(wire: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    return Reply(status=200, headers=headers, body=json.dumps(wire).encode())
