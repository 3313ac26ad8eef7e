"""A device that asks the engine itself: no HTTP, no tokens, no web process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec

from replication.services import serving
from replication.services.serving import (
    ChangesRequest,
    Checkpoint,
    CheckpointLine,
    Message,
    NothingNew,
    Rows,
)
from syncapi import ndjson

# As long as a signed checkpoint usually is.
_TOKEN = "x" * 700


@dataclass(slots=True)
class Heard:
    """What answers brought: the bytes of their lines, and rows."""

    size: int = 0
    upserts: int = 0
    deletes: int = 0


class EngineDevice:
    """Asks as the person, and remembers only the checkpoint."""

    def __init__(self, organization: UUID, user: UUID) -> None:
        self._organization = organization
        self._user = user
        self._device = uuid4()
        self._model = serving.client_model(organization, user_id=user).version
        self.checkpoint: Checkpoint | None = None

    def sync(self) -> Heard:
        """Ask until everything is said."""
        heard = Heard()
        while True:
            answer = self.ask()
            if isinstance(answer, NothingNew):
                self.checkpoint = answer.checkpoint
                return heard
            for message in answer:
                self._hear(message, heard)
                if isinstance(message, CheckpointLine) and message.complete:
                    return heard

    def ask(self) -> NothingNew | Iterator[Message]:
        """One question, answered from the clock as it is at this moment."""
        request = ChangesRequest(
            user_id=self._user,
            device_id=self._device,
            model=self._model,
            checkpoint=self.checkpoint,
        )
        return serving.changes(
            self._organization, request=request, head_age=timedelta(0)
        )

    def _hear(self, message: Message, heard: Heard) -> None:
        heard.size += len(ndjson.line(message, sign=lambda _: _TOKEN).content)
        if isinstance(message, CheckpointLine):
            self.checkpoint = message.checkpoint
        elif isinstance(message, Rows):
            heard.upserts += _items(message.upserts)
            heard.deletes += _items(message.deletes)


def _items(inner: bytes) -> int:
    return len(msgspec.json.decode(b"[%b]" % inner, type=list[msgspec.Raw]))
