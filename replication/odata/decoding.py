"""Reads the body of a page into rows, deletes and links.

A page is decoded at once. Only when something in it does not fit its type is it
taken item by item, so that the rows at fault can be set aside with a reason that
names the column and never the value.

Within one page a later row cancels an earlier delete of its key. Dataverse sends
deletes last, so where rows have versions a row cancels a later delete too: both in
one page mean that the row was deleted and made again. Otherwise rows are meant to
be applied before deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from replication.domain.pages import SetAside
from replication.domain.tables import ColumnType, TableDef
from replication.odata import deltas
from replication.odata.deltas import Item
from replication.odata.errors import MalformedAnswerError
from replication.odata.keys import UnusableKeyError, key_text
from replication.odata.rows import (
    UNDECLARED_MEMBER,
    ODataRowCodec,
    codec_for,
    wire_name,
    wire_type,
)
from replication.odata.values import CODECS, all_guids, copy_text

# Every escape of a JSON text, so that `\\u0000` (a backslash and letters) is told
# from the escape `\u0000`.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[0-9a-fA-F]{4}|\\.",
    re.DOTALL,
)
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_NUL = rb"\u0000"


class Envelope(msgspec.Struct, gc=False, kw_only=True):
    """A page's own members; the types made per table add `value`."""

    context: str | None = msgspec.field(default=None, name="@odata.context")
    context_401: str | None = msgspec.field(default=None, name="@context")
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    next_link_401: str | None = msgspec.field(default=None, name="@nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")
    delta_link_401: str | None = msgspec.field(default=None, name="@deltaLink")


class _RawEnvelope(Envelope, gc=False, kw_only=True):
    value: list[dict[str, Raw]]


@dataclass(slots=True, kw_only=True)
class Decoded:
    """What one body held."""

    rows: list[Any] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    stripped_nuls: int = 0
    next_link: str | None = None
    delta_link: str | None = None
    # What the body says that it is; None when it says nothing.
    context: str | None = None
    # Keys of rows that came with only some of their columns.
    partial: list[str] = field(default_factory=list)

    @property
    def denies_delta(self) -> bool:
        """Whether the body is a list of rows, and not one of changes."""
        return self.context is not None and not self.context.endswith("$delta")


@lru_cache(maxsize=512)
def decoder_for(table: TableDef) -> PageDecoder:
    """Return the decoder of a table's pages; equal definitions share one."""
    return PageDecoder(codec_for(table))


