"""A Dataverse in memory that takes writes, remembers them all, and misbehaves.

The history has every state that each row ever had, and who made it. The journal has
what was written in the name of users. What goes wrong is planned by whoever plays it.
"""

from __future__ import annotations

import copy
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from replication.domain.tables import TableDef
from replication.odata import markers
from replication.odata.answers import Reply
from replication.odata.errors import (
    SourceTimeoutError,
    SourceUnavailableError,
    UnknownOutcomeError,
)
from tests.fake_dataverse import FakeDataverse
from tests.uploads import wire
from tests.uploads.failpoints import WorkerDied
from tests.uploads.wire import Asked, RefusalError
from tests.uploads.world import OWNED, SECRET, WORDS_REFUSED

# What may become of a write; what of it happens is in the name.
WRITE_FAULTS = (
    "not reached",
    "request lost",
    "answer lost",
    "comes late",
    "throttled",
    "fails before",
    "fails after",
    "dies before",
    "dies after",
)
READ_FAULTS = ("read lost", "dies reading")
# After so long nobody is at work on a request any more.
TIME_LIMIT = timedelta(hours=1)

_OPS = {"POST": "create", "PATCH": "update", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True)
class State:
    """What a row was from this version on; `by` is the write of a user's edit."""

    version: int
    values: Mapping[str, Any] | None
    by: Written | None = None


@dataclass(kw_only=True)
class Written:
    """A write that was carried out in a user's name."""

    op: str
    table: str
    key: str
    values: Mapping[str, Any]
    caller: UUID | None
    marker: UUID | None
    # Of the row before it, and after.
    before: State
    version: int = 0


@dataclass(frozen=True, kw_only=True)
class _Request:
    """Writes that are done all or none."""

    asked: tuple[Asked, ...]
    caller: UUID | None
    is_batch: bool
    wants_row: bool = False


