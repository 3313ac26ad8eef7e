"""The device's own database: what was downloaded, and how far.

It knows answers, not HTTP: anything that yields the lines of an answer can feed it.
Edits made on the device lie beside these tables, never in them: the digest and the
marks speak of synced rows alone. What the user sees is in `Editor`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from sandbox.device import applying, edit_queue, reading
from sandbox.device.answers import Chunk, Digest, chunks
from sandbox.device.database import Database
from sandbox.device.errors import ProtocolError, StoreError
from sandbox.device.model import Model, Table, model_of
from sandbox.device.reading import Row
from sandbox.device.results import ApplyResult, Request

Document = Mapping[str, object]
OWNER_NAMES = ("organization", "device", "user", "user_name")
NO_TABLES = Model("", {})
_OF_A_HISTORY = (
    "checkpoint",
    "snapshot",
    "complete",
    "through_mutation",
    "unasked_start",
)


class Store:
    def __init__(self, path: Path | str = ":memory:") -> None:
        """Open or create the database.

        :raises StoreError: the file cannot be used.
        """
        self._database = Database(path)
        self._model = self._stored_model()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    @property
    def path(self) -> str:
        return self._database.path

    @property
    def database(self) -> Database:
        return self._database

    @property
    def connection(self) -> sqlite3.Connection:
        return self._database.connection

    def owner(self) -> Mapping[str, str]:
        """Return organization, device, user and user_name, as far as bound."""
        values = {name: self._database.value(name) for name in OWNER_NAMES}
        return {name: value for name, value in values.items() if value is not None}

    def bind(self, **owner: str) -> None:
        """Note whose data this is, once.

        :raises StoreError: it belongs to another organization, device or user.
        """
        with self._database.transaction():
            for name, value in owner.items():
                bound = self._database.value(name, default=value)
                if name != "user_name" and bound != value:
                    message = f"{self.path} belongs to {name} {bound}, not to {value}."
                    raise StoreError(message)
                self._database.put(name, value)

    def start_sequences_at(self, sequence: int) -> None:
        """Take over where the service says that the device's sequences stand."""
        with self._database.transaction() as connection:
            edit_queue.start_at(connection, sequence)

    @property
    def model(self) -> Model | None:
        """The adopted model: the one that the tables have."""
        return self._model

    @property
    def checkpoint(self) -> str | None:
        return self._database.value("checkpoint")

    @property
    def snapshot(self) -> str | None:
        """The name of the first download that has not been completed."""
        return self._database.value("snapshot")

    @property
    def unasked_start(self) -> str | None:
        """The checkpoint of a new start after which nobody asked what became of edits.

        Without a checkpoint nothing tells whether the service, when it accepted an
        edit, had the history that these rows are of.
        """
        return self._database.value("unasked_start")

    def note_asked(self, start: str | None) -> None:
        """The service was asked after that new start; another may have come since.

        To be called inside a transaction.
        """
        if self.unasked_start == start:
            self._database.put("unasked_start", None)

    @property
    def is_complete(self) -> bool:
        """Whether the tables are what the user may see at one moment."""
        return self._database.value("complete") is not None

    @property
    def resets_wanted(self) -> tuple[str, ...]:
        query = "SELECT table_name FROM waystation_marks WHERE reset_wanted ORDER BY 1"
        return tuple(name for (name,) in self.connection.execute(query))

    def next_request(self, *, model: Document | None = None) -> Request:
        """Return what to ask for, under `model` if one was fetched meanwhile.

        :raises StoreError: there is no model yet.
        """
        version = self._offered(model).version
        return Request(version, self.checkpoint, self.resets_wanted)

    def apply(
        self,
        lines: Iterable[bytes],
        *,
        model: Document | None = None,
        asked: Request | None = None,
        stored: Callable[[ApplyResult], None] | None = None,
    ) -> ApplyResult:
        """Store an answer, chunk by chunk: rows and checkpoint in one transaction.

        `model` is adopted together with the first checkpoint. `asked` is what the
        answer was asked with, by default what would be asked now. `stored` hears
        of every checkpoint. The lines may end anywhere.

        :raises ProtocolError: the answer is wrong; the chunks before are kept.
        :raises StoreError: the checkpoint was moved meanwhile, or the disk is full.
        """
        offered = self._offered(model)
        asked = asked or self.next_request(model=model)
        at, result = asked.checkpoint, ApplyResult()
        for chunk in chunks(lines):
            _check_begin(chunk, asked=asked, offered=offered)
            result = self._store_chunk(chunk, offered, model, at=at, so_far=result)
            at = chunk.end.checkpoint
            if stored is not None:
                stored(result)
        return result

    def advance(
        self,
        checkpoint: str,
        *,
        model: Document | None = None,
        asked: Request | None = None,
    ) -> int:
        """Store the checkpoint of an answer that had nothing to say.

        That nothing is missing ends the marks as a complete line does; return how
        many rows went.
        """
        offered = self._offered(model)
        at = (asked or self.next_request(model=model)).checkpoint
        if at is None:
            raise ProtocolError("A first download was answered with nothing.")
        with self._moving_on(checkpoint, offered, model, at=at) as connection:
            # What the last answer said of mutations still holds, for nothing changed.
            edit_queue.cover(connection, self._through)
            edit_queue.cover_what_came(connection)
            return self._complete(connection, offered)

    def forget_checkpoint(self) -> None:
        """Start again without one; the data stays usable until it was sent again.

        Edits that are not confirmed will be sent again too.
        """
        with self._database.transaction() as connection:
            edit_queue.restart(connection)
            for name in _OF_A_HISTORY:
                self._database.put(name, None)

    def want_reset(self, tables: Iterable[str]) -> None:
        """Ask for these tables in full, until the first of it is stored."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE waystation_marks SET reset_wanted = 1 WHERE table_name = ?",
                [(table,) for table in tables],
            )

    def tables(self) -> tuple[str, ...]:
        return tuple(self._model.tables) if self._model else ()

    def table(self, name: str) -> Table:
        """:raises StoreError: the model has no such table."""
        table = self._model.tables.get(name) if self._model else None
        if table is None:
            raise StoreError(f"{self.path} has no table {name}.")
        return table

    def rows(
        self, table: str, *, where: str | None = None, limit: int | None = None
    ) -> dict[str, Row]:
        """Return the rows by key, in canonical values; `where` is local SQL."""
        with self._database.snapshot() as connection:
            found = reading.rows(connection, self.table(table), where=where)
            return dict(islice(found, limit))

    def count(self, table: str) -> int:
        return reading.count(self.connection, self.table(table))

    def digest(self, table: str) -> list[int | str]:
        with self._database.snapshot() as connection:
            return list(reading.digest(connection, self.table(table)))

    def differing(self, digest: Digest) -> tuple[str, ...]:
        """Return the tables whose digest is not the given one."""
        return tuple(
            table
            for table in self.tables()
            if table in digest and self.digest(table) != list(digest[table])
        )

    @property
    def wipe_ordered(self) -> bool:
        return self._database.value("wipe_ordered") is not None

    def note_wipe_ordered(self) -> None:
        with self._database.transaction():
            self._database.put("wipe_ordered", "yes")

    @property
    def wipe_unconfirmed(self) -> bool:
        return self._database.value("wiped") is not None

    def wipe(self) -> None:
        """Delete all data; organization and device stay until this is confirmed.

        Edits go too: whoever calls this has sent them, or was told to give them up.
        """
        kept = {name: self.owner().get(name) for name in ("organization", "device")}
        with self._database.transaction() as connection:
            applying.migrate(connection, self._model, NO_TABLES)
            connection.execute("DELETE FROM waystation_meta WHERE name <> 'format'")
            connection.execute("DELETE FROM waystation_edits")
            connection.execute("DELETE FROM waystation_files")
            for name, value in {**kept, "wiped": "unconfirmed"}.items():
                self._database.put(name, value)
        self._model = None
        self._database.shrink()

    def wipe_confirmed(self) -> None:
        with self._database.transaction():
            for name in ("organization", "device", "wiped"):
                self._database.put(name, None)

    def _store_chunk(
        self,
        chunk: Chunk,
        offered: Model,
        document: Document | None,
        *,
        at: str | None,
        so_far: ApplyResult,
    ) -> ApplyResult:
        end, name = chunk.end, chunk.begin.snapshot
        with self._moving_on(end.checkpoint, offered, document, at=at) as connection:
            if name is not None and name != self.snapshot:
                applying.begin_marks(connection)
                self._database.put("snapshot", name)
            if at is None:
                self._database.put("unasked_start", end.checkpoint)
            received, deleted = applying.write(connection, offered, chunk)
            self._database.put("complete", None)
            swept = 0
            if end.complete:
                self._database.put("through_mutation", str(end.through_mutation or 0))
                edit_queue.cover(connection, self._through)
                swept = self._complete(connection, offered)
        return so_far.and_then(end, received=received, deleted=deleted, swept=swept)

    @contextmanager
    def _moving_on(
        self,
        checkpoint: str,
        offered: Model,
        document: Document | None,
        *,
        at: str | None,
    ) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, the model and the checkpoint, or nothing."""
        with self._database.transaction() as connection:
            # Two syncs of one file would mix an old answer into a newer one.
            if self.checkpoint != at:
                raise StoreError(f"{self.path}: another sync is running.")
            if offered != self._model:
                applying.migrate(connection, self._model, offered)
                self._database.put("model", json.dumps(document))
                self._database.put("local_names", json.dumps(offered.local_names))
            yield connection
            self._database.put("checkpoint", checkpoint)
        self._model = offered

    @property
    def _through(self) -> int:
        return int(self._database.value("through_mutation", default="0") or 0)

    def _complete(self, connection: sqlite3.Connection, model: Model) -> int:
        self._database.put("snapshot", None)
        self._database.put("complete", "yes")
        return applying.end_marks(connection, model)

    def _offered(self, document: Document | None) -> Model:
        if document is not None:
            held = self._model.local_names if self._model else {}
            return model_of(document, held=held)
        if self._model is None:
            raise StoreError(f"{self.path} has no client model yet.")
        return self._model

    def _stored_model(self) -> Model | None:
        document = self._database.value("model")
        if document is None:
            return None
        held = json.loads(self._database.value("local_names", default="{}") or "{}")
        return model_of(json.loads(document), held=held)


def _check_begin(chunk: Chunk, *, asked: Request, offered: Model) -> None:
    if not chunk.begin.model == asked.model == offered.version:
        raise ProtocolError("The answer is for another client model than asked for.")
    if asked.checkpoint is None and chunk.begin.kind != "snapshot":
        raise ProtocolError("A first download must be a snapshot.")
