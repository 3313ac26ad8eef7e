"""Devices that edit: their queues, what they send, and what they have heard of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from project.errors import TransientError
from replication.domain import mutations as domain
from replication.domain.mutations import ReusedIdError, SequenceError
from replication.services import accepting
from replication.services.accepting import Uploader
from replication.services.serving import CheckpointLine, Message
from replication.visibility.messages import Outcomes
from tests.oracle.devices import Device, Ending, _sign
from tests.oracle.failures import MismatchError
from tests.staged import guid
from tests.uploads.failpoints import WorkerDied
from tests.uploads.oracle import Wish

MOST_DETOURS = 6


class Loss(Enum):
    """What becomes of one upload."""

    NOTHING = "nothing"
    REQUEST = "upload lost"
    ANSWER = "upload's answer lost"


@dataclass(kw_only=True)
class Made:
    """An edit on a device; `content` is it as it is sent."""

    device: UploadingDevice
    id: UUID
    sequence: int
    content: dict[str, Any]
    # None: never sent. What the device was told last.
    heard: Mapping[str, Any] | None = None
    is_accepted: bool = False
    # Failures of which the device had heard when it was sent last, and those of which
    # the service knew that when it was sent first.
    knew: frozenset[UUID] = frozenset()
    confirmed: frozenset[UUID] = frozenset()
    sends: int = 0

    @property
    def op(self) -> str:
        return str(self.content["op"])

    @property
    def table(self) -> str:
        return str(self.content.get("table"))

    @property
    def key(self) -> str:
        return str(self.content.get("key"))

    @property
    def place(self) -> tuple[str, str]:
        return self.table, self.key

    @property
    def values(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.content.get("values") or {}
        return found

    @property
    def status(self) -> str | None:
        return None if self.heard is None else str(self.heard["status"])

    @property
    def is_final(self) -> bool:
        return self.status in {"applied", "conflict", "rejected", "parked"}

    @property
    def wish(self) -> Wish:
        return Wish(
            op=self.op,
            table=self.table,
            values=self.values,
            base_values=self.content.get("base_values") or {},
        )

    def depends_on(self, other: Made) -> bool:
        """Whether it is of the same row, or names one that the other makes."""
        if "void" in {self.op, other.op}:
            return False
        parent = ("account", self.values.get("parentaccountid"))
        return other.place == self.place or (
            other.op == "create" and other.place == parent
        )

    def __repr__(self) -> str:
        return f"<{self.device} {self.sequence}: {self.op} {self.place}>"


@dataclass
class _Told:
    """Outcomes of an answer up to each of its checkpoint lines."""

    waiting: list[Mapping[str, Any]] = field(default_factory=list)
    by_checkpoint: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    through: dict[str, int] = field(default_factory=dict)


class UploadingDevice(Device):
    """A device whose edits go out in order, each at least once."""

    def __init__(
        self, organization_id: UUID, person: str, name: str, id_: UUID
    ) -> None:
        super().__init__(organization_id, person, name)
        self.id = id_
        self.made: list[Made] = []
        self.next_sequence = 1
        self.through = 0
        # Told of voids that take missing sequences.
        self.on_void: Callable[[Made], None] = lambda void: None
        # Failures that came among the rows, and those of them whose checkpoint the
        # service has seen.
        self._streamed: frozenset[UUID] = frozenset()
        self._confirmed: frozenset[UUID] = frozenset()
        self._told = _Told()

    def register(self) -> None:
        """A new device begins with the first sequence."""
        following = accepting.know_device(
            self._organization_id, device_id=self.id, user_id=self.user, is_new=True
        )
        if following != 1:
            raise MismatchError(f"{self} is new, but is to begin with {following}.")

    # Editing.

    def add(self, **content: Any) -> Made:
        """Queue an edit."""
        made = Made(
            device=self,
            id=guid(f"{self.id} {len(self.made)}"),
            sequence=self.next_sequence,
            content=content,
        )
        self.next_sequence += 1
        self.made.append(made)
        return made

    def seen(self, table: str, key: str) -> Mapping[str, Any] | None:
        """The row as the user sees it: edits that are under way lie over it."""
        row = self.synced(table).get(key)
        for made in self.made:
            if made.place == (table, key) and not made.is_final:
                row = None if made.op == "delete" else {**(row or {}), **made.values}
        return row

    def synced(self, table: str) -> Mapping[str, Mapping[str, Any]]:
        if table not in self.store.tables():
            return {}
        return self.store.rows(table)

    # Sending.

    @property
    def unsent(self) -> list[Made]:
        return [m for m in self.made if not m.is_accepted and not m.is_final]

    def upload(
        self,
        *,
        loss: Loss = Loss.NOTHING,
        most: int = 100,
        requests: int = MOST_DETOURS,
    ) -> bool:
        """Send what is queued; False when nobody confirmed all of it."""
        if self.unsent:
            self._insist_on_memory()
        for _ in range(requests):
            run = self._next_run(most)
            if not run:
                return True
            if loss is Loss.REQUEST or not self._sends(run, loss):
                return False
        return False

    def _sends(self, run: list[Made], loss: Loss) -> bool:
        """Send these; False when no answer came."""
        try:
            outcomes = self.send(run)
        except SequenceError as error:
            self._ask_from(run[0].sequence)
            self._align(error.expected)
            return True
        except ReusedIdError:
            self._ask_from(run[0].sequence)
            return True
        except (TransientError, WorkerDied):
            return False
        if loss is Loss.ANSWER:
            return False
        for outcome in outcomes:
            self._hear_early(outcome)
        return True

    def send(self, run: list[Made]) -> list[Mapping[str, Any]]:
        """Hand mutations to the service; what it says of them."""
        failed = frozenset(m.id for m in self.made if _has_failed(m))
        for made in run:
            made.knew = failed
            if not made.sends:
                made.confirmed = self._confirmed
            made.sends += 1
        body = {"device": str(self.id), "mutations": [_document(m) for m in run]}
        upload = domain.decoded(json.dumps(body).encode())
        uploader = Uploader(
            device_id=self.id,
            user_id=self.user,
            object_id=guid(f"{self.person}@entra"),
            user_name=self.person,
        )
        said = accepting.accept(
            self._organization_id, uploader=uploader, sent=upload.mutations
        )
        found: list[Mapping[str, Any]] = json.loads(b"[%b]" % said)
        if [o["id"] for o in found] != [str(m.id) for m in run]:
            raise MismatchError(f"{self} was not told of all of its mutations.")
        return found

    def _next_run(self, most: int) -> list[Made]:
        run: list[Made] = []
        for made in sorted(self.unsent, key=lambda one: one.sequence):
            if len(run) == most or (run and made.sequence != run[-1].sequence + 1):
                break
            run.append(made)
        return run

    def _insist_on_memory(self) -> None:
        """What a restored service has forgotten goes before what was made later."""
        waiting = [m for m in self.made if m.is_accepted and not m.is_final]
        last = max(waiting, key=lambda one: one.sequence, default=None)
        if last is not None and last.id not in self._ask_from(last.sequence):
            self._begin_anew()

    def _ask_from(self, sequence: int) -> set[UUID]:
        """Ask how mutations stand from this one on; which the service knows."""
        said = accepting.outcomes_after(
            self._organization_id,
            device_id=self.id,
            user_id=self.user,
            sequence=sequence - 1,
        )
        outcomes = json.loads(b"[%b]" % said)
        for outcome in outcomes:
            self._hear_early(outcome)
        return {UUID(outcome["id"]) for outcome in outcomes}

    def _hear_early(self, outcome: Mapping[str, Any]) -> None:
        made = self.by_id(outcome["id"])
        made.is_accepted = True
        if outcome["status"] != "accepted":
            made.heard = outcome

    def _align(self, expected: int) -> None:
        """Voids take sequences that are missing; where others have them, ours move."""
        queued = sorted(self.unsent, key=lambda one: one.sequence)
        if not queued:
            return
        first = queued[0].sequence
        if first < expected:
            for at, made in enumerate(queued):
                made.sequence = expected + at
            self.next_sequence = max(self.next_sequence, expected + len(queued))
        for sequence in range(expected, first):
            void = self.add(op="void")
            self.next_sequence -= 1
            void.sequence = sequence
            self.on_void(void)

    def by_id(self, id_: str) -> Made:
        return next(made for made in self.made if str(made.id) == id_)

    # Hearing.

    def hear(self, **how: Any) -> Ending:
        """Sync, and note the outcomes that were stored with their checkpoints."""
        witness: Callable[[Message], None] | None = how.pop("witness", None)
        before, epoch = self.store.checkpoint, len(self.refusals)
        self._told = _Told()
        streamed = self._streamed

        def listen(message: Message) -> None:
            self._listen(message)
            if witness is not None:
                witness(message)

        ending = self.sync(witness=listen, **how)
        if "resync_required" in self.refusals[epoch:]:
            self._begin_anew()
        elif before is None:
            # Without a checkpoint nobody says that the service was restored.
            self._insist_on_memory()
        elif how.get("cut_after") != 0:
            self._confirmed |= streamed
        self._note_stored()
        return ending

    def _listen(self, message: Message) -> None:
        if isinstance(message, Outcomes):
            self._told.waiting += json.loads(b"[%b]" % message.content)
        elif isinstance(message, CheckpointLine):
            token = _sign(message.checkpoint)
            self._told.by_checkpoint[token] = list(self._told.waiting)
            if message.through_mutation is not None:
                self._told.through[token] = message.through_mutation

    def _note_stored(self) -> None:
        token = self.store.checkpoint or ""
        for outcome in self._told.by_checkpoint.get(token, ()):
            made = self.by_id(outcome["id"])
            made.heard, made.is_accepted = outcome, True
            if _has_failed(made):
                self._streamed |= {made.id}
        if token in self._told.through:
            self.through = self._told.through[token]

    def _begin_anew(self) -> None:
        """What nobody confirmed is sent again: the service may have forgotten it."""
        self.through = 0
        self._streamed = self._confirmed = frozenset()
        for made in self.made:
            made.confirmed = frozenset()
            if not made.is_final or made.status == "parked":
                made.is_accepted, made.heard = False, None


def _has_failed(made: Made) -> bool:
    return made.status in {"conflict", "rejected", "parked"}


def _document(made: Made) -> dict[str, Any]:
    return {"id": str(made.id), "sequence": made.sequence, **made.content}
