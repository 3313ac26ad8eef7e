"""Take the edits of a device, durably, and tell what became of them (PROTOCOL §7)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from project.errors import TransientError
from provisioning import failpoints
from provisioning.services import uploads_due
from replication.domain import mutations as domain
from replication.domain.mutations import Mutation
from replication.staging import clock, connections, mutations
from replication.staging.mutations import Outcome, Uploader
from replication.visibility import outcomes
from replication.visibility.access import Access, OfflineNotAllowedError
from replication.visibility.cached_access import cached_access
from replication.visibility.member import NotReadyError

__all__ = [
    "MOST_OUTCOMES",
    "Uploader",
    "accept",
    "accept_checked",
    "know_device",
    "outcomes_after",
]

MOST_OUTCOMES = 1_000
# Rows of conflicts are left out of an answer once it is so long; `/changes` brings them.
_ROW_BYTES = 4 * 2**20


class RestoredError(TransientError):
    """The database was restored or copied just now; the next request finds it ready."""

    code = "not_ready"


def accept(
    organization_id: UUID, *, uploader: Uploader, sent: Sequence[Mutation]
) -> bytes:
    """Store what is new, and say how each mutation stands: JSON, in their order.

    Once this returns, they are durable. Repeating is harmless.

    :raises MalformedMutationsError: a mutation breaks the protocol.
    :raises SequenceError: they are not the next of the device.
    :raises ReusedIdError: one came before with another body.
    """
    domain.check(sent)
    return accept_checked(organization_id, uploader=uploader, sent=sent)


def accept_checked(
    organization_id: UUID, *, uploader: Uploader, sent: Sequence[Mutation]
) -> bytes:
    """The same, of mutations whose syntax was found to be right."""
    with connections.reading(organization_id) as conn:
        before, new = _stored(conn, organization_id, uploader, sent)
        if new:
            failpoints.reach("accept.after_commit")
            uploads_due.wake(organization_id)
        return _told(conn, [*before, *new], user_id=uploader.user_id)


def outcomes_after(
    organization_id: UUID, *, device_id: UUID, user_id: UUID, sequence: int
) -> bytes:
    """All outcomes of the device after that sequence, oldest first, as JSON.

    At most `MOST_OUTCOMES`; asking again after the last of them brings the rest.
    """
    with connections.reading(organization_id) as conn:
        found = mutations.after(
            conn, device_id=device_id, sequence=sequence, limit=MOST_OUTCOMES
        )
        return _told(conn, found, user_id=user_id)


def know_device(
    organization_id: UUID, *, device_id: UUID, user_id: UUID, is_new: bool
) -> int:
    """Make a registered device known to staging; return its next sequence."""
    with connections.reading(organization_id) as conn:
        return mutations.know(conn, device_id=device_id, user_id=user_id, is_new=is_new)


def _stored(
    conn: psycopg.Connection,
    organization_id: UUID,
    uploader: Uploader,
    sent: Sequence[Mutation],
) -> tuple[list[Outcome], list[Outcome]]:
    """Store the new ones in one transaction; how all stand: those before, the new."""
    device_id = uploader.device_id
    # Should this process die after its commit, somebody looks all the same.
    uploads_due.expect(organization_id)
    with conn.transaction():
        place = mutations.lock_place(
            conn, device_id=device_id, user_id=uploader.user_id
        )
        if place is not None:
            at, epoch = place
            known, before = mutations.known(
                conn, device_id=device_id, ids=[mutation.id for mutation in sent]
            )
            new = domain.fresh(sent, known=known, place=at)
            if not new:
                return before, []
            stored = mutations.store(conn, new, uploader=uploader, epoch=epoch)
            failpoints.reach("accept.before_commit")
            return before, stored
    clock.renew_epoch(conn)
    raise RestoredError("The database was restored; try again.")


def _told(
    conn: psycopg.Connection, found: Sequence[Outcome], *, user_id: UUID
) -> bytes:
    """The outcomes as they are told now, without the brackets around them."""
    if all(one.status != "conflict" for one in found):
        return b",".join(one.content for one in found)
    told: list[bytes] = []
    room = _ROW_BYTES
    with connections.snapshot(conn):
        access = _access(conn, user_id)
        for at in range(0, len(found), outcomes.AT_ONCE):
            some = found[at : at + outcomes.AT_ONCE]
            if room <= 0:
                told += [one.content for one in some]
                continue
            now = outcomes.server_rows(conn, access, some) if access else {}
            written = [outcomes.told(one, access=access, now=now) for one in some]
            room -= sum(len(content) for content in written)
            told += written
    return b",".join(told)


def _access(conn: psycopg.Connection, user_id: UUID) -> Access | None:
    """None: the user sees no rows now. Uploads stay open all the same."""
    reading = clock.read(conn)
    if reading is None:
        return None
    try:
        return cached_access(conn, user_id, reading)
    except (OfflineNotAllowedError, NotReadyError):
        return None
