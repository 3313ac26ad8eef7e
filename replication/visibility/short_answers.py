"""Answer a device at once if it holds what it may, and little has changed (FEED §3).

Everything else is left to `answer`, which computes in pieces: scans and drops, large
changes, resets, digests, and whatever is refused. The answer is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
import psycopg

from replication.staging import connections, mutations
from replication.visibility import subscriptions
from replication.visibility.answer import ChangesRequest
from replication.visibility.cached_access import Kept, last_known
from replication.visibility.checkpoints import Checkpoint, TableHolding
from replication.visibility.glance import Glance
from replication.visibility.messages import (
    CheckpointLine,
    Message,
    NothingNew,
    Outcomes,
    Rows,
)
from replication.visibility.pieces import Limits


def short_answer(
    organization_id: UUID, request: ChangesRequest, limits: Limits
) -> NothingNew | Iterator[Message] | None:
    """Return the whole answer, or None when it takes more than a look."""
    checkpoint = request.checkpoint
    if checkpoint is None or request.reset or request.digest:
        return None
    kept = last_known(checkpoint.epoch, request.user_id)
    if kept is None or not _is_ordinary(request, checkpoint, kept):
        return None
    try:
        with connections.reading(organization_id) as conn:
            seen = kept.view.glance(conn, checkpoint)
            if not _is_enough(seen, checkpoint, kept, limits):
                return None
            _note(conn, request, checkpoint, kept)
            if seen.outcomes.is_unconfirmed:
                mutations.note_delivered(
                    conn, device_id=checkpoint.device, told=checkpoint.told
                )
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        # A retired rule's feed, or a retired column, was dropped; the access is
        # looked up anew.
        return None
    return _answer(seen, checkpoint, kept)


def _is_ordinary(request: ChangesRequest, checkpoint: Checkpoint, kept: Kept) -> bool:
    access = kept.access
    return (
        checkpoint.snapshot is None
        and checkpoint.model == request.model == access.model
        and request.object_id in (None, access.object_id)
        and kept.view.is_held(checkpoint)
    )


def _is_enough(
    seen: Glance, checkpoint: Checkpoint, kept: Kept, limits: Limits
) -> bool:
    """The glance saw all there is, of the history and the access it was made for."""
    reading = seen.reading
    if reading is None or seen.is_security_stale or not seen.is_whole:
        return False
    if not seen.outcomes.are_plain:
        # Rows go with them.
        return False
    if reading.epoch != checkpoint.epoch or reading.access_rev != kept.access_rev:
        return False
    revs = [held.rev for held in checkpoint.tables.values()]
    if checkpoint.seen > reading.rev or any(rev < reading.horizon for rev in revs):
        return False
    found = seen.blocks.values()
    return sum(block.rows for block in found) <= limits.rows and sum(
        block.size for block in found
    ) <= min(limits.piece_bytes, limits.answer_bytes)


def _note(
    conn: psycopg.Connection,
    request: ChangesRequest,
    checkpoint: Checkpoint,
    kept: Kept,
) -> None:
    subscriptions.store(
        conn, checkpoint.epoch, grants=kept.view.grants, columns=kept.view.columns
    )
    subscriptions.note_presented(
        conn,
        device_id=request.device_id,
        user_id=request.user_id,
        rev=checkpoint.seen,
    )


def _answer(
    seen: Glance, before: Checkpoint, kept: Kept
) -> NothingNew | Iterator[Message]:
    assert seen.reading is not None
    rev = seen.reading.rev
    after = msgspec.structs.replace(
        before,
        seen=rev,
        told=rev,
        rows=0,
        tables={
            name: TableHolding(rev, held.columns_id, held.sets)
            for name, held in before.tables.items()
        },
    )
    news: list[Message] = [
        Rows(table=name, deletes=block.deletes, upserts=block.upserts)
        for name, block in seen.blocks.items()
        if block.rows
    ]
    if seen.outcomes.content:
        news.append(Outcomes(content=seen.outcomes.content))
    if not news:
        return NothingNew(after)
    number = before.rows + sum(block.rows for block in seen.blocks.values())
    last = CheckpointLine(
        checkpoint=after,
        complete=True,
        rows=number,
        through_mutation=seen.outcomes.through,
    )
    return iter([kept.view.begin, *news, last])