class PageDecoder:
    """Reads the pages of one table."""

    def __init__(self, codec: ODataRowCodec) -> None:
        self._codec = codec
        page_type = msgspec.defstruct(
            "Page",
            [("value", list[codec.row_type])],  # type: ignore[name-defined]  # built at run time
            bases=(Envelope,),
            kw_only=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(page_type)
        columns = codec.table.columns
        self._checks = [
            (column, codec.fields[column.name], CODECS[column.type])
            for column in columns
            if CODECS[column.type].fits is not None
        ]
        self._text_fields = [
            codec.fields[column.name]
            for column in columns
            if CODECS[column.type].copy is copy_text
        ]
        self._json_fields = [
            codec.fields[column.name]
            for column in columns
            if column.type is ColumnType.JSON
        ]
        self._declared = {wire_name(column) for column in columns}
        self._gathers = any(column.undeclared for column in columns)
        # What a whole row has; companions are annotations, and nulls need none.
        self._whole = {
            wire_name(c) for c in columns if not (c.undeclared or c.from_annotation)
        }
        version = codec.table.version_column
        self._version_field = codec.fields[version] if version else None

    def decode(self, body: bytes, *, may_be_partial: bool = False) -> Decoded:
        """Read one page.

        `may_be_partial`: rows may lack columns that did not change; then only their
        keys are returned. Otherwise a column that is missing is null.

        :raises MalformedAnswerError: it is no page of OData JSON.
        """
        try:
            if self._json_fields:
                # Nobody else looks into text that is passed on as it came.
                str(body, "utf-8")
            return self._decode(body, may_be_partial=may_be_partial)
        except msgspec.ValidationError as error:
            message = f"The page is not shaped as OData says: {error}."
            raise MalformedAnswerError(message) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedAnswerError(f"The page is no JSON: {error}.") from error

    def _decode(self, body: bytes, *, may_be_partial: bool) -> Decoded:
        try:
            if may_be_partial or self._gathers:
                return self._decode_one_by_one(body, may_be_partial=may_be_partial)
            return self._decode_at_once(body)
        except msgspec.ValidationError:
            return self._decode_one_by_one(body, may_be_partial=may_be_partial)
        except msgspec.DecodeError:
            # .NET cuts strings in the middle of a surrogate pair and sends the half
            # as an escape. One such row must not make its page unreadable for ever.
            repaired = _ESCAPE.sub(_without_half_pair, body)
            if repaired == body:
                raise
            return self._decode(repaired, may_be_partial=may_be_partial)

    def _decode_at_once(self, body: bytes) -> Decoded:
        envelope: Any = self._decoder.decode(body)
        result = _begin(envelope)
        items: list[Any] = envelope.value
        if any(deltas.is_special(item) for item in items):
            self._sort(items, result)
        else:
            result.rows = items
        return self._finish(result, has_nuls=_NUL in body)

    def _sort(self, items: list[Any], result: Decoded) -> None:
        deletes: dict[str, None] = {}
        for item in items:
            kind = deltas.kind_of_row(item)
            if kind is Item.ROW:
                result.rows.append(item)
                self._cancel(deletes, item)
            elif kind is Item.REMOVED:
                try:
                    deletes[deltas.removed_key_of_row(self._codec, item)] = None
                except UnusableKeyError as error:
                    result.set_aside.append(_unusable(error))
        result.deletes = list(deletes)

    def _decode_one_by_one(self, body: bytes, *, may_be_partial: bool) -> Decoded:
        envelope = msgspec.json.decode(body, type=_RawEnvelope)
        result = _begin(envelope)
        deletes: dict[str, None] = {}
        for members in envelope.value:
            try:
                if may_be_partial and self._is_partial(members):
                    key = deltas.key_of_members(self._codec, members)
                    result.partial.append(key)
                    deletes.pop(key, None)
                else:
                    self._take(members, result, deletes)
            except UnusableKeyError as error:
                result.set_aside.append(_unusable(error))
        result.deletes = list(deletes)
        result.partial = [key for key in result.partial if key not in deletes]
        return self._finish(result, has_nuls=_NUL in body)

    def _is_partial(self, members: dict[str, Raw]) -> bool:
        """Whether columns may be missing. Nobody knows what undeclared ones there are."""
        return deltas.kind_of_members(members) is Item.ROW and (
            self._gathers or not self._whole <= members.keys()
        )

    def _take(
        self, members: dict[str, Raw], result: Decoded, deletes: dict[str, None]
    ) -> None:
        kind = deltas.kind_of_members(members)
        if kind is Item.REMOVED:
            deletes[deltas.removed_key_of_members(self._codec, members)] = None
        elif kind is Item.ROW:
            misfit = self._misfit_member(members)
            if misfit is not None:
                result.set_aside.append(misfit)
                deletes.pop(misfit.key or "", None)
                return
            row = msgspec.json.decode(
                msgspec.json.encode(self._gathered(members)), type=self._codec.row_type
            )
            result.rows.append(row)
            self._cancel(deletes, row)

    def _gathered(self, members: dict[str, Raw]) -> dict[str, Raw]:
        """Put what nobody declared into the column that keeps it."""
        if not self._gathers:
            return members
        rest = {
            name: members[name]
            for name in sorted(members.keys() - self._declared)
            if "@" not in name
        }
        if not rest:
            return members
        return members | {UNDECLARED_MEMBER: Raw(msgspec.json.encode(rest))}

    def _misfit_member(self, members: dict[str, Raw]) -> SetAside | None:
        for column in self._codec.table.columns:
            raw = members.get(wire_name(column))
            try:
                if raw is not None:
                    msgspec.json.decode(raw, type=wire_type(column))
            except msgspec.ValidationError as error:
                key = self._key_of_members(members)
                return SetAside(key=key, column=column.name, reason=f"{error}.")
        return None

    def _key_of_members(self, members: dict[str, Raw]) -> str | None:
        values = deltas.key_values(self._codec, members)
        try:
            return key_text(self._codec.key_columns, values)
        except UnusableKeyError:
            return None

    def _cancel(self, deletes: dict[str, None], row: Any) -> None:
        if deletes:
            try:
                deletes.pop(self._codec.checked_key(row), None)
            except UnusableKeyError:
                return

    def _finish(self, result: Decoded, *, has_nuls: bool) -> Decoded:
        if has_nuls:
            result.stripped_nuls = self._strip_nuls(result.rows)
        if not self._all_usable(result.rows):
            rows, result.rows = result.rows, []
            for row in rows:
                misfit = self._misfit(row)
                if misfit is None:
                    result.rows.append(row)
                else:
                    result.set_aside.append(misfit)
        if result.deletes and self._version_field:
            made_again = {self._codec.key(row) for row in result.rows}
            made_again |= {aside.key for aside in result.set_aside if aside.key}
            result.deletes = [key for key in result.deletes if key not in made_again]
        return result

    def _all_usable(self, rows: list[Any]) -> bool:
        """Ask whole columns at C speed; a no says that some row must be found."""
        for _, column_field, codec in self._checks:
            values = list(map(attrgetter(column_field), rows))
            if codec.all_fit is not None and not codec.all_fit(values):
                return False
        if self._version_field and None in map(attrgetter(self._version_field), rows):
            return False
        if not self._codec.has_guid_key:
            return all(self._has_key(row) for row in rows)
        key_field = self._codec.fields[self._codec.key_columns[0].name]
        return all_guids(list(map(attrgetter(key_field), rows)))

    def _has_key(self, row: Any) -> bool:
        try:
            self._codec.checked_key(row)
        except UnusableKeyError:
            return False
        return True

    def _misfit(self, row: Any) -> SetAside | None:
        """Say why no staging row can hold this one, None when one can."""
        try:
            key = self._codec.checked_key(row)
        except UnusableKeyError as error:
            return _unusable(error)
        for column, column_field, codec in self._checks:
            value = getattr(row, column_field)
            if value is not None and codec.fits is not None and not codec.fits(value):
                reason = f"The value is no {column.type}."
                return SetAside(key=key, column=column.name, reason=reason)
        if self._version_field and getattr(row, self._version_field) is None:
            column_name = self._codec.table.version_column
            reason = "The row came without its version."
            return SetAside(key=key, column=column_name, reason=reason)
        return None

    def _strip_nuls(self, rows: Iterable[Any]) -> int:
        """Take out NUL, which PostgreSQL's text has no room for; return how many."""
        count = 0
        for row in rows:
            for name in self._text_fields:
                value = getattr(row, name)
                if value is not None and "\0" in value:
                    count += value.count("\0")
                    setattr(row, name, value.replace("\0", ""))
            for name in self._json_fields:
                clean, found = _without_nul_escapes(bytes(getattr(row, name)))
                count += found
                setattr(row, name, Raw(clean))
        return count


def _begin(envelope: Envelope) -> Decoded:
    return Decoded(
        next_link=envelope.next_link or envelope.next_link_401,
        delta_link=envelope.delta_link or envelope.delta_link_401,
        context=envelope.context or envelope.context_401,
    )


def _unusable(error: UnusableKeyError) -> SetAside:
    return SetAside(key=None, column=error.column, reason=error.reason)


def _without_half_pair(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if _HALF_PAIR.fullmatch(escape[0]) else escape[0]


def _without_nul_escapes(text: bytes) -> tuple[bytes, int]:
    found = 0

    def drop(escape: re.Match[bytes]) -> bytes:
        nonlocal found
        if escape[0] != _NUL:
            return escape[0]
        found += 1
        return b""

    return _ESCAPE.sub(drop, text), found
