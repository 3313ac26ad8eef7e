"""File and image columns: `/$value` with ranges, and uploads whole or in blocks.

A file is put into its place by the last block; before that nothing of the row changes.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from urllib.parse import unquote

from werkzeug.wrappers import Response

from sandbox.contoso.errors import INVALID_ARGUMENT, WebApiError, no_such_resource
from sandbox.contoso.requests import Call, no_content
from sandbox.contoso.schema import Column, Table
from sandbox.contoso.store import Row
from sandbox.contoso.writes import Edit

BLOCK_BYTES = 4 * 2**20

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_PLACE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


def download(
    connection: sqlite3.Connection, call: Call, *, table: Table, row: Row, name: str
) -> Response:
    """Answer `/$value`; 404 while there is no file."""
    found = connection.execute(
        "SELECT name, content FROM files WHERE table_name=? AND id=? AND column_name=?",
        (table.name, row[table.key], name),
    ).fetchone()
    if found is None:
        raise WebApiError(404, "0x80040217", f"No file attachment found for {name}.")
    file_name, content = found
    headers = {"x-ms-file-name": file_name, "x-ms-file-size": str(len(content))}
    asked = _RANGE.fullmatch(call.request.headers.get("Range", ""))
    if asked is None:
        return _octets(content, 200, headers)
    first = int(asked[1])
    last = min(int(asked[2] or len(content)), len(content) - 1)
    if first > last:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return _octets(b"", 416, headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return _octets(content[first : last + 1], 206, headers)


def upload(
    edit: Edit, call: Call, *, table: Table, row: Row, column: Column
) -> Response:
    """Answer a PATCH of a file, after rights and version of the row were looked at.

    :raises WebApiError: 400 the block is not the next one.
    """
    request = call.request
    token = request.args.get("sessiontoken")
    if request.headers.get("x-ms-transfer-mode") == "chunked":
        return _begun(edit.connection, call)
    content = request.get_data()
    if token is not None:
        whole = _with_block(edit.connection, call, token, content)
        if whole is None:
            return Response(status=206)
        content = whole
    _put(edit, table, row, column, _name(call), content)
    return no_content()


def _begun(connection: sqlite3.Connection, call: Call) -> Response:
    token = str(uuid.uuid4())
    connection.execute("INSERT INTO file_uploads VALUES (?, ?)", (token, b""))
    place = f"{call.base}/{'/'.join(call.segments)}?sessiontoken={token}"
    headers = {"Location": place, "x-ms-chunk-size": str(BLOCK_BYTES)}
    return Response(status=200, headers=headers)


def _with_block(
    connection: sqlite3.Connection, call: Call, token: str, content: bytes
) -> bytes | None:
    """Add a block; return the file when it is whole."""
    found = connection.execute(
        "SELECT content FROM file_uploads WHERE token=?", (token,)
    ).fetchone()
    if found is None:
        raise no_such_resource(token)
    held = bytes(found[0])
    place = _PLACE.fullmatch(call.request.headers.get("Content-Range", ""))
    is_next = (
        place is not None
        and int(place[1]) == len(held)
        and int(place[2]) - int(place[1]) + 1 == len(content)
        and len(content) <= BLOCK_BYTES
    )
    if place is None or not is_next:
        raise WebApiError(400, INVALID_ARGUMENT, "The block is not the next one.")
    held += content
    if len(held) < int(place[3]):
        connection.execute(
            "UPDATE file_uploads SET content=? WHERE token=?", (held, token)
        )
        return None
    connection.execute("DELETE FROM file_uploads WHERE token=?", (token,))
    return held


def _put(
    edit: Edit, table: Table, row: Row, column: Column, name: str, content: bytes
) -> None:
    file_id = str(uuid.uuid4())
    edit.connection.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
        (table.name, row[table.key], column.name, name, content),
    )
    if column.type == "Image":
        stamp = int(edit.now.timestamp() * 10**7)
        told: Row = {
            f"{column.name}id": file_id,
            f"{column.name}_timestamp": stamp,
        }
    else:
        told = {column.wire: file_id}
    edit.put(table, row, told)


def _name(call: Call) -> str:
    return unquote(call.request.headers.get("x-ms-file-name", "")) or "file"


def _octets(content: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(
        content,
        status=status,
        headers=headers,
        content_type="application/octet-stream",
    )
