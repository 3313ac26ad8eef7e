"""What device protocols ask of the engine: who, which model, what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import psycopg
from django.conf import settings

from replication.domain.file_edits import LARGEST_FILE, FileEdit
from replication.domain.token_users import SignIn
from replication.services import signing_in
from replication.services.accepting import (
    Uploader,
    accept,
    know_device,
    outcomes_after,
)
from replication.services.file_downloads import (
    Conditions,
    Served,
    Unchanged,
    Wanted,
)
from replication.services.file_downloads import fetch as fetch_file
from replication.services.file_uploads import Accepted, Held, Piece
from replication.services.file_uploads import take as take_file
from replication.services.heads import HEAD_AGE, head_of
from replication.services.waiting import wait_for_news
from replication.staging import clock, connections
from replication.visibility import model, subscriptions
from replication.visibility.access import OfflineNotAllowedError
from replication.visibility.answer import (
    Answer,
    ChangesRequest,
    ModelChangedError,
)
from replication.visibility.cached_access import cached_access
from replication.visibility.checkpoints import Checkpoint
from replication.visibility.member import NotReadyError
from replication.visibility.messages import (
    Begin,
    CheckpointLine,
    Message,
    NothingNew,
    Outcomes,
    Reset,
    Rows,
    StoredRows,
)
from replication.visibility.model import (
    MUTATIONS_PER_REQUEST,
    REQUEST_BYTES,
    ClientModel,
)
from replication.visibility.pieces import Limits
from replication.visibility.short_answers import short_answer
from replication.visibility.subscriptions import ResyncRequiredError

__all__ = [
    "LARGEST_FILE",
    "MUTATIONS_PER_REQUEST",
    "REQUEST_BYTES",
    "Accepted",
    "Begin",
    "ChangesRequest",
    "Checkpoint",
    "CheckpointLine",
    "ClientModel",
    "Conditions",
    "FileEdit",
    "Held",
    "Limits",
    "Message",
    "ModelChangedError",
    "NotReadyError",
    "NothingNew",
    "OfflineNotAllowedError",
    "Outcomes",
    "Piece",
    "Reset",
    "ResyncRequiredError",
    "Rows",
    "Served",
    "SignIn",
    "StoredRows",
    "SyncUser",
    "Unchanged",
    "Uploader",
    "Wanted",
    "accept",
    "changes",
    "client_model",
    "fetch_file",
    "find_user",
    "know_device",
    "outcomes_after",
    "sign_in",
    "take_file",
    "wait_for_news",
]


@dataclass(frozen=True, slots=True)
class SyncUser:
    """A `systemuser` of the source, or who signed in where the source has none."""

    id: UUID
    name: str


def find_user(organization_id: UUID, *, object_id: UUID) -> SyncUser | None:
    """Return the enabled user with this Entra object id.

    :raises NotReadyError: the users are not loaded yet.
    """
    with connections.reading(organization_id) as conn:
        try:
            row = conn.execute(
                "SELECT systemuserid, coalesce(fullname, '') FROM data.systemuser"
                " WHERE azureactivedirectoryobjectid = %s AND isdisabled IS NOT TRUE"
                # Two users with one object id are the source's error; the choice
                # between them must at least be the same every time.
                " ORDER BY systemuserid LIMIT 1",
                (object_id,),
            ).fetchone()
        except psycopg.errors.UndefinedTable as error:
            raise NotReadyError("The users are not loaded yet.") from error
    return SyncUser(*row) if row else None


def sign_in(organization_id: UUID, *, told: SignIn) -> SyncUser:
    """Return the user whom the token speaks for, where the source has no users.

    :raises OfflineNotAllowedError: an operator blocked the user.
    :raises UnusableClaimError: a claim is larger than can be served.
    """
    return SyncUser(signing_in.sign_in(organization_id, told), told.name)


def client_model(organization_id: UUID, *, user_id: UUID) -> ClientModel:
    """Return the client model of PROTOCOL §5 for this user.

    :raises OfflineNotAllowedError: the user may not go offline now.
    :raises NotReadyError: the database was restored; the next request finds it ready.
    """
    with connections.reading(organization_id) as conn:
        with connections.snapshot(conn):
            reading = clock.read(conn)
            if reading is not None:
                return model.client_model(cached_access(conn, user_id, reading))
        clock.renew_epoch(conn)
    raise NotReadyError("The database was restored; try again.")


def changes(
    organization_id: UUID,
    *,
    request: ChangesRequest,
    limits: Limits | None = None,
    head_age: timedelta = HEAD_AGE,
) -> NothingNew | Iterator[Message]:
    """Return what the device has to learn, or that there is nothing.

    The errors are raised here, not while iterating.

    :raises ResyncRequiredError: the checkpoint cannot be continued.
    :raises ModelChangedError: the device must fetch the model first.
    :raises OfflineNotAllowedError: the user may not go offline now.
    :raises NotReadyError: try again later.
    """
    if _is_up_to_date(organization_id, request, head_age):
        assert request.checkpoint is not None
        return NothingNew(request.checkpoint)
    allowed = limits or Limits(segment_rows=settings.SEGMENT_ROWS)
    short = short_answer(organization_id, request, allowed)
    if short is not None:
        return short
    return Answer(organization_id, request, allowed).start()


def _is_up_to_date(
    organization_id: UUID, request: ChangesRequest, head_age: timedelta
) -> bool:
    """Everything a device must learn of takes a rev: an unchanged head is silence."""
    checkpoint = request.checkpoint
    if checkpoint is None or request.reset or request.digest:
        return False
    if checkpoint.model != request.model:
        return False
    head = head_of(organization_id, age=head_age)
    if request.device_id in head.awaited:
        # It may be confirming outcomes, which has to be noted.
        return False
    if checkpoint.epoch != head.epoch or not checkpoint.is_settled_at(head.rev):
        return False
    _keep_sets(organization_id, checkpoint)
    return True


def _keep_sets(organization_id: UUID, checkpoint: Checkpoint) -> None:
    """A device that only ever hears of nothing new keeps its sets alive as well."""
    names = checkpoint.grants_ids() | checkpoint.columns_ids()
    overdue = subscriptions.overdue(checkpoint.epoch, names)
    if overdue:
        with connections.reading(organization_id) as conn:
            subscriptions.keep(conn, checkpoint.epoch, overdue)
