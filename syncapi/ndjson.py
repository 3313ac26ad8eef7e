"""Write the messages of an answer to `/changes` as lines (PROTOCOL §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec
import zstandard

from replication.services.serving import (
    Begin,
    Checkpoint,
    CheckpointLine,
    Message,
    Outcomes,
    Reset,
    Rows,
    StoredRows,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `is_checkpoint`: a client may store everything up to it."""

    content: bytes
    is_checkpoint: bool = False
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line whose middle is compressed already: a zstd frame of its own."""

    before: bytes
    frame: bytes
    after: bytes

    @property
    def content(self) -> bytes:
        middle: bytes = zstandard.ZstdDecompressor().decompress(self.frame)
        return self.before + middle + self.after

    @property
    def is_checkpoint(self) -> bool:
        return False

    @property
    def is_complete(self) -> bool:
        return False


AnyLine = Line | StoredLine


def lines(
    messages: Iterable[Message], *, sign: Callable[[Checkpoint], str]
) -> Iterator[AnyLine]:
    for message in messages:
        yield line(message, sign=sign)


def line(message: Message, *, sign: Callable[[Checkpoint], str]) -> AnyLine:
    match message:
        case Rows():
            before = _before_upserts(message.table, deletes=message.deletes)
            return Line(b"".join((before, message.upserts, _AFTER_UPSERTS)))
        case StoredRows():
            before = _before_upserts(message.table, deletes=b"")
            return StoredLine(before, message.frame, _AFTER_UPSERTS)
        case Outcomes():
            return Line(b"".join((_BEFORE_OUTCOMES, message.content, _AFTER_UPSERTS)))
        case CheckpointLine():
            content = _line(_checkpoint(message, token=sign(message.checkpoint)))
            return Line(content, is_checkpoint=True, is_complete=message.complete)
        case Begin():
            return Line(_line(_begin(message)))
        case Reset():
            return Line(_line({"type": "reset", "table": message.table}))


def _line(document: dict[str, object]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


# PostgreSQL wrote the rows as JSON; they are passed on as they are.
_AFTER_UPSERTS = b"]}\n"
_BEFORE_OUTCOMES = b'{"type":"outcomes","outcomes":['


def _before_upserts(table: str, *, deletes: bytes) -> bytes:
    return b"".join(
        (
            b'{"type":"rows","table":',
            msgspec.json.encode(table),
            b',"deletes":[',
            deletes,
            b'],"upserts":[',
        )
    )


def _begin(message: Begin) -> dict[str, object]:
    document: dict[str, object] = {"type": "begin", "kind": message.kind}
    if message.snapshot is not None:
        document["snapshot"] = message.snapshot
    return document | {"model": message.model, "columns": message.columns}


def _checkpoint(message: CheckpointLine, *, token: str) -> dict[str, object]:
    optional = {
        "expected_rows": message.expected_rows,
        "through_mutation": message.through_mutation,
        "digest": message.digest,
    }
    return {
        "type": "checkpoint",
        "checkpoint": token,
        "complete": message.complete,
        "rows": message.rows,
        **{name: value for name, value in optional.items() if value is not None},
    }
