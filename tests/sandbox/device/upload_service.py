"""A service with rows and mutations, small enough to be seen through.

It keeps PROTOCOL §6 and §7 for one table, `account`, under server_wins. What it
decides, loses and forgets is for the test to say.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.sandbox.device import answers
from tests.sandbox.device.answers import line, model, rows, table
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import (
    Answer,
    ScriptedService,
    Seen,
    json_answer,
    ndjson,
    nothing_new,
    problem,
)

MODEL = model("M1", table("account", name="string", city="string"))
NAMES = ("name", "city")
HIDDEN = "hidden"
Row = dict[str, object]


@dataclass
class Mutation:
    """A mutation as the service took it."""

    document: Mapping[str, object]
    status: str = "accepted"
    more: dict[str, object] = field(default_factory=dict)
    rev: int = 0

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def sequence(self) -> int:
        return int(str(self.document["sequence"]))

    @property
    def outcome(self) -> dict[str, object]:
        about = {"id": self.id, "sequence": self.sequence, "status": self.status}
        return about | self.more


@dataclass
class Memory:
    """What the service loses when it is restored from a backup; the source keeps its."""

    epoch: int = 1
    rev: int = 1
    next_sequence: int = 1
    is_open: bool = False
    mutations: list[Mutation] = field(default_factory=list)
    changed: dict[str, int] = field(default_factory=dict)
    told: int = 0


class UploadService(ScriptedService):
    """`judge` may fail a mutation that could be done, by (status, reason)."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.source: dict[str, Row] = {}
        # Ids of mutations in the order in which the source carried them out.
        self.journal: list[str] = []
        self.judge: Callable[[Mapping[str, object]], str | None] = lambda _: None
        self.most_per_request = 1_000
        self._version = 0
        self._backup = copy.deepcopy(self.memory)

    # What happens on the other side.

    def put(self, key: str, **values: object) -> None:
        """Somebody else writes a row."""
        before = self.source.get(key, dict.fromkeys(NAMES))
        self._version += 1
        self.source[key] = {**before, **values, "_version": str(self._version)}
        self._touch(key)

    def remove(self, key: str) -> None:
        self.source.pop(key, None)
        self._touch(key)

    def visible(self) -> dict[str, Row]:
        return {k: r for k, r in self.source.items() if r["city"] != HIDDEN}

    def back_up(self) -> None:
        self._backup = copy.deepcopy(self.memory)

    def restore(self) -> None:
        """Begin a new epoch with what was backed up; rows come from the source."""
        epoch = self.memory.epoch + 1
        self.memory = copy.deepcopy(self._backup)
        self.memory.epoch, self.memory.is_open = epoch, True
        for key in self.source:
            self._touch(key)

    def decide(self, *, most: int = 1_000) -> None:
        """Carry out so many of the mutations that wait, in order."""
        waiting = [m for m in self.memory.mutations if m.status == "accepted"]
        for mutation in waiting[:most]:
            self._decide(mutation)

    def _decide(self, mutation: Mutation) -> None:
        status, more = self._judged(mutation)
        self.memory.rev += 1
        mutation.status, mutation.more, mutation.rev = status, more, self.memory.rev

    def _judged(self, mutation: Mutation) -> tuple[str, dict[str, object]]:
        document = mutation.document
        key = str(document.get("key"))
        if document["op"] == "void" or mutation.id in self.journal:
            return "applied", {}
        blocker = self._blocker(mutation)
        if blocker is not None:
            return "parked", {"blocked_by": blocker}
        if self.judge(document) is not None:
            # Sent again, as after every failure.
            self._touch(key)
            message = str(self.judge(document))
            return "rejected", {"reason": "invalid", "message": message}
        return self._by_the_table(mutation, key)

    def _by_the_table(
        self, mutation: Mutation, key: str
    ) -> tuple[str, dict[str, object]]:
        document, row = mutation.document, self.source.get(key)
        op, base = document["op"], document.get("base_version")
        self._touch(key)
        if op == "create" and row is not None:
            return "rejected", {"reason": "exists"}
        if op == "update" and row is None:
            return "rejected", {"reason": "not_found"}
        if row is not None and row["_version"] not in {base, row.get("_by_device")}:
            return "conflict", {"row": self._told_row(key)}
        self.journal.append(mutation.id)
        if op == "delete":
            self.remove(key)
            return "applied", {}
        values = document["values"]
        assert isinstance(values, dict)
        self.put(key, **values)
        self.source[key]["_by_device"] = self.source[key]["_version"]
        return "applied", {"version": self.source[key]["_version"]}

    def _blocker(self, mutation: Mutation) -> str | None:
        if "key" not in mutation.document:
            return None
        for earlier in self.memory.mutations:
            is_same = earlier.document.get("key") == mutation.document["key"]
            has_failed = earlier.status in {"conflict", "rejected", "parked"}
            is_told = earlier.rev <= self.memory.told
            if earlier is mutation:
                break
            if is_same and has_failed and not is_told:
                return str(earlier.more.get("blocked_by", earlier.id))
        return None

    def _told_row(self, key: str) -> Row | None:
        row = self.visible().get(key)
        return None if row is None else {"id": key, **_shown(row)}

    def _touch(self, key: str) -> None:
        self.memory.rev += 1
        self.memory.changed[key] = self.memory.rev

    # What the device sees.

    def reply_to(self, seen: Seen) -> Answer:
        if f"{seen.method} {seen.path}" in self._replies:
            return super().reply_to(seen)
        self.seen.append(seen)
        match seen.method, seen.path.removeprefix("/sync/v1/orgs/contoso/"):
            case "GET", "model":
                return json_answer(MODEL)
            case "GET", "changes":
                return self.changes(seen)
            case "POST", "mutations":
                return self.accept(json.loads(seen.body))
            case "GET", "mutations":
                after = int(seen.query["after"])
                found = [m for m in self.memory.mutations if m.sequence > after]
                return json_answer({"outcomes": [m.outcome for m in found[:1000]]})
            case "PUT", path if path == f"devices/{DEVICE_ID}":
                return json_answer(
                    {
                        "user": {"id": answers.ADA, "name": "Ada"},
                        "state": "active",
                        "next_sequence": self.memory.next_sequence,
                    }
                )
            case "DELETE", _:
                return Answer(status=204)
        return problem(404, "not_found")

    def accept(self, body: Mapping[str, object]) -> Answer:
        sent = body["mutations"]
        assert isinstance(sent, list)
        if len(sent) > self.most_per_request:
            return problem(413, "too_large")
        known = {m.id: m for m in self.memory.mutations}
        if any(_is_reused(known, one) for one in sent):
            return problem(409, "reused")
        new = [one for one in sent if one["id"] not in known]
        for at, one in enumerate(new):
            if not self._is_next(one["sequence"], at):
                expected = self.memory.next_sequence
                place = f"mutations[{sent.index(one)}].sequence"
                said = {"member": place, "message": f"must be {expected}, the next"}
                return problem(400, "malformed", errors=[said])
        self._store(new)
        found = {m.id: m for m in self.memory.mutations}
        return json_answer({"outcomes": [found[one["id"]].outcome for one in sent]})

    def _is_next(self, sequence: int, at: int) -> bool:
        memory = self.memory
        if memory.is_open and at == 0:
            return sequence >= memory.next_sequence
        return at > 0 or sequence == memory.next_sequence

    def _store(self, new: list[Mapping[str, object]]) -> None:
        for one in new:
            self.memory.mutations.append(Mutation(one))
            self.memory.next_sequence = int(str(one["sequence"])) + 1
            self.memory.is_open = False

    def changes(self, seen: Seen) -> Answer:
        memory = self.memory
        since = 0
        if checkpoint := seen.query.get("checkpoint"):
            epoch, since = map(int, checkpoint.split("."))
            if epoch != memory.epoch:
                return problem(410, "resync_required")
            memory.told = max(memory.told, since)
        outcomes = self._untold(since)
        if since == memory.rev:
            return nothing_new(checkpoint or "")
        lines = [answers.delta(MODEL)]
        if not since:
            lines = [answers.snapshot(MODEL, f"c{memory.epoch}.{memory.rev}")]
        lines += self._row_lines(since)
        if outcomes:
            told = [m.outcome for m in outcomes]
            lines.append(line({"type": "outcomes", "outcomes": told}))
        end = f"{memory.epoch}.{memory.rev}"
        lines.append(answers.complete(end, through_mutation=self._through()))
        return ndjson(lines)

    def _untold(self, since: int) -> list[Mutation]:
        told = since or self.memory.told
        return [m for m in self.memory.mutations if m.rev > told]

    def _row_lines(self, since: int) -> list[bytes]:
        visible = self.visible()
        keys = [k for k, rev in self.memory.changed.items() if rev > since]
        if not since:
            keys = list(visible)
        upserts = [
            [key, *(visible[key][name] for name in (*NAMES, "_version"))]
            for key in keys
            if key in visible
        ]
        return [
            rows("account", *upserts, deletes=[k for k in keys if k not in visible])
        ]

    def _through(self) -> int:
        waiting = [m.sequence for m in self.memory.mutations if m.status == "accepted"]
        return min(waiting, default=self.memory.next_sequence) - 1


def _is_reused(known: Mapping[str, Mutation], one: Mapping[str, object]) -> bool:
    before = known.get(str(one["id"]))
    return before is not None and before.document != one


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("_by")}
