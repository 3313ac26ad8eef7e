"""Note each write: who made it, on behalf of whom, what it set, and what came with it.

Whatever was written in one transaction has its number in common. So an edit's marker,
which is a row of the marker table, is found beside the edit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec

# As many versions back the journal goes.
LENGTH = 10_000

# SQL function that numbers the transaction at work.
TRANSACTION = "transaction_at_work"

_MARKER_TABLE = "ws_mutationmarker"
_PAGE = 1_000

_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

TABLES = """
CREATE TABLE IF NOT EXISTS journal (
    version INTEGER PRIMARY KEY, at TEXT NOT NULL, by TEXT,
    kind TEXT NOT NULL, table_name TEXT NOT NULL, id TEXT NOT NULL,
    columns TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal_details (
    version INTEGER PRIMARY KEY, behalf TEXT, row_values TEXT NOT NULL,
    transaction_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS journal_details_transaction
    ON journal_details (transaction_id);
"""

_NOTE = (
    "INSERT INTO journal SELECT value, ?, ?, ?, ?, ?, ? FROM meta WHERE key='version'"
)
_NOTE_MORE = (
    "INSERT INTO journal_details SELECT value, ?, ?, transaction_at_work() FROM meta"
    " WHERE key='version'"
)
_READ = (
    "SELECT j.version, j.at, j.by, j.kind, j.table_name, j.id, j.columns,"
    " d.behalf, d.row_values, d.transaction_id,"
    " (SELECT max(marker.id) FROM journal_details beside JOIN journal marker"
    "  USING (version) WHERE beside.transaction_id = d.transaction_id"
    f"  AND marker.table_name = '{_MARKER_TABLE}' AND marker.kind = 'create')"
    " FROM journal j LEFT JOIN journal_details d USING (version)"
    " WHERE j.version > ? ORDER BY j.version LIMIT ?"
)
_NAMES = (
    "version", "at", "by", "kind", "table", "id", "columns", "on_behalf", "values",
    "transaction", "marker",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A write of one row; `by` is who is written down, `behalf` who really called."""

    at: str
    by: str
    behalf: str | None
    kind: str
    table: str
    row_id: str
    changed: Iterable[str]
    values: Mapping[str, object]


def note(connection: sqlite3.Connection, written: Written) -> None:
    """Add a write, which has just taken the organization's next version."""
    for table in ("journal", "journal_details"):
        connection.execute(
            f"DELETE FROM {table} WHERE version <="
            " (SELECT value FROM meta WHERE key='version') - ?",
            (LENGTH,),
        )
    connection.execute(
        _NOTE,
        (
            written.at,
            written.by,
            written.kind,
            written.table,
            written.row_id,
            json.dumps(list(written.changed)),
        ),
    )
    connection.execute(
        _NOTE_MORE, (written.behalf, _encoder.encode(dict(written.values)).decode())
    )


def writes_after(
    connection: sqlite3.Connection, version: int
) -> list[dict[str, object]]:
    """Return writes, oldest first, a thousand at most."""
    found = connection.execute(_READ, (version, _PAGE)).fetchall()
    writes: list[dict[str, object]] = [
        dict(zip(_NAMES, row, strict=True)) for row in found
    ]
    for write in writes:
        write["columns"] = json.loads(str(write["columns"]))
        write["values"] = _decoder.decode(str(write["values"] or "{}"))
    return writes
