"""The reference device's store, asked and fed without HTTP, with answers that break off."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from uuid import UUID, uuid4

from project.errors import SyncError
from replication.services import serving
from replication.services.serving import (
    ChangesRequest,
    Checkpoint,
    Limits,
    Message,
    ModelChangedError,
    NothingNew,
    NotReadyError,
    OfflineNotAllowedError,
    ResyncRequiredError,
)
from sandbox.device.results import ApplyResult
from sandbox.device.store import Document, Store
from syncapi import ndjson
from tests.oracle.failures import MismatchError
from tests.staged import guid

# What a retry cures is cured by one; a profile whose rules are not built yet is not.
MOST_RETRIES = 3

# Rows are few and limits small; whoever needs more answers never ends.
MOST_ANSWERS = 120

Witness = Callable[[Message], None]


REFUSALS = (
    ModelChangedError,
    NotReadyError,
    OfflineNotAllowedError,
    ResyncRequiredError,
)


class Ending(Enum):
    COMPLETE = "complete"
    CUT = "cut"
    NOT_ALLOWED = "not allowed"
    NOT_READY = "not ready"


class Device:
    """One installation of one user."""

    def __init__(self, organization_id: UUID, person: str, name: str) -> None:
        self._organization_id = organization_id
        self.person = person
        self.user = guid(person)
        self.name = name
        self.id = uuid4()
        self.store = Store(":memory:")
        self._document: Document | None = None
        # What became of requests, by the error's code.
        self.refusals: list[str] = []
        self.last: ApplyResult | None = None
        self.said_nothing = False
        self._retries = 0
        self._columns: Mapping[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return self.name

    def columns(self, table: str) -> tuple[str, ...]:
        """As the answer that is being read announced them."""
        return self._columns[table]

    def lose(self, table: str) -> None:
        """The rows are damaged; the digest has told, and they are asked for again."""
        assert self.store.model is not None
        local = self.store.model.tables[table].local
        self.store.connection.execute(f'DELETE FROM "{local}"')
        self.store.want_reset([table])

    def sync(
        self,
        *,
        limits: Limits | None = None,
        cut_after: int | None = None,
        ahead: int = 0,
        digest: bool = False,
        witness: Witness | None = None,
        between: Callable[[], None] | None = None,
    ) -> Ending:
        """Ask until everything is said, or until an answer breaks off.

        With `cut_after`, that is the first answer, after so many lines; 0 loses it
        wholly. The server was `ahead` by so many lines. `witness` sees every message that the server sends; `between` is
        called once, after the first checkpoint line.
        """
        self._retries = 0
        for _ in range(MOST_ANSWERS):
            try:
                answer = self._ask(limits, digest=digest)
                if cut_after == 0 and isinstance(answer, NothingNew):
                    return Ending.CUT
                if isinstance(answer, NothingNew):
                    return self._stand_at(answer.checkpoint)
                messages = self._read(answer, witness, between)
                between = None
                lines = (ndjson.line(m, sign=_sign).content for m in messages)
                self.said_nothing = False
                self.last = self.store.apply(
                    itertools.islice(lines, cut_after), model=self._document
                )
                if cut_after is not None:
                    list(itertools.islice(lines, ahead))
                    return Ending.CUT
                if self.last.complete:
                    return Ending.COMPLETE
            except REFUSALS as error:
                ending = self._obey(error)
                if ending is not None:
                    return ending
        raise MismatchError(f"{self} is not done after {MOST_ANSWERS} answers.")

    def _ask(
        self, limits: Limits | None, *, digest: bool
    ) -> NothingNew | Iterator[Message]:
        if self._document is None:
            model = serving.client_model(self._organization_id, user_id=self.user)
            self._document = model.document
        asked = self.store.next_request(model=self._document)
        request = ChangesRequest(
            user_id=self.user,
            device_id=self.id,
            model=asked.model,
            checkpoint=_checkpoint(asked.checkpoint) if asked.checkpoint else None,
            reset=frozenset(asked.resets),
            digest=digest,
        )
        return serving.changes(
            self._organization_id,
            request=request,
            limits=limits,
            head_age=timedelta(0),
        )

    def _read(
        self,
        messages: Iterator[Message],
        witness: Witness | None,
        between: Callable[[], None] | None,
    ) -> Iterator[Message]:
        for message in messages:
            if isinstance(message, serving.Begin):
                self._columns = message.columns
            if witness is not None:
                witness(message)
            yield message
            if between is not None and isinstance(message, serving.CheckpointLine):
                between()
                between = None

    def _stand_at(self, checkpoint: Checkpoint) -> Ending:
        self.store.advance(_sign(checkpoint), model=self._document)
        self.last, self.said_nothing = None, True
        return Ending.COMPLETE

    def _obey(self, error: SyncError) -> Ending | None:
        """None: ask again."""
        self.refusals.append(error.code)
        match error:
            case ModelChangedError():
                self._document = None
            case ResyncRequiredError():
                self.store.forget_checkpoint()
            case NotReadyError():
                self._retries += 1
            case OfflineNotAllowedError():
                return Ending.NOT_ALLOWED
        return Ending.NOT_READY if self._retries == MOST_RETRIES else None


def _sign(checkpoint: Checkpoint) -> str:
    # Nobody forges here: what a device keeps is the payload, as it is on the wire.
    return json.dumps(checkpoint.to_payload())


def _checkpoint(token: str) -> Checkpoint:
    return Checkpoint.from_payload(json.loads(token))
