"""Keep the organization's rows in SQLite, as ready JSON with a version each.

A row is one JSON text in wire form, annotated with the targets of its lookups;
beside it stand its version and the columns that are asked for often. Readers
each see one moment; writers take turns, and everything they do in one
transaction becomes visible at once.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import msgspec

from sandbox.contoso import journal
from sandbox.contoso.remodelling import Change, changed, migrate
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.tables import first_schema

Row = dict[str, object]

_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (
    table_name TEXT NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (table_name, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    table_name TEXT NOT NULL, id TEXT NOT NULL, column_name TEXT NOT NULL,
    name TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (table_name, id, column_name));
CREATE TABLE IF NOT EXISTS file_uploads (token TEXT PRIMARY KEY, content BLOB NOT NULL);
"""


def encode(row: Mapping[str, object]) -> bytes:
    return _encoder.encode(row)


def decode(body: str | bytes) -> Row:
    return _decoder.decode(body)


def sql_name(table: Table) -> str:
    return f'"rows_{table.name}"'


def utc_now() -> datetime:
    return datetime.now(UTC)


def wire_moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """The organization's data in one file.

    :param clock: what time it is, for `modifiedon` and the age of delta tokens.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = path
        self.clock = clock
        self.schema: Schema = first_schema()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writing = threading.RLock()
        self._next_schema: Schema | None = None
        self._transaction = ""
        self.reload()

    def reload(self) -> None:
        """Read anew what the tables look like, as after a restore."""
        self._connection().executescript(_OWN_TABLES + journal.TABLES)
        with self.read() as connection:
            version = meta(connection, "metadata_version")
            changes = json.loads(meta(connection, "schema_changes") or "[]")
        schema = first_schema()
        for change in changes:
            at = Schema(tables=schema.tables, version=change["at"])
            schema = changed(at, change)
        known = schema.version if version is None else int(version)
        self.schema = Schema(tables=schema.tables, version=known)

    def remodel(self, connection: sqlite3.Connection, change: Change) -> Schema:
        """Change the tables within `write`; delta tokens of the table expire.

        :raises InvalidChangeError: the change does not fit.
        """
        before = self._next_schema or self.schema
        after = changed(before, change)
        name = str(change["table"])
        table = after.tables.get(name)
        if table is None:
            connection.execute(f"DROP TABLE {sql_name(before.tables[name])}")
        elif name in before.tables:
            migrate(connection, change, table)
        else:
            create_table(connection, table)
            create_indexes_of(connection, table)
        kept = json.loads(meta(connection, "schema_changes") or "[]")
        kept.append({**change, "at": before.version})
        set_meta(connection, "schema_changes", json.dumps(kept))
        set_meta(connection, "metadata_version", after.version)
        expire(connection, name)
        self._next_schema = after
        return after

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one moment until the block ends."""
        connection = self._connection()
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the one connection that may write; all of the block or nothing."""
        with self._writing:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            self._transaction = str(uuid4())
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                self._next_schema = None
                raise
            connection.execute("COMMIT")
            if self._next_schema is not None:
                self.schema, self._next_schema = self._next_schema, None

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let nobody write until the block ends."""
        with self._writing:
            yield

    def close(self) -> None:
        with self._writing:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def release(self) -> None:
        """Close the connection of the calling thread, which is about to end."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            del self._local.connection
            self._connections.remove(connection)
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self.path, isolation_level=None, timeout=30, check_same_thread=False
            )
            connection.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "PRAGMA cache_size=-65536; PRAGMA mmap_size=1073741824;"
            )
            connection.create_function(
                journal.TRANSACTION, 0, lambda: self._transaction
            )
            self._local.connection = connection
            self._connections.append(connection)
        return connection


def create_tables(connection: sqlite3.Connection, schema: Schema) -> None:
    connection.executescript(_OWN_TABLES + journal.TABLES)
    for table in schema.tables.values():
        create_table(connection, table)


def create_table(connection: sqlite3.Connection, table: Table) -> None:
    extra = "".join(f', "{column.wire}"' for column in table.indexed)
    # AUTOINCREMENT: a place is never used twice, so that no page is cut short.
    connection.execute(
        f"CREATE TABLE {sql_name(table)} (place INTEGER PRIMARY KEY AUTOINCREMENT,"
        f" id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL{extra})"
    )


def create_indexes(connection: sqlite3.Connection, schema: Schema) -> None:
    for table in schema.tables.values():
        create_indexes_of(connection, table)


def create_indexes_of(connection: sqlite3.Connection, table: Table) -> None:
    name = sql_name(table)
    connection.execute(f'CREATE UNIQUE INDEX "{table.name}_id" ON {name} (id)')
    connection.execute(f'CREATE INDEX "{table.name}_version" ON {name} (version)')
    for column in table.indexed:
        connection.execute(
            f'CREATE INDEX "{table.name}_{column.wire}" ON {name} ("{column.wire}")'
        )


def insert_rows(
    connection: sqlite3.Connection, table: Table, rows: Iterable[Row]
) -> None:
    """Store arranged rows; they bring their version."""
    extra = [column.wire for column in table.indexed]
    names = ", ".join(("id", "version", "body", *(f'"{name}"' for name in extra)))
    marks = ", ".join("?" * (3 + len(extra)))
    connection.executemany(
        f"INSERT INTO {sql_name(table)} ({names}) VALUES ({marks})",
        (
            (
                row[table.key],
                row["versionnumber"],
                encode(row).decode(),
                *[row[name] for name in extra],
            )
            for row in rows
        ),
    )


def update_row(connection: sqlite3.Connection, table: Table, row: Row) -> None:
    extra = [column.wire for column in table.indexed]
    sets = ", ".join(("version=?", "body=?", *(f'"{name}"=?' for name in extra)))
    connection.execute(
        f"UPDATE {sql_name(table)} SET {sets} WHERE id=?",
        (
            row["versionnumber"],
            encode(row).decode(),
            *[row[name] for name in extra],
            row[table.key],
        ),
    )


def find(connection: sqlite3.Connection, table: Table, row_id: str) -> Row | None:
    found = connection.execute(
        f"SELECT body FROM {sql_name(table)} WHERE id=?", (row_id,)
    ).fetchone()
    return None if found is None else decode(found[0])


def rows_where(
    connection: sqlite3.Connection, table: Table, **values: object
) -> list[Row]:
    """Return the rows whose indexed columns have these values, oldest first."""
    condition = " AND ".join(f'"{name}" IS ?' for name in values) or "1"
    found = connection.execute(
        f"SELECT body FROM {sql_name(table)} WHERE {condition} ORDER BY place",
        tuple(values.values()),
    )
    return [decode(body) for (body,) in found]


def meta(connection: sqlite3.Connection, key: str) -> str | None:
    found = connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
    return None if found is None else str(found[0])


def set_meta(connection: sqlite3.Connection, key: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))


def current_version(connection: sqlite3.Connection) -> int:
    return int(meta(connection, "version") or 0)


def next_version(connection: sqlite3.Connection) -> int:
    """Take the next version of the whole organization; inside `write` only."""
    version = current_version(connection) + 1
    set_meta(connection, "version", version)
    return version


def expire(connection: sqlite3.Connection, *tables: str) -> int:
    """Let the delta tokens handed out so far expire, of these tables or of all."""
    # Tokens handed out from now on carry a later version, and live.
    through = next_version(connection) - 1
    for name in tables:
        set_meta(connection, f"expired_through:{name}", through)
    if not tables:
        set_meta(connection, "expired_through", through)
    return through
