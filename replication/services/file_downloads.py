"""Hand out a file that its user may see, block by block, as the source has it now.

Whoever may hold the row may fetch its file; the source is asked by the application
user, who sees every column, so that secured columns are judged here. Nothing is kept.
A slot of the source's budget is held for one block, never for a slow device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from project.errors import RejectedError, TransientError
from provisioning.models import Organization
from replication.domain.file_edits import (
    LARGEST_FILE,
    FileTooLargeError,
    NoSuchFileError,
)
from replication.domain.mutations import Mutation
from replication.domain.tables import FileDef, TableDef
from replication.odata.client import ODataSource
from replication.odata.files import (
    BLOCK_BYTES,
    FilePlace,
    FileReader,
    FileState,
    SourceFiles,
)
from replication.odata.values import GUID
from replication.services import allowance, sources
from replication.staging import clock, connections, registry
from replication.visibility import member
from replication.visibility.access import OfflineNotAllowedError
from replication.visibility.writable import writable


class FileMovedError(RejectedError):
    """The file is another one than the device has seen."""

    code = "precondition_failed"


class RangeError(RejectedError):
    """The file has no such bytes."""

    code = "range_not_satisfiable"

    def __init__(self, *, size: int) -> None:
        super().__init__("The file has no such bytes.")
        self.size = size


class FileChangedMeanwhileError(TransientError):
    """The file was changed while it was being sent."""

    code = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which bytes: from the first one on, or only the last so many; both inclusive."""

    first: int | None = None
    last: int | None = None
    suffix: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the device knows of the file, as it was told by `ETag`."""

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None
    # Only if the file is this one, a part is wanted.
    if_range: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A file that is being sent: what it is, and the bytes that were asked for."""

    version: str
    size: int
    name: str | None
    start: int
    length: int
    is_part: bool
    content: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The device has it already."""

    version: str


def fetch(
    organization_id: UUID,
    *,
    user_id: UUID,
    table: str,
    key: str,
    column: str,
    wanted: Wanted | None = None,
    conditions: Conditions | None = None,
) -> Served | Unchanged:
    """Return the file as the source has it now.

    :raises OfflineNotAllowedError: the user may take nothing along now.
    :raises NoSuchFileError: there is none, or none that the user may see.
    :raises FileMovedError: it is none of those in `if_match`.
    :raises RangeError: it has no such bytes.
    :raises FileTooLargeError: it is larger than is handed out.
    :raises SyncError: the source cannot be asked now.
    """
    conditions = conditions or Conditions()
    place = _visible(organization_id, user_id, (table, key, column))
    desk = _Desk(organization_id, place)
    state = desk.look()
    if state is None or not state.is_there:
        raise NoSuchFileError("There is no such file.")
    if not _meets(conditions.if_match, state.version):
        raise FileMovedError("The file is another one by now.")
    if conditions.if_none_match and _meets(conditions.if_none_match, state.version):
        return Unchanged(state.version)
    if conditions.if_range not in (None, state.version):
        wanted = None
    return _served(desk, state, wanted)


def _meets(known: frozenset[str] | None, version: str) -> bool:
    return known is None or version in known or "*" in known


class _Desk:
    """Asks the source about one file, with a slot for each question."""

    def __init__(self, organization_id: UUID, place: FilePlace) -> None:
        self._organization = Organization.objects.get(pk=organization_id)
        self._source = sources.source_of(self._organization)
        self._place = place

    def look(self) -> FileState | None:
        with self._asking() as files:
            return files.look(self._place)

    def block(self, start: int, length: int) -> tuple[bytes, int]:
        """Some bytes, and the size of the file.

        :raises NoSuchFileError: it is gone.
        """
        with self._asking() as files:
            reader: FileReader = files.reader(self._place)
            found = reader.block(start, length)
        if found is None:
            raise NoSuchFileError("There is no such file.")
        if found.size > LARGEST_FILE:
            raise FileTooLargeError(f"Files of {LARGEST_FILE} bytes are handed out.")
        return found.content, found.size

    @contextmanager
    def _asking(self) -> Iterator[SourceFiles]:
        asked = allowance.asking(self._organization, self._source, urgent=True)
        with asked as (source, _):
            yield _files_of(source)


def _files_of(source: ODataSource) -> SourceFiles:
    return source.writer().files()


def _served(desk: _Desk, state: FileState, wanted: Wanted | None) -> Served:
    wanted = wanted or Wanted(first=0)
    if wanted.first is None:
        _, size = desk.block(0, 1)
        first = max(size - (wanted.suffix or 0), 0) if wanted.suffix else size
        last = size - 1
    else:
        first = wanted.first
        last = wanted.last if wanted.last is not None else LARGEST_FILE
    head, size = desk.block(first, min(BLOCK_BYTES, max(last - first + 1, 1)))
    is_part = wanted != Wanted(first=0)
    if is_part and (first >= size or last < first):
        raise RangeError(size=size)
    last = min(last, size - 1)
    return Served(
        version=state.version,
        size=size,
        name=state.name,
        start=first,
        length=last - first + 1,
        is_part=is_part,
        content=_content(desk, state, head, (first, last, size)),
    )


def _content(
    desk: _Desk, state: FileState, head: bytes, extent: tuple[int, int, int]
) -> Iterator[bytes]:
    """Yield the bytes; the last block only once it is sure that all are of one file.

    :raises FileChangedMeanwhileError: they are not; the device begins anew.
    """
    first, last, size = extent
    held, at = head[: last - first + 1], first
    while at + len(held) <= last:
        if not held:
            raise FileChangedMeanwhileError("The file became shorter.")
        yield held
        at += len(held)
        held, now = desk.block(at, min(BLOCK_BYTES, last - at + 1))
        if now != size:
            raise FileChangedMeanwhileError("The file has another size by now.")
    after = desk.look()
    if after is None or after.version != state.version:
        raise FileChangedMeanwhileError("The file is another one by now.")
    yield held


def _visible(
    organization_id: UUID, user_id: UUID, names: tuple[str, str, str]
) -> FilePlace:
    """:raises NoSuchFileError: there is none that the user may see."""
    table_name, key, column = names
    row = _row(table_name, key)
    with connections.reading(organization_id) as conn:
        rights = writable(conn, user_id, {(table_name, row.row_key or "")})
        if rights.access is None:
            raise OfflineNotAllowedError("The user may take nothing along now.")
        access = rights.table(table_name)
        if access is None or not rights.row((table_name, row.row_key or "")).is_visible:
            raise NoSuchFileError("There is no such file.")
        table = access.source.definition
        file = table.file(column)
        if file is None or (file.secured and not _may_read(conn, user_id, table, file)):
            raise NoSuchFileError("There is no such file.")
    return FilePlace(table=table, key=_values(row), file=file)


def _row(table: str, key: str) -> Mutation:
    # Whatever reads the keys of edits reads these.
    return Mutation(id="", sequence=1, op="file", table=table, key=key)


def _values(row: Mutation) -> tuple[Any, ...]:
    return tuple(
        part.lower() if isinstance(part, str) and GUID.fullmatch(part) else part
        for part in row.key_parts or []
    )


def _may_read(
    conn: psycopg.Connection, user_id: UUID, table: TableDef, file: FileDef
) -> bool:
    with connections.snapshot(conn):
        if clock.read(conn) is None:
            return False
        replicated = [known.definition.name for known in registry.tables(conn)]
        who = member.member_of(conn, user_id, replicated=replicated)
        granted = member.granted_columns(conn, who, replicated=replicated)
    return (table.name.lower(), file.name.lower()) in granted
