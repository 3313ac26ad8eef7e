"""The SQLite file under the store: durable, one writer, a few named values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.device.errors import StoreError

FORMAT = "1"
# Another process of the same device may hold the file for one chunk.
BUSY_TIMEOUT_MS = 10_000
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS waystation_meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
-- A row of a model table is marked when its _mark equals the table's generation.
-- is_open spares the others a scan when a download is complete.
CREATE TABLE IF NOT EXISTS waystation_marks (
    table_name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL DEFAULT 1,
    is_open INTEGER NOT NULL DEFAULT 0,
    reset_wanted INTEGER NOT NULL DEFAULT 0
) STRICT;
-- The user's edits until they are settled, in the order of number. Numbers are never
-- used again, because the user is told them.
CREATE TABLE IF NOT EXISTS waystation_edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sequence INTEGER UNIQUE,
    status TEXT NOT NULL,
    was_sent INTEGER NOT NULL DEFAULT 0,
    table_name TEXT,
    row_key TEXT,
    body TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '{}',
    is_with_rows INTEGER NOT NULL DEFAULT 0,
    CHECK (sequence IS NOT NULL OR status NOT IN ('queued', 'accepted'))
) STRICT;
CREATE INDEX IF NOT EXISTS waystation_edits_of_rows
    ON waystation_edits (table_name, row_key);
-- Files that wait to be sent, in pieces small enough for the memory of a device.
CREATE TABLE IF NOT EXISTS waystation_file_pieces (
    edit INTEGER NOT NULL,
    position INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (edit, position)
) STRICT;
-- Which version of a file the user has, as far as any was fetched or sent.
CREATE TABLE IF NOT EXISTS waystation_files (
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL,
    column_name TEXT NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (table_name, row_key, column_name)
) STRICT;
CREATE TRIGGER IF NOT EXISTS waystation_edits_gone
    AFTER DELETE ON waystation_edits
BEGIN
    DELETE FROM waystation_file_pieces WHERE edit = old.number;
END;
COMMIT;
"""


class Database:
    def __init__(self, path: Path | str) -> None:
        """:raises StoreError: the file cannot be used."""
        self.path = str(path)
        with _translated(self.path):
            self.connection = sqlite3.connect(self.path, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def _prepare(self) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self.connection.executescript(_SCHEMA)
        if self.value("format", default=FORMAT) != FORMAT:
            raise StoreError(f"{self.path} was made by another version.")
        self.put("format", FORMAT)

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all or nothing; readers go on meanwhile, writers wait."""
        with _translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk has already rolled back by itself.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read everything as it was at one moment."""
        with _translated(self.path):
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self.connection.execute("ROLLBACK")

    def value(self, name: str, *, default: str | None = None) -> str | None:
        found = self.connection.execute(
            "SELECT value FROM waystation_meta WHERE name = ?", [name]
        ).fetchone()
        return default if found is None else str(found[0])

    def put(self, name: str, value: str | None) -> None:
        if value is None:
            self.connection.execute(
                "DELETE FROM waystation_meta WHERE name = ?", [name]
            )
        else:
            self.connection.execute(
                "INSERT OR REPLACE INTO waystation_meta VALUES (?, ?)", [name, value]
            )

    def shrink(self) -> None:
        """Give freed pages back, so that deleted data is in no file any more."""
        with _translated(self.path):
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        # A value that the schema refuses is the sender's fault, not the file's.
        raise
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}.") from error
