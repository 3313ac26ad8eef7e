"""An engine that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from replication.domain.mutations import Mutation
from replication.services.serving import (
    Accepted,
    Begin,
    ChangesRequest,
    Checkpoint,
    CheckpointLine,
    ClientModel,
    FileEdit,
    Held,
    Message,
    NothingNew,
    OfflineNotAllowedError,
    Piece,
    Rows,
    Served,
    SignIn,
    SyncUser,
    Unchanged,
    Uploader,
)

EPOCH = UUID(int=99)
DEVICE = UUID(int=3)
MODEL = ClientModel(version="7f3c", document={"version": "7f3c", "tables": []})

Script = Callable[[ChangesRequest], NothingNew | Iterator[Message]]


@dataclass
class ScriptedEngine:
    """Knows the users it was given, and answers `/changes` by its script."""

    users: dict[UUID, SyncUser] = field(default_factory=dict)
    script: Script | None = None
    model: ClientModel | None = MODEL
    asked: list[tuple[UUID, ChangesRequest]] = field(default_factory=list)
    waited: list[tuple[Checkpoint, float]] = field(default_factory=list)
    has_news: bool = False
    file: Served | Unchanged | None = None
    accepted: list[tuple[Uploader, list[Mutation]]] = field(default_factory=list)
    was_closed: bool = False

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]

    def find_user(self, organization_id: UUID, *, object_id: UUID) -> SyncUser | None:
        return self.users.get(object_id)

    def sign_in(self, organization_id: UUID, *, told: SignIn) -> SyncUser:
        return SyncUser(told.user, told.name)

    def client_model(self, organization_id: UUID, *, user_id: UUID) -> ClientModel:
        if self.model is None:
            raise OfflineNotAllowedError("No profile.")
        return self.model

    def changes(
        self, organization_id: UUID, *, request: ChangesRequest
    ) -> NothingNew | Iterator[Message]:
        self.asked.append((organization_id, request))
        assert self.script is not None
        return self.script(request)

    def know_device(
        self, organization_id: UUID, *, device_id: UUID, user_id: UUID, is_new: bool
    ) -> int:
        return 1

    def accept(
        self, organization_id: UUID, *, uploader: Uploader, sent: Sequence[Mutation]
    ) -> bytes:
        self.accepted.append((uploader, list(sent)))
        return b""

    def outcomes_after(
        self, organization_id: UUID, *, device_id: UUID, user_id: UUID, sequence: int
    ) -> bytes:
        return b""

    def fetch_file(
        self, organization_id: UUID, *, user_id: UUID, **asked: Any
    ) -> Served | Unchanged:
        if self.file is None:
            raise OfflineNotAllowedError("No profile.")
        return self.file

    def take_file(
        self,
        organization_id: UUID,
        *,
        uploader: Uploader,
        edit: FileEdit,
        piece: Piece | None,
    ) -> Held | Accepted:
        return Held(0)

    def wait_for_news(
        self, organization_id: UUID, *, checkpoint: Checkpoint, seconds: float
    ) -> bool:
        self.waited.append((checkpoint, seconds))
        return self.has_news

    def says(self, *messages: Message, then: Exception | None = None) -> None:
        """Answer every question with these messages, and then with a failure."""

        def script(_: ChangesRequest) -> Iterator[Message]:
            try:
                yield from messages
                if then is not None:
                    raise then
            finally:
                self.was_closed = True

        self.script = script

    def refuses(self, error: Exception) -> None:
        def script(_: ChangesRequest) -> Iterator[Message]:
            raise error

        self.script = script

    def says_nothing_new(self) -> None:
        self.script = lambda request: NothingNew(
            request.checkpoint or checkpoint(device_id=request.device_id)
        )


def checkpoint(*, device_id: UUID = DEVICE, seen: int = 7) -> Checkpoint:
    return Checkpoint(
        organization=UUID(int=1),
        user=UUID(int=2),
        device=device_id,
        epoch=EPOCH,
        model="7f3c",
        snapshot=None,
        seen=seen,
        rows=0,
        tables={},
    )


def begin() -> Begin:
    columns = {"account": ("accountid", "name", "_version")}
    return Begin(kind="snapshot", snapshot="c1", model="7f3c", columns=columns)


def rows(*names: str, deletes: bytes = b"") -> Rows:
    upserts = b",".join(b'["%s","%s","1"]' % ((n.encode(),) * 2) for n in names)
    return Rows(table="account", deletes=deletes, upserts=upserts)


def point(*, complete: bool = True, seen: int = 7) -> CheckpointLine:
    return CheckpointLine(
        checkpoint=checkpoint(seen=seen), complete=complete, rows=2, expected_rows=2
    )
