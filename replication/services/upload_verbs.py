"""What operators do to device edits that wait or failed, each with an audit entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from project.errors import RejectedError
from provisioning.models import AuditEntry
from provisioning.services import uploads_due
from replication.staging import clock, connections

DISCARDED = {"reason": "other", "message": "An operator discarded the edit."}


class UnknownMutationError(RejectedError):
    """No device of the organization has sent such a mutation."""

    code = "not_found"


class MutationStateError(RejectedError):
    """The mutation is in no state for that."""

    code = "mutation_state"


def retry(
    organization_id: UUID,
    mutation_id: UUID,
    *,
    operator: str,
    device_id: UUID | None = None,
    values: Mapping[str, Any] | None = None,
    onto_present: bool = False,
) -> None:
    """Try a failed edit again, with its whole group; one that waits is tried now.

    `values` take the place of those that the device sent. `onto_present`: it is
    written over the row as it is now, whatever the device had seen. What waits behind
    it goes on once it is done. `device_id` tells whose edit is meant where several
    devices have sent one with this id.

    :raises UnknownMutationError: there is none.
    :raises MutationStateError: it is done, parked, or on its way right now.
    """
    with connections.opened(organization_id) as conn, conn.transaction():
        found = _locked(conn, mutation_id, device_id=device_id)
        if any(one.status == "applied" or one.is_under_way for one in found):
            raise MutationStateError("The edit is done, or on its way.")
        if any(one.status == "parked" for one in found):
            raise MutationStateError("Retry what the edit waits behind.")
        if values is not None:
            _replace_values(conn, found[0].device_id, mutation_id, values)
        for one in found:
            conn.execute(_RETRY, (onto_present, one.device_id, one.sequence))
        first = found[0]
    verb = "retry mutation" if values is None else "edit and retry mutation"
    changed = sorted(values) if values is not None else None
    _audit(organization_id, operator, verb, first, mutation_id, columns=changed)
    uploads_due.expect(organization_id)
    uploads_due.wake(organization_id)


# Part of a conflict may have been written under the marker of the first round.
_RETRY = """
UPDATE sync.mutation m
SET status = 'accepted', outcome = NULL, next_try_at = NULL, attempts = 0,
    last_error = NULL,
    round = m.round + (m.status = 'conflict')::integer,
    is_forced = m.is_forced OR %s
WHERE m.device_id = %s AND m.sequence = %s
"""


def discard(
    organization_id: UUID,
    mutation_id: UUID,
    *,
    operator: str,
    device_id: UUID | None = None,
) -> None:
    """Give an edit up, with its whole group and all that waits behind it.

    :raises UnknownMutationError: there is none.
    :raises MutationStateError: it is done, or on its way right now.
    """
    with connections.opened(organization_id) as conn, conn.transaction():
        found = _locked(conn, mutation_id, device_id=device_id)
        if any(one.status == "applied" or one.is_under_way for one in found):
            raise MutationStateError("The edit is done, or on its way.")
        held = clock.lock(conn)
        given_up = conn.execute(
            _DISCARD,
            {
                "rev": held.rev,
                "outcome": Jsonb(DISCARDED),
                "device": found[0].device_id,
                "sequences": [one.sequence for one in found],
                "ids": [one.id for one in found],
            },
        )
        held.take(given_up.rowcount)
        clock.store(conn, held)
        first = found[0]
    _audit(organization_id, operator, "discard mutation", first, mutation_id)


# What has failed already keeps its outcome; those behind it wait for nothing any more.
_DISCARD = """
UPDATE sync.mutation m
SET status = 'rejected', outcome = %(outcome)s, outcome_rev = %(rev)s + g.place,
    decided_at = now(), delivered_at = NULL, next_try_at = NULL
FROM (
    SELECT sequence, row_number() OVER (ORDER BY sequence) AS place
    FROM sync.mutation
    WHERE device_id = %(device)s AND status IN ('accepted', 'parked')
      AND (sequence = ANY(%(sequences)s)
           OR (outcome->>'blocked_by')::uuid = ANY(%(ids)s))
) g
WHERE m.device_id = %(device)s AND m.sequence = g.sequence
"""


class _Locked(msgspec.Struct):
    device_id: UUID
    sequence: int
    id: UUID
    status: str
    op: str
    table: str | None
    row_key: str | None
    is_under_way: bool


def _locked(
    conn: psycopg.Connection, mutation_id: UUID, *, device_id: UUID | None
) -> Sequence[_Locked]:
    """The mutation and the others of its group, held until the transaction ends."""
    rows = conn.execute(
        'SELECT device_id, sequence, id, status, op, "table", row_key,'
        " sent_at IS NOT NULL AND status = 'accepted'"
        " FROM sync.mutation WHERE (id = %(id)s OR (device_id, group_id) IN"
        " (SELECT device_id, group_id FROM sync.mutation"
        "  WHERE id = %(id)s AND group_id IS NOT NULL))"
        " AND device_id = coalesce(%(device)s, device_id)"
        " ORDER BY sequence FOR UPDATE",
        {"id": mutation_id, "device": device_id},
    ).fetchall()
    if not rows:
        raise UnknownMutationError(f"There is no mutation {mutation_id}.")
    found = [_Locked(*row) for row in rows]
    if len({one.device_id for one in found}) > 1:
        # Ids are unique within their device only.
        message = "Several devices have sent an edit with this id; name the device."
        raise MutationStateError(message)
    return found


def _replace_values(
    conn: psycopg.Connection,
    device_id: UUID,
    mutation_id: UUID,
    values: Mapping[str, Any],
) -> None:
    row = conn.execute(
        "SELECT body, op FROM sync.mutation WHERE device_id = %s AND id = %s",
        (device_id, mutation_id),
    ).fetchone()
    assert row is not None
    body, op = row
    if op not in ("create", "update"):
        raise MutationStateError("The edit has no values.")
    document = _decoder.decode(bytes(body))
    document["values"] = dict(values)
    # The hash stays: by it the device's own mutation is known again.
    conn.execute(
        "UPDATE sync.mutation SET body = %s WHERE device_id = %s AND id = %s",
        (_encoder.encode(document), device_id, mutation_id),
    )


# What the operator leaves alone keeps its digits.
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def _audit(
    organization_id: UUID,
    operator: str,
    verb: str,
    first: _Locked,
    mutation_id: UUID,
    *,
    columns: Sequence[str] | None = None,
) -> None:
    detail: dict[str, Any] = {
        "mutation": str(mutation_id),
        "device": str(first.device_id),
        "op": first.op,
        "table": first.table,
        "key": first.row_key,
    }
    if columns is not None:
        detail["columns"] = list(columns)
    AuditEntry.objects.create(
        actor=operator, verb=verb, organization_id=organization_id, detail=detail
    )
