"""Cut the lines of one answer into chunks that end with a checkpoint line. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sandbox.device.edits import Outcome, outcome_of
from sandbox.device.errors import ProtocolError

# The protocol allows 4 MiB, and one larger row, between two checkpoint lines.
LARGEST_CHUNK = 64 * 2**20

JsonObject = Mapping[str, object]
Digest = Mapping[str, tuple[int, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Begin:
    kind: str
    snapshot: str | None
    model: str
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Reset:
    table: str


@dataclass(frozen=True, slots=True)
class Rows:
    table: str
    deletes: list[str]
    upserts: list[list[object]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    checkpoint: str
    complete: bool
    rows: int | None
    expected_rows: int | None
    through_mutation: int | None
    digest: Digest | None


Message = Begin | Reset | Rows | Outcomes | CheckpointLine


@dataclass(frozen=True, slots=True)
class Chunk:
    begin: Begin
    messages: tuple[Reset | Rows | Outcomes, ...]
    end: CheckpointLine


def chunks(lines: Iterable[bytes]) -> Iterator[Chunk]:
    """Yield each chunk as soon as its checkpoint line is there.

    What follows the last checkpoint line of a cut answer is dropped.

    :raises ProtocolError: the answer is not what the protocol allows.
    """
    messages = _known_messages(lines)
    begin = _first(messages)
    if begin is None:
        return
    held: list[Reset | Rows | Outcomes] = []
    size = 0
    for message, length in messages:
        size = _bounded(size + length)
        match message:
            case Begin():
                raise ProtocolError("An answer has two begin lines.")
            case CheckpointLine() as end:
                yield Chunk(begin, tuple(held), end)
                if end.complete:
                    return
                held, size = [], 0
            case _:
                held.append(message)


def _first(messages: Iterator[tuple[Message, int]]) -> Begin | None:
    begin, _ = next(messages, (None, 0))
    if begin is not None and not isinstance(begin, Begin):
        raise ProtocolError("An answer does not start with a begin line.")
    return begin


def _bounded(size: int) -> int:
    if size > LARGEST_CHUNK:
        raise ProtocolError("Too much came without a checkpoint line.")
    return size


def _known_messages(lines: Iterable[bytes]) -> Iterator[tuple[Message, int]]:
    for message, length in _messages(lines):
        reader = _READERS.get(str(message["type"]))
        if reader is None:
            continue
        try:
            yield reader(message), length
        except (KeyError, TypeError, ValueError) as error:
            kind = message["type"]
            raise ProtocolError(f"A {kind} line is wrong: {error!r}.") from error


def _messages(lines: Iterable[bytes]) -> Iterator[tuple[JsonObject, int]]:
    remaining = iter(lines)
    for line in remaining:
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            # Half a line is what a cut leaves; in the middle it is a defect.
            if next(remaining, None) is None:
                return
            raise ProtocolError("A line is not JSON.") from error
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise ProtocolError("A line is no message.")
        yield message, len(line)


def _begin(message: JsonObject) -> Begin:
    kind = _typed(message, "kind", str)
    columns = _typed(message, "columns", dict)
    if kind not in {"snapshot", "delta"}:
        raise ValueError(f"kind {kind}")
    return Begin(
        kind,
        _typed(message, "snapshot", str) if kind == "snapshot" else None,
        _typed(message, "model", str),
        {table: tuple(names) for table, names in columns.items()},
    )


def _reset(message: JsonObject) -> Reset:
    return Reset(_typed(message, "table", str))


def _rows(message: JsonObject) -> Rows:
    deletes, upserts = message.get("deletes", []), message.get("upserts", [])
    if not isinstance(deletes, list) or not isinstance(upserts, list):
        raise TypeError("deletes and upserts are lists")
    if not {str}.issuperset(map(type, deletes)):
        raise TypeError("keys are strings")
    return Rows(_typed(message, "table", str), deletes, upserts)


def _outcomes(message: JsonObject) -> Outcomes:
    listed = _typed(message, "outcomes", list)
    read = (outcome_of(document) for document in listed)
    return Outcomes(tuple(outcome for outcome in read if outcome is not None))


def _checkpoint(message: JsonObject) -> CheckpointLine:
    digest = _optional(message, "digest", dict)
    return CheckpointLine(
        checkpoint=_typed(message, "checkpoint", str),
        complete=_typed(message, "complete", bool),
        rows=_optional(message, "rows", int),
        expected_rows=_optional(message, "expected_rows", int),
        through_mutation=_optional(message, "through_mutation", int),
        digest=digest and {t: (int(count), str(h)) for t, (count, h) in digest.items()},
    )


def _typed(message: JsonObject, name: str, kind: type[T]) -> T:
    value = message[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    return value


def _optional(message: JsonObject, name: str, kind: type[T]) -> T | None:
    return None if message.get(name) is None else _typed(message, name, kind)


_READERS: Mapping[str, Callable[[JsonObject], Message]] = {
    "begin": _begin,
    "reset": _reset,
    "rows": _rows,
    "outcomes": _outcomes,
    "checkpoint": _checkpoint,
}
