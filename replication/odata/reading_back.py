"""Reads one row as it is now, for pages and for people who compare values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from replication.domain.pages import Page
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.answers import Reply
from replication.odata.decoding import Decoded, decoder_for
from replication.odata.errors import MalformedAnswerError
from replication.odata.rows import codec_for
from replication.odata.values import CODECS
from replication.odata.writes import ReadRow

_ONE_ROW = (b'{"value":[', b"]}")


def row_of(table: TableDef, reply: Reply) -> ReadRow:
    """Return the row that a reply is about.

    :raises MalformedAnswerError: it holds no row, or one that staging cannot.
    """
    first, last = _ONE_ROW
    decoded = decoder_for(table).decode(first + reply.body + last)
    if decoded.set_aside:
        aside = decoded.set_aside[0]
        message = f"A row of {table.name} cannot be stored: {aside.reason}"
        raise MalformedAnswerError(message)
    if len(decoded.rows) != 1:
        raise MalformedAnswerError(f"A row of {table.name} came as no row.")
    return _read(table, decoded, reply)


def whole_row_of(table: TableDef, reply: Reply) -> ReadRow | None:
    """Return the row that a service sent after a write, None when it is not all there."""
    first, last = _ONE_ROW
    body = first + reply.body + last
    try:
        decoded = decoder_for(table).decode(body, may_be_partial=True)
    except MalformedAnswerError:
        return None
    if decoded.set_aside or len(decoded.rows) != 1:
        return None
    return _read(table, decoded, reply)


def _read(table: TableDef, decoded: Decoded, reply: Reply) -> ReadRow:
    codec, row = codec_for(table), decoded.rows[0]
    return ReadRow(
        page=Page(
            rows=decoded.rows,
            deletes=[],
            stripped_nuls=decoded.stripped_nuls,
            size=len(reply.body),
        ),
        key=codec.key(row),
        version=codec.version(row),
        etag=row.etag or row.etag_401 or reply.headers.get("ETag") or None,
        values=_values(table, row, codec.fields),
    )


def _values(
    table: TableDef, row: Any, fields: Mapping[str, str]
) -> Mapping[str, object]:
    return {
        column.name: _canonical(column, getattr(row, fields[column.name]))
        for column in table.columns
    }


def _canonical(column: ColumnDef, value: Any) -> object:
    """Return a value as PROTOCOL §5 writes it."""
    if value is None or (isinstance(value, Raw) and bytes(value) in {b"", b"null"}):
        return None
    if column.type is ColumnType.DECIMAL and column.scale is not None:
        return format(value, f".{column.scale}f")
    return CODECS[column.type].canonical(value)