@dataclass
class Plans:
    """What goes wrong at the n-th request from now, of writes and of reads."""

    faults: dict[str, dict[int, str]] = field(
        default_factory=lambda: {"write": {}, "read": {}}
    )
    happenings: dict[int, list[Callable[[], object]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    count: Counter[str] = field(default_factory=Counter)


class PlayedDataverse(FakeDataverse):
    """Implements `WritingTransport`; a life's own."""

    def __init__(
        self,
        tables: tuple[TableDef, ...],
        *,
        has_markers: bool = True,
        note: Callable[[str], None] = lambda event: None,
    ) -> None:
        self.history: dict[tuple[str, str], list[State]] = defaultdict(list)
        self.journal: list[Written] = []
        self.markers: set[UUID] = set()
        self.has_markers = has_markers
        self.plans = Plans()
        self.late: deque[_Request] = deque()
        # Requests of which nobody heard the end, by the markers or values they bore.
        self.unheard: list[_Request] = []
        self._by: Written | None = None
        self._note = note
        self._lock = threading.RLock()
        super().__init__(tables)

    # What happens at the source.

    def put(self, table: str, key: object, **values: Any) -> None:
        super().put(table, key, **values)
        self._keep(table, str(key), self.rows(table)[str(key)])

    def delete(self, table: str, key: object) -> None:
        super().delete(table, key)
        self._keep(table, str(key), None)

    def state(self, table: str, key: str) -> State:
        """What the row is now."""
        states = self.history[table, key]
        return states[-1] if states else State(version=0, values=None)

    def _keep(self, table: str, key: str, row: Mapping[str, Any] | None) -> None:
        values = None if row is None else dict(row)
        state = State(version=self.version, values=values, by=self._by)
        self.history[table, key].append(state)

    def arrive(self) -> None:
        """What was late comes in at last, and nobody listens."""
        with self._lock:
            while self.late:
                self._carry_out(self.late.popleft())

    # The transport's calls.

    @property
    def time_limit(self) -> timedelta:
        return TIME_LIMIT

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        with self._lock:
            fault = self._fault("read")
            if fault == "dies reading":
                raise WorkerDied
            if fault == "read lost":
                raise SourceTimeoutError("No answer.")
            return self._looked_up(url) or super().get(url, headers=headers)

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        with self._lock:
            request = _request(method, url, headers, body)
            if request.asked[0].entity_set == "syncerrors":
                return wire.done()
            for happens in self.plans.happenings.pop(self.plans.count["write"], ()):
                happens()
            return self._with_fault(request, self._fault("write"))

    def _fault(self, kind: str) -> str | None:
        number = self.plans.count[kind]
        self.plans.count[kind] += 1
        fault = self.plans.faults[kind].pop(number, None)
        if fault is not None:
            self._note(fault)
        return fault

    def _with_fault(self, request: _Request, fault: str | None) -> Reply:
        match fault:
            case None:
                return self._carry_out(request)
            case "not reached":
                raise SourceUnavailableError("Nobody is there.")
            case "throttled":
                return Reply(status=429, headers={"Retry-After": "1"}, body=b"")
            case "answer lost" | "fails after" | "dies after":
                self._carry_out(request)
            case "comes late":
                self.late.append(request)
        self.unheard.append(request)
        if fault.startswith("dies"):
            raise WorkerDied
        if fault.startswith("fails"):
            return Reply(status=503, headers={}, body=b"")
        raise UnknownOutcomeError(SourceTimeoutError("No answer."))

    # Carrying out.

    def _carry_out(self, request: _Request) -> Reply:
        kept = self._kept()
        try:
            marker = self._mark(request)
            for one in request.asked:
                if one.entity_set != f"{markers.TABLE}s":
                    self._write(one, request.caller, marker)
        except RefusalError as error:
            self._put_back(kept)
            if request.is_batch:
                return wire.refused_together(error)
            return wire.refused(error)
        if request.is_batch:
            return wire.done_together(request.asked)
        row = self._row_as_shown(request) if request.wants_row else None
        return wire.done(row)

    def _mark(self, request: _Request) -> UUID | None:
        for one in request.asked:
            if one.entity_set == f"{markers.TABLE}s":
                marker = UUID(one.body[markers.KEY])
                if marker in self.markers:
                    raise RefusalError(412, "0x80040237", "Duplicate.", one.number)
                self.markers.add(marker)
                return marker
        return None

    def _write(self, asked: Asked, caller: UUID | None, marker: UUID | None) -> None:
        table = self._table_of(asked.entity_set)
        key = str(asked.key or asked.body[table.key[0]])
        before = self.state(table.name, key)
        self._insist(asked, table, key)
        values = _values(asked.body, table)
        written = Written(
            op=_OPS[asked.method],
            table=table.name,
            key=key,
            values=values,
            caller=caller,
            marker=marker,
            before=before,
        )
        self._by = written
        try:
            if asked.method == "DELETE":
                self.delete(table.name, key)
            else:
                self.put(table.name, key, **(self._given(asked, table) | values))
        finally:
            self._by = None
        written.version = self.version
        self.journal.append(written)

    def _given(self, asked: Asked, table: TableDef) -> dict[str, Any]:
        """What the source gives a new row of its own accord."""
        if asked.method != "POST":
            return {}
        secret = {SECRET: self.version} if table.name == "account" else {}
        return OWNED | secret

    def _insist(self, asked: Asked, table: TableDef, key: str) -> None:
        """:raises RefusalError: as Dataverse refuses it."""
        row = self.rows(table.name).get(key)
        if asked.method == "POST" and row is not None:
            raise RefusalError(412, "0x80040237", "Duplicate key.", asked.number)
        if asked.method != "POST" and row is None:
            said = f"{table.name} With Id = {key} Does Not Exist"
            raise RefusalError(404, "0x80040217", said, asked.number)
        guard = asked.if_match
        etags = {None, "*"} | ({f'W/"{row["versionnumber"]}"'} if row else set())
        if row is not None and guard not in etags:
            raise RefusalError(412, "0x80060882", "Version.", asked.number)
        if any(WORDS_REFUSED in str(value) for value in asked.body.values()):
            raise RefusalError(400, "0x80040265", "No such name.", asked.number)
        parent = _values(asked.body, table).get("parentaccountid")
        if parent is not None and parent not in self.rows("account"):
            said = f"account With Id = {parent} Does Not Exist"
            raise RefusalError(404, "0x80040217", said, asked.number)

    def _row_as_shown(self, request: _Request) -> dict[str, Any] | None:
        """A row as it is returned to whoever is impersonated: secured columns empty."""
        one = request.asked[0]
        table = self._table_of(one.entity_set)
        row = self.rows(table.name).get(str(one.key or one.body[table.key[0]]))
        if row is None:
            return None
        masked = {SECRET: None} if request.caller is not None else {}
        return self._wire(table, row | masked)

    def _kept(self) -> Any:
        names = ("account", "contact", "task")
        rows = {name: copy.deepcopy(self._tables[name]) for name in names}
        lengths = {place: len(states) for place, states in self.history.items()}
        return rows, lengths, len(self.journal), set(self.markers)

    def _put_back(self, kept: Any) -> None:
        rows, lengths, journal, self.markers = kept
        self._tables |= rows
        for place, states in self.history.items():
            del states[lengths.get(place, 0) :]
        del self.journal[journal:]

    # What it says of itself.

    def _table_of(self, entity_set: str) -> TableDef:
        return next(
            t.definition
            for t in self._tables.values()
            if t.definition.entity_set == entity_set
        )

    def _looked_up(self, url: str) -> Reply | None:
        """Metadata, a marker, or a single row; None: pages are asked for."""
        path = unquote(url)
        if "/EntityDefinitions(" in path:
            return wire.document({"value": [_LOOKUP] if "'contact'" in path else []})
        if "/EntityDefinitions" in path:
            known = [_ACCOUNTS, *([_MARKER_TABLE] if self.has_markers else [])]
            found = [one for one in known if f"'{one['LogicalName']}'" in path]
            return wire.document({"value": found})
        name, _, rest = path.rsplit("/", 1)[1].partition("(")
        key, closed, _ = rest.partition(")")
        if not closed or "?" in name or name.startswith("$"):
            return None
        if name == f"{markers.TABLE}s":
            if UUID(key) in self.markers:
                return wire.document({markers.KEY: key})
        else:
            table = self._table_of(name)
            row = self.rows(table.name).get(key)
            if row is not None:
                return wire.document(self._wire(table, row))
        said = f"{name} With Id = {key} Does Not Exist"
        return wire.refused(RefusalError(404, "0x80040217", said))


_MARKER_TABLE = {
    "LogicalName": markers.TABLE,
    "EntitySetName": f"{markers.TABLE}s",
    "PrimaryIdAttribute": markers.KEY,
}
_ACCOUNTS = {
    "LogicalName": "account",
    "EntitySetName": "accounts",
    "PrimaryIdAttribute": "accountid",
}
_LOOKUP = {
    "SchemaName": "contact_parent_account",
    "ReferencedEntity": "account",
    "ReferencingEntity": "contact",
    "ReferencingAttribute": "parentaccountid",
    "ReferencingEntityNavigationPropertyName": "parentaccountid",
    "ReferencedEntityNavigationPropertyName": "contact_accounts",
}


def _request(
    method: str, url: str, headers: Mapping[str, str], body: bytes
) -> _Request:
    caller = headers.get("CallerObjectId")
    is_batch = url.endswith("/$batch")
    asked = (
        wire.together(body) if is_batch else [wire.alone(method, url, headers, body)]
    )
    return _Request(
        asked=tuple(asked),
        caller=UUID(caller) if caller else None,
        is_batch=is_batch,
        wants_row="return=representation" in headers.get("Prefer", ""),
    )


def _values(body: Mapping[str, Any], table: TableDef) -> dict[str, Any]:
    """By staging column; a lookup comes as the address of a row."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        column = name.partition("@")[0]
        if column == table.key[0]:
            continue
        is_bound = "@" in name and isinstance(value, str)
        found[column] = value.partition("(")[2].rstrip(")") if is_bound else value
    return found
