"""What the HTTP contract needs of the engine; `replication.services.serving` is it.

The views are handed an engine, so that another front, or a test, can bring its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from uuid import UUID

from replication.services.serving import (
    ChangesRequest,
    Message,
    NothingNew,
    SyncUser,
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

    def client_model(self, organization_id: UUID, *, user_id: UUID) -> ClientModel:
        """:raises OfflineNotAllowedError: the user may take nothing along."""

    def changes(
        self, organization_id: UUID, *, request: ChangesRequest
    ) -> NothingNew | Iterator[Message]:
        """Answer what the device does not hold yet.

        Errors come at the latest with the first message.
        """
