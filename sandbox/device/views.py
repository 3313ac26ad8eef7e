"""What the user sees: synced rows under the overlay of edits, and what is in dispute."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sandbox.device import edit_queue, reading
from sandbox.device.edits import Edit, Values
from sandbox.device.model import VERSION_COLUMN, Model, Table
from sandbox.device.overlay import overlaid
from sandbox.device.reading import Row
from sandbox.device.schema import quoted
from sandbox.device.values import encode_column

# Rows of the overlay are put here for a moment, so that SQL can choose among them.
_CHOSEN_FROM = "waystation_overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A failed edit beside what the server has; `theirs` is None if it has no row."""

    edit: Edit
    mine: Values
    was: Values
    theirs: Row | None


def rows(
    connection: sqlite3.Connection, table: Table, *, where: str | None = None
) -> Iterator[tuple[str, Row]]:
    """Yield key and row as the user sees them, those with edits last.

    `where` is SQL in local names, from the owner of the database.
    """
    seen = _overlay(connection, table)
    for key, row in reading.rows(connection, table, where=where):
        if key not in seen:
            yield key, row
    there = {key: row for key, row in seen.items() if row is not None}
    chosen = there if where is None else _chosen(connection, table, there, where=where)
    yield from chosen.items()


def row(connection: sqlite3.Connection, table: Table, key: str) -> Row | None:
    return overlaid(
        table,
        reading.row(connection, table, key),
        edit_queue.of_row(connection, table.name, key),
    )


def base_version(connection: sqlite3.Connection, table: Table, key: str) -> str | None:
    """Return the server's version on which the user sees a row.

    None: the server has none yet, for the device makes the row itself.
    """
    synced = reading.row(connection, table, key)
    if synced is not None:
        return str(synced[VERSION_COLUMN])
    version: object = None
    for edit in edit_queue.of_row(connection, table.name, key):
        version = edit.outcome.get("version") or edit.body.get("base_version", version)
    return version if isinstance(version, str) else None


def disputes(connection: sqlite3.Connection, model: Model | None) -> list[Dispute]:
    """Return the failed edits, oldest first, each beside the server's row."""
    failed = edit_queue.edits(connection, "status IN ('conflict','rejected','parked')")
    return [
        Dispute(
            edit=edit,
            mine=edit.values,
            was=edit.base_values,
            theirs=theirs(connection, model, edit),
        )
        for edit in failed
    ]


def theirs(
    connection: sqlite3.Connection, model: Model | None, edit: Edit
) -> Row | None:
    """Return the server's row of an edit.

    The synced one is the newest; the one that the outcome told helps out until the
    rows have come.
    """
    table = model.tables.get(edit.table or "") if model else None
    synced = None
    if table is not None and edit.key is not None:
        synced = reading.row(connection, table, edit.key)
    return edit.server_row if synced is None else synced


def _overlay(connection: sqlite3.Connection, table: Table) -> Mapping[str, Row | None]:
    by_key: dict[str, list[Edit]] = {}
    for edit in edit_queue.edits(connection, "table_name = ?", table.name):
        if edit.key is not None and edit.op in {"create", "update", "delete"}:
            by_key.setdefault(edit.key, []).append(edit)
    return {
        key: overlaid(table, reading.row(connection, table, key), edits)
        for key, edits in by_key.items()
    }


def _chosen(
    connection: sqlite3.Connection,
    table: Table,
    there: Mapping[str, Row],
    *,
    where: str,
) -> dict[str, Row]:
    """Return those of the rows that meet a condition in SQL."""
    lent = replace(table, local=_CHOSEN_FROM)
    columns = [
        (quoted(column.local), column.codec.declaration, column)
        for column in table.columns.values()
    ]
    declared = ", ".join(f"{name} {kind.format(name)}" for name, kind, _ in columns)
    marks = ", ".join("?" * len(columns))
    connection.execute(f"CREATE TEMP TABLE {_CHOSEN_FROM} ({declared}) STRICT")
    try:
        connection.executemany(
            f"INSERT INTO {_CHOSEN_FROM} VALUES ({marks})",
            [
                [encode_column(c.codec, [row[c.name]])[0] for _, _, c in columns]
                for row in there.values()
            ],
        )
        return dict(reading.rows(connection, lent, where=where))
    finally:
        connection.execute(f"DROP TABLE {_CHOSEN_FROM}")
