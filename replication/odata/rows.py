"""Knows the rows of one table: their struct, key, version and COPY text.

Structs are built from the table's columns, so that JSON is read at C speed. A
member that is missing in a row counts as null: sources send whole rows of the
selected columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.keys import key_columns, key_text
from replication.odata.values import CODECS, copy_text

LOOKUP_TYPE = "Microsoft.Dynamics.CRM.lookuplogicalname"

# No service sends a name with a blank: the decoder puts this member together.
UNDECLARED_MEMBER = "undeclared members"

# PROTOCOL §5: a version has at most 128 characters.
VERSION_LIMIT = 128

# Members that say what an item is, by field; names of OData 4.0 and of 4.01.
_SPECIAL: tuple[tuple[str, str, Any, Any], ...] = (
    ("etag", "@odata.etag", str | None, None),
    ("etag_401", "@etag", str | None, None),
    ("context", "@odata.context", str | None, None),
    ("context_401", "@context", str | None, None),
    ("removed", "@removed", Any, UNSET),
    ("id_400", "@odata.id", str | None, None),
    ("id_401", "@id", str | None, None),
    # Of a deleted row. Tables may have a column of this name.
    ("id", "id", Any, None),
)


def wire_name(column: ColumnDef) -> str:
    """Return the JSON member that holds a column's value."""
    if column.undeclared:
        return UNDECLARED_MEMBER
    if column.from_annotation:
        return f"{column.source_name}@{LOOKUP_TYPE}"
    return column.source_name


def wire_type(column: ColumnDef) -> Any:
    """Return the msgspec type of the JSON value, null included."""
    wire = CODECS[column.type].wire
    return wire if wire is Raw else wire | None


@lru_cache(maxsize=512)
def codec_for(table: TableDef) -> ODataRowCodec:
    """Return the codec of a table; equal definitions share one."""
    return ODataRowCodec(table)


class ODataRowCodec:
    """Implements `RowCodec` for the rows of one table."""

    def __init__(self, table: TableDef) -> None:
        self.table = table
        self.fields = {column.name: f"c{n}" for n, column in enumerate(table.columns)}
        self.row_type = _row_type(table, self.fields)
        self.key_columns = key_columns(table)
        self.has_guid_key = table.has_guid_key
        self._key_fields = [self.fields[name] for name in table.key]
        self._copies = [CODECS[column.type].copy for column in table.columns]
        self._values = attrgetter(*self.fields.values(), "etag", "etag_401")
        names = list(self.fields)
        self._version_at = (
            names.index(table.version_column) if table.version_column else None
        )

    def key(self, row: Any) -> str:
        """Return the key of PROTOCOL §5.

        :raises UnusableKeyError: never for rows of a decoded page.
        """
        if self.has_guid_key:
            text: str = getattr(row, self._key_fields[0])
            return text.lower()
        return self.checked_key(row)

    def checked_key(self, row: Any) -> str:
        """Return the key.

        :raises UnusableKeyError: the row has none that could be stored.
        """
        values = [getattr(row, field) for field in self._key_fields]
        return key_text(self.key_columns, values)

    def version(self, row: Any) -> str:
        """Return the version column's value, else the ETag, else a hash of the row."""
        if self._version_at is not None:
            return str(int(getattr(row, f"c{self._version_at}")))
        etag: str = row.etag or row.etag_401 or ""
        if _is_version(etag):
            return etag
        _, texts = self._texts([row])
        return _hash([text[0] for text in texts])

    def copy_lines(self, rows: Iterable[Any]) -> bytes:
        """Return COPY text: columns, version, and the key where it is not one GUID."""
        rows = list(rows)
        if not rows:
            return b""
        columns, texts = self._texts(rows)
        texts.append(self._versions(columns, texts))
        if not self.has_guid_key:
            texts.append(copy_text([self.checked_key(row) for row in rows]))
        lines = map("\t".join, zip(*texts, strict=True))
        return ("\n".join(lines) + "\n").encode()

    def _texts(
        self, rows: list[Any]
    ) -> tuple[list[tuple[Any, ...]], list[Sequence[str]]]:
        """Return values and COPY fields by column; values end with the ETags."""
        columns = list(zip(*map(self._values, rows), strict=True))
        copies = zip(self._copies, columns, strict=False)
        return columns, [copy(values) for copy, values in copies]

    def _versions(
        self, columns: list[tuple[Any, ...]], texts: list[Sequence[str]]
    ) -> Sequence[str]:
        if self._version_at is not None:
            return texts[self._version_at]
        pairs = zip(columns[-2], columns[-1], strict=True)
        etags = [old or new or "" for old, new in pairs]
        if all(map(_is_version, etags)):
            return copy_text(etags)
        hashes = map(_hash, zip(*texts, strict=True))
        both = zip(etags, hashes, strict=True)
        return copy_text([etag if _is_version(etag) else made for etag, made in both])


def _row_type(table: TableDef, fields: dict[str, str]) -> type[Any]:
    """Build the row type. Field names are ours; the source's stay data."""
    rename: dict[str, str] = {}
    members: list[tuple[str, Any, Any]] = []
    for column in table.columns:
        field = fields[column.name]
        rename[field] = wire_name(column)
        default = Raw() if column.type is ColumnType.JSON else None
        members.append((field, wire_type(column), default))
    taken = set(rename.values())
    for field, wire, kind, default in _SPECIAL:
        # No service sends a name with a blank, so the field keeps its default.
        rename[field] = f"no {wire}" if wire in taken else wire
        members.append((field, kind, default))
    return msgspec.defstruct("Row", members, rename=rename, gc=False)


def has_own_version(row: Any) -> bool:
    """Whether the row came with an ETag that is its version."""
    return _is_version(row.etag or row.etag_401 or "")


def _is_version(etag: str) -> bool:
    return 0 < len(etag) <= VERSION_LIMIT


def _hash(fields: Iterable[str]) -> str:
    return blake2b("\t".join(fields).encode(), digest_size=16).hexdigest()
