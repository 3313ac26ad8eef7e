"""Files in the database: those that wait to be sent, and which version the user has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import BinaryIO

from sandbox.device.edits import Edit

# Small enough for the memory of a device, and for a request.
PIECE_BYTES = 2**20


def keep(connection: sqlite3.Connection, edit: Edit, content: BinaryIO) -> None:
    """Keep a file until it was sent; only one piece is in memory."""
    for position, piece in enumerate(_pieces(content)):
        connection.execute(
            "INSERT INTO waystation_file_pieces VALUES (?, ?, ?)",
            [edit.number, position, piece],
        )


def pieces(connection: sqlite3.Connection, edit: Edit) -> Iterator[bytes]:
    """Yield a file's pieces; only one of them is in memory."""
    position = 0
    while piece := _piece(connection, edit, position):
        yield piece
        position += 1


def content_from(connection: sqlite3.Connection, edit: Edit, at: int) -> bytes:
    """Return the bytes from there to the end of that piece; empty after the last."""
    position, passed = divmod(at, PIECE_BYTES)
    return _piece(connection, edit, position)[passed:]


def size(connection: sqlite3.Connection, edit: Edit) -> int:
    query = (
        "SELECT coalesce(sum(length(content)), 0) FROM waystation_file_pieces"
        " WHERE edit = ?"
    )
    return int(connection.execute(query, [edit.number]).fetchone()[0])


def known_etag(
    connection: sqlite3.Connection, table: str, key: str, column: str
) -> str | None:
    """Return the version of a file that was fetched last."""
    found = connection.execute(
        "SELECT etag FROM waystation_files"
        " WHERE table_name = ? AND row_key = ? AND column_name = ?",
        [table, key, column],
    ).fetchone()
    return str(found[0]) if found else None


def note_etag(
    connection: sqlite3.Connection, table: str, key: str, column: str, *, etag: str
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO waystation_files VALUES (?, ?, ?, ?)",
        [table, key, column, etag],
    )


def _piece(connection: sqlite3.Connection, edit: Edit, position: int) -> bytes:
    found = connection.execute(
        "SELECT content FROM waystation_file_pieces WHERE edit = ? AND position = ?",
        [edit.number, position],
    ).fetchone()
    return bytes(found[0]) if found else b""


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while piece := _filled(content):
        yield piece


def _filled(content: BinaryIO) -> bytes:
    """Read a whole piece, however little the stream gives at once."""
    held: list[bytes] = []
    missing = PIECE_BYTES
    while missing and (some := content.read(missing)):
        held.append(some)
        missing -= len(some)
    return b"".join(held)
