"""Take the file of a device piece by piece, and accept it once it is durable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import psycopg
from django.utils import timezone

from provisioning.services import waiting_files
from provisioning.services.waiting_files import WaitingFile
from replication.domain import file_edits
from replication.domain import mutations as domain
from replication.domain.file_edits import (
    LARGEST_FILE,
    FileBody,
    FileEdit,
    FileTooLargeError,
    NoSuchFileError,
)
from replication.domain.mutations import Known, ReusedIdError
from replication.domain.tables import TableDef
from replication.odata.values import GUID
from replication.services import accepting
from replication.services.accepting import RestoredError, Uploader
from replication.staging import clock, connections, mutations, registry

# Failed edits keep their file so long, that an operator may have them tried again.
KEPT = timedelta(days=7)
# Of a part that nobody goes on with.
PART_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a file that come: from which place on, and how many."""

    at: int
    length: int
    read: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """What is there of a file that is not whole yet."""

    size: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is durable; how its edit stands, as JSON."""

    outcome: bytes


def take(
    organization_id: UUID, *, uploader: Uploader, edit: FileEdit, piece: Piece | None
) -> Held | Accepted:
    """Store what comes; without a piece, only say what is there.

    Repeating is harmless, and answers with the state as it is now.

    :raises NoSuchFileError: the organization has no such table or column.
    :raises FileTooLargeError: it is larger than `/model` says.
    :raises SequenceError: it is not the next edit of its device.
    :raises ReusedIdError: the id came before with something else.
    :raises TransientError: there is no room, or the database was restored.
    """
    if edit.size > LARGEST_FILE:
        raise FileTooLargeError(f"A file may have {LARGEST_FILE} bytes.")
    with connections.reading(organization_id) as conn:
        known = _known(conn, organization_id, uploader, edit)
    if known is not None:
        _compare(known, piece)
        return _accepted(organization_id, uploader, edit, sha256=known.sha256)
    waiting = WaitingFile(
        organization_id=organization_id,
        device_id=uploader.device_id,
        mutation_id=UUID(edit.id),
        label=edit.label,
    )
    held = _stored(waiting, edit, piece)
    if held < edit.size or not (waiting.whole.exists() or waiting.part.exists()):
        return Held(held)
    sha256 = waiting.digest().hex()
    waiting.finish()
    return _accepted(organization_id, uploader, edit, sha256=sha256)


def sweep(conn: psycopg.Connection, organization_id: UUID) -> int:
    """Remove files whose edits are over, and parts that nobody goes on with."""
    removed = 0
    before = timezone.now() - min(KEPT, PART_KEPT)
    for device_id, mutation_id, path in waiting_files.unneeded(
        organization_id, before=before
    ):
        if mutation_id is None or not _waits(conn, device_id, mutation_id):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _waits(conn: psycopg.Connection, device_id: UUID, mutation_id: UUID) -> bool:
    row = conn.execute(
        "SELECT FROM sync.mutation WHERE device_id = %s AND id = %s"
        " AND (status IN ('accepted', 'parked') OR decided_at > now() - %s)",
        (device_id, mutation_id, KEPT),
    ).fetchone()
    return row is not None


def _known(
    conn: psycopg.Connection, organization_id: UUID, uploader: Uploader, edit: FileEdit
) -> FileBody | None:
    """The edit as it was accepted before; None if it is new, and may come now.

    :raises ReusedIdError: the id came before with something else.
    """
    table = registry.table(conn, edit.table)
    if table is None or not _is_address(table.definition, edit):
        raise NoSuchFileError("There is no such file.")
    stored = mutations.body(conn, device_id=uploader.device_id, id_=UUID(edit.id))
    if stored is not None:
        sequence, content, digest = stored
        body = file_edits.body_of(content)
        again = edit.mutation(sha256=body.sha256 if body else "")
        fresh = domain.hashed(again)
        if body is None or (sequence, digest) != (edit.sequence, fresh.body_hash):
            message = f"Mutation {edit.id} was accepted with another body."
            raise ReusedIdError(message)
        return body
    _insist_on_turn(conn, uploader, edit)
    return None


def _is_address(table: TableDef, edit: FileEdit) -> bool:
    """Whether there could be such a file; whether it is the user's is an outcome."""
    if table.file(edit.column) is None:
        return False
    return not table.has_guid_key or GUID.fullmatch(edit.key) is not None


def _insist_on_turn(
    conn: psycopg.Connection, uploader: Uploader, edit: FileEdit
) -> None:
    """Nothing is stored of what could not be accepted; looked at again then."""
    with conn.transaction():
        place = mutations.lock_place(
            conn, device_id=uploader.device_id, user_id=uploader.user_id
        )
    if place is None:
        clock.renew_epoch(conn)
        raise RestoredError("The database was restored; try again.")
    nothing: dict[UUID, Known] = {}
    domain.fresh([edit.mutation(sha256="")], known=nothing, place=place[0])


def _compare(known: FileBody, piece: Piece | None) -> None:
    """See that a file that comes once more in one piece is the same.

    :raises ReusedIdError: it is not.
    """
    if piece is None or (piece.at, piece.length) != (0, known.size):
        return
    digest = waiting_files.digest_of(piece.read, piece.length)
    if digest is not None and digest.hex() != known.sha256:
        raise ReusedIdError("The mutation was accepted with another file.")


def _stored(waiting: WaitingFile, edit: FileEdit, piece: Piece | None) -> int:
    if piece is None or (waiting.whole.exists() and not _begins_anew(waiting, piece)):
        return waiting.held
    return waiting.add(piece.read, at=piece.at, length=piece.length)


def _begins_anew(waiting: WaitingFile, piece: Piece) -> bool:
    """A whole file that was never accepted may be sent once more."""
    if piece.at == 0:
        waiting.remove()
        return True
    return False


def _accepted(
    organization_id: UUID, uploader: Uploader, edit: FileEdit, *, sha256: str
) -> Accepted:
    return Accepted(
        accepting.accept_checked(
            organization_id, uploader=uploader, sent=[edit.mutation(sha256=sha256)]
        )
    )
