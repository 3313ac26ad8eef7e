"""What the HTTP contract needs of the engine; `replication.services.serving` is it.

The views are handed an engine, so that another front, or a test, can bring its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from replication.domain.mutations import Mutation
from replication.services.serving import (
    Accepted,
    ChangesRequest,
    Checkpoint,
    Conditions,
    FileEdit,
    Held,
    Message,
    NothingNew,
    Piece,
    Served,
    SignIn,
    SyncUser,
    Unchanged,
    Uploader,
    Wanted,
)


class ClientModel(Protocol):
    """What a user may take along (PROTOCOL §5)."""

    @property
    def version(self) -> str: ...

    @property
    def document(self) -> Mapping[str, Any]: ...


class Engine(Protocol):
    def find_user(self, organization_id: UUID, *, object_id: UUID) -> SyncUser | None:
        """Return the person's user; None when unknown to the source or disabled."""

    def sign_in(self, organization_id: UUID, *, told: SignIn) -> SyncUser:
        """Return the user whom a token speaks for, where the source has no users.

        :raises OfflineNotAllowedError: an operator blocked the user.
        """

    def client_model(self, organization_id: UUID, *, user_id: UUID) -> ClientModel:
        """:raises OfflineNotAllowedError: the user may take nothing along."""

    def changes(
        self, organization_id: UUID, *, request: ChangesRequest
    ) -> NothingNew | Iterator[Message]:
        """Answer what the device does not hold yet.

        Errors come at the latest with the first message.
        """

    def know_device(
        self, organization_id: UUID, *, device_id: UUID, user_id: UUID, is_new: bool
    ) -> int:
        """Take note of a registered device; return its next sequence."""

    def accept(
        self, organization_id: UUID, *, uploader: Uploader, sent: Sequence[Mutation]
    ) -> bytes:
        """Store mutations, and say how each stands: inner text of a JSON array.

        :raises RejectedError: the request as a whole is refused.
        """

    def outcomes_after(
        self, organization_id: UUID, *, device_id: UUID, user_id: UUID, sequence: int
    ) -> bytes:
        """How the device's mutations after that one stand, in the same form."""

    def fetch_file(
        self,
        organization_id: UUID,
        *,
        user_id: UUID,
        table: str,
        key: str,
        column: str,
        wanted: Wanted | None = None,
        conditions: Conditions | None = None,
    ) -> Served | Unchanged:
        """Return a file that the user may see; what it yields may end early.

        :raises RejectedError: there is none, or not what was asked for.
        """

    def take_file(
        self,
        organization_id: UUID,
        *,
        uploader: Uploader,
        edit: FileEdit,
        piece: Piece | None,
    ) -> Held | Accepted:
        """Store what comes of a file; accepted once it is whole and durable.

        :raises RejectedError: the request is refused.
        """

    def wait_for_news(
        self, organization_id: UUID, *, checkpoint: Checkpoint, seconds: float
    ) -> bool:
        """True as soon as something is newer than the checkpoint.

        :raises TransientError: too many wait; the device has to poll.
        """
