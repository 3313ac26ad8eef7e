"""Fetches and sends files of rows in blocks; no file is ever in memory whole.

File and image columns have an address of their own. Attachments of notes are fetched
by messages that hand out blocks, and sent by messages that take them (SOURCE §3.13).
Dataverse only: other services have no columns that metadata loading takes for files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from replication.domain.tables import FileDef, TableDef
from replication.odata import note_files
from replication.odata.answers import Reply, check, failure_of
from replication.odata.errors import MalformedAnswerError
from replication.odata.sending_files import BLOCK_BYTES, Parcel, Sender
from replication.odata.transport import WritingTransport
from replication.odata.wire_values import UnfitValueError, key_segment

_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """Which file: of which row and column."""

    table: TableDef
    key: tuple[Any, ...]
    file: FileDef

    @property
    def row_path(self) -> str:
        """:raises UnfitValueError: no row can have such a key."""
        return f"{quote(self.table.entity_set)}{key_segment(self.table, self.key)}"

    @property
    def path(self) -> str:
        return f"{self.row_path}/{quote(self.file.name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A row and its file at one moment. `version` differs whenever the file does."""

    etag: str | None
    row_version: str | None
    version: str
    is_there: bool
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some bytes of a file, and how many it has in all."""

    content: bytes
    size: int


class SourceFiles:
    """The files of one source, as its application user sees them."""

    def __init__(self, transport: WritingTransport, *, base: str) -> None:
        self._transport = transport
        self._base = base

    def look(self, place: FilePlace) -> FileState | None:
        """Return how row and file are now; None when there is no such row.

        :raises SyncError: the source cannot be asked.
        """
        columns = list(_TELLING[place.file.kind](place.file.name))
        if place.table.version_column is not None:
            columns.append(place.table.version_column)
        try:
            address = f"{self._base}/{place.row_path}?$select={','.join(columns)}"
        except UnfitValueError:
            return None
        reply = self._transport.get(address, headers={"Consistency": "Strong"})
        if reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        check(reply, content_type="json")
        return _state(place, _object(reply))

    def reader(self, place: FilePlace) -> FileReader:
        """Return what fetches this file's blocks."""
        return FileReader(self._transport, self._base, place)

    def send(self, place: FilePlace, parcel: Parcel) -> None:
        """Put a file into its place, in the name of its caller.

        :raises WriteRefusedError: the source does not take it; nothing was changed.
        :raises PreconditionFailedError: the row is another one than `if_match`.
        :raises UnknownOutcomeError: nobody knows whether the file was put there.
        :raises SyncError: any other says that nothing was changed.
        """
        sender = Sender(
            self._transport, self._base, table=place.table, key=place.key, parcel=parcel
        )
        if place.file.kind == "note":
            note_files.send(sender, row_path=place.row_path, key=place.key)
        else:
            sender.put(place.path)


class FileReader:
    """Fetches the blocks of one file."""

    def __init__(
        self, transport: WritingTransport, base: str, place: FilePlace
    ) -> None:
        self._transport = transport
        self._base = base
        self._place = place
        self._note: note_files.NoteReader | None = None

    def block(self, start: int, length: int) -> Block | None:
        """Return up to so many bytes from there; None when there is no file.

        Beyond the end there are none.

        :raises SyncError: the source cannot be asked.
        """
        if self._place.file.kind == "note":
            return self._note_block(start, length)
        suffix = "?size=full" if self._place.file.kind == "image" else ""
        reply = self._transport.get(
            f"{self._base}/{self._place.path}/$value{suffix}",
            headers={
                "Range": f"bytes={start}-{start + length - 1}",
                "Accept": "*/*",
                # Places in the file are meant, not in what is compressed.
                "Accept-Encoding": "identity",
            },
        )
        if reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT}:
            return None
        return _block(reply, start, length)

    def _note_block(self, start: int, length: int) -> Block | None:
        if self._note is None:
            self._note = note_files.opened(
                self._transport, self._base, key=self._place.key
            )
        if self._note is None:
            return None
        content = self._note.block(start, length)
        return Block(content=content, size=self._note.size)


def _block(reply: Reply, start: int, length: int) -> Block:
    place = _RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    match reply.status:
        case HTTPStatus.OK:
            # A source that does not know ranges sends all there is.
            content = reply.body[start : start + length]
            return Block(content=content, size=len(reply.body))
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Block(content=b"", size=int(place[3]) if place else start)
        case HTTPStatus.PARTIAL_CONTENT:
            if place is None or place[1] is None or int(place[1]) != start:
                raise MalformedAnswerError("The source sent another part of a file.")
            return Block(content=reply.body[:length], size=int(place[3]))
        case _:
            raise failure_of(reply)


def _of_file(name: str) -> tuple[str, ...]:
    return (name,)


def _of_image(name: str) -> tuple[str, ...]:
    return (f"{name}id", f"{name}_timestamp")


def _of_note(_name: str) -> tuple[str, ...]:
    return ("isdocument", "filename", "filesize")


# Which columns of a row tell of its file, without bringing its body.
_TELLING = {"file": _of_file, "image": _of_image, "note": _of_note}


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswerError(f"A row is not as expected: {error}.") from error


def _state(place: FilePlace, row: Mapping[str, Any]) -> FileState:
    etag = row.get("@odata.etag")
    telling = [row.get(name) for name in _TELLING[place.file.kind](place.file.name)]
    if place.file.kind == "note":
        # Nothing but the row's own version changes with the attachment alone.
        telling = [*telling, etag]
    words = msgspec.json.encode([place.file.kind, *telling])
    column = place.table.version_column
    version = row.get(column) if column else None
    name = row.get("filename") if place.file.kind == "note" else None
    return FileState(
        etag=etag if isinstance(etag, str) else None,
        row_version=None if version is None else str(version),
        version=hashlib.sha256(words).hexdigest()[:32],
        is_there=bool(telling[0]),
        name=name if isinstance(name, str) else None,
    )


__all__ = [
    "BLOCK_BYTES",
    "Block",
    "FilePlace",
    "FileReader",
    "FileState",
    "Parcel",
    "SourceFiles",
]
