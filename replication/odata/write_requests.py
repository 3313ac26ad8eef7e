"""Says by which request a write is made: address, condition and body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from replication.domain.tables import ColumnDef, TableDef
from replication.odata.keys import key_columns
from replication.odata.ways import Link, Target
from replication.odata.wire_values import (
    UnfitValueError,
    key_segment,
    segment_of,
    undeclared_members,
    wire_value,
)
from replication.odata.write_errors import Reason, WriteRefusedError
from replication.odata.writes import Write

_BIND = "@odata.bind"
_JSON = "application/json"
# Numbers inside of open values keep their digits, and stay numbers.
_encoder = msgspec.json.Encoder(decimal_format="number")
_ETAG = re.compile(r"\*|[\x21-\x7e]{1,512}")


class References(Protocol):
    """Knows by which names rows refer to each other."""

    def lookup(self, table: str, column: str, target: str | None) -> str | None: ...

    def target(self, name: str) -> Target | None: ...

    def link(self, table: str, relationship: str) -> Link | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One request; `path` stands below the service's root, encoded."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """Makes requests for one source, whose root is `base`."""

    base: str
    is_dataverse: bool
    references: References

    def request(self, write: Write, *, index: int = 0) -> WireRequest:
        """Return the request for a write; lookups and relationships may need metadata.

        :raises WriteRefusedError: the write can be no request.
        :raises SyncError: metadata was needed, and could not be had.
        """
        try:
            return _MAKERS[write.op](self, write)
        except UnfitValueError as error:
            raise WriteRefusedError(
                f"The value of {error.column} does not fit.",
                reason="invalid",
                index=index,
                column=error.column,
            ) from error
        except _RefusedError as error:
            raise WriteRefusedError(
                error.message, reason=error.reason, index=index, column=error.column
            ) from error

    def _create(self, write: Write) -> WireRequest:
        columns = key_columns(write.table)
        if len(columns) != len(write.key):
            raise UnfitValueError(columns[0].name)
        key = {
            column.source_name: self._plain(column, value)
            for column, value in zip(columns, write.key, strict=True)
        }
        body = {**self._members(write), **key}
        return WireRequest(
            method="POST",
            path=quote(write.table.entity_set),
            headers={"Content-Type": _JSON},
            body=_encoder.encode(body),
        )

    def _update(self, write: Write) -> WireRequest:
        # Without a condition, PATCH would create what somebody else has deleted.
        condition = {"If-Match": _etag(write.if_match or "*")}
        return WireRequest(
            method="PATCH",
            path=_address(write.table, write.key),
            headers={"Content-Type": _JSON, **condition},
            body=_encoder.encode(dict(self._members(write))),
        )

    def _delete(self, write: Write) -> WireRequest:
        given = write.if_match
        return WireRequest(
            method="DELETE",
            path=_address(write.table, write.key),
            headers={} if given is None else {"If-Match": _etag(given)},
        )

    def _associate(self, write: Write) -> WireRequest:
        link, holder, member = self._ends(write)
        return WireRequest(
            method="PUT" if link.is_single else "POST",
            path=f"{holder}/{quote(link.navigation)}/$ref",
            headers={"Content-Type": _JSON},
            body=msgspec.json.encode({"@odata.id": f"{self.base}/{member}"}),
        )

    def _disassociate(self, write: Write) -> WireRequest:
        link, holder, member = self._ends(write)
        path = f"{holder}/{quote(link.navigation)}/$ref"
        if not link.is_single:
            address = quote(f"{self.base}/{member}", safe="/:()',=")
            path = f"{path}?$id={address}"
        return WireRequest(method="DELETE", path=path)

    def _ends(self, write: Write) -> tuple[Link, str, str]:
        """Return the link, the row that has the property, and the row it leads to."""
        link = self.references.link(write.table.name, write.relationship or "")
        if link is None:
            message = f"The source has no relationship {write.relationship}."
            raise _RefusedError(message, "invalid")
        own = _address(write.table, write.key)
        segment = segment_of(link.other.key, write.other_key)
        other = f"{quote(link.other.entity_set)}{segment}"
        return (link, other, own) if link.is_reversed else (link, own, other)

    def _members(self, write: Write) -> Mapping[str, Any]:
        """Return the JSON members that set the values of a write."""
        known = {column.name: column for column in write.table.columns}
        members: dict[str, Any] = {}
        for name in write.values:
            column = known.get(name)
            if column is None:
                message = f"The table has no column {name}."
                raise _RefusedError(message, "not_writable", name)
            if name not in write.table.key:
                _insist_on_writable(column, write)
                members.update(self._member(column, write))
        return members

    def _member(self, column: ColumnDef, write: Write) -> Iterator[tuple[str, Any]]:
        value = write.values[column.name]
        if column.undeclared:
            yield from undeclared_members(value, column=column).items()
        elif column.from_annotation:
            # Written along with the lookup whose target it names.
            if _lookup_of(column, write.table).name not in write.values:
                raise UnfitValueError(column.name)
        elif self.is_dataverse and _is_lookup(column):
            yield self._bound(column, write, value)
        else:
            yield column.source_name, self._plain(column, value)

    def _bound(self, column: ColumnDef, write: Write, value: Any) -> tuple[str, Any]:
        """Return a lookup by the name of its navigation property."""
        name = column.source_name[1:].removesuffix("_value")
        table = _target_named(column, write)
        if table is None and value is not None:
            message = f"The table to which {column.name} refers has to be named."
            raise _RefusedError(message, "invalid", column.name)
        wanted = None if value is None else table
        navigation = self.references.lookup(write.table.name, name, wanted)
        if navigation is None:
            message = f"The column {column.name} cannot refer to {table or 'anything'}."
            raise _RefusedError(message, "not_writable", column.name)
        if value is None:
            return f"{navigation}{_BIND}", None
        target = self.references.target(table or "")
        if target is None:
            message = f"The source has no table {table}."
            raise _RefusedError(message, "invalid", column.name)
        address = f"/{target.entity_set}({self._plain(column, value)})"
        return f"{navigation}{_BIND}", address

    def _plain(self, column: ColumnDef, value: Any) -> Any:
        return wire_value(column, value, is_dataverse=self.is_dataverse)


class _RefusedError(ValueError):
    """A write that can be no request."""

    def __init__(self, message: str, reason: Reason, column: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason: Reason = reason
        self.column = column


def _insist_on_writable(column: ColumnDef, write: Write) -> None:
    is_open = column.creatable if write.op == "create" else column.updatable
    is_version = column.name == write.table.version_column
    if column.computed or is_version or not is_open:
        message = f"The column {column.name} cannot be written."
        raise _RefusedError(message, "not_writable", column.name)


def _is_lookup(column: ColumnDef) -> bool:
    name = column.source_name
    return name.startswith("_") and name.endswith("_value")


def _target_named(column: ColumnDef, write: Write) -> str | None:
    """Return the table to which a lookup refers, None when nothing says so."""
    for companion in write.table.columns:
        is_its = companion.source_name == column.source_name
        if companion.from_annotation and is_its:
            named = write.values.get(companion.name)
            return named if isinstance(named, str) else None
    return column.references[0] if len(column.references) == 1 else None


def _lookup_of(companion: ColumnDef, table: TableDef) -> ColumnDef:
    return next(
        column
        for column in table.columns
        if column.source_name == companion.source_name and not column.from_annotation
    )


def _address(table: TableDef, key: tuple[Any, ...]) -> str:
    return f"{quote(table.entity_set)}{key_segment(table, key)}"


def _etag(text: str) -> str:
    """Let nothing pass that would be more than one header in a batch."""
    if _ETAG.fullmatch(text) is None:
        raise _RefusedError("The row's version cannot be sent.", "invalid")
    return text


_MAKERS: Mapping[str, Callable[[Composer, Write], WireRequest]] = {
    "create": Composer._create,
    "update": Composer._update,
    "delete": Composer._delete,
    "associate": Composer._associate,
    "disassociate": Composer._disassociate,
}
