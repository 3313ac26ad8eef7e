"""Write the messages of an answer to `/changes` as lines (PROTOCOL §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from replication.services.serving import (
    Begin,
    Checkpoint,
    CheckpointLine,
    Message,
    Reset,
    Rows,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `is_checkpoint`: a client may store everything up to it."""

    content: bytes
    is_checkpoint: bool = False
    is_complete: bool = False


def lines(
    messages: Iterable[Message], *, sign: Callable[[Checkpoint], str]
) -> Iterator[Line]:
    for message in messages:
        yield line(message, sign=sign)


def line(message: Message, *, sign: Callable[[Checkpoint], str]) -> Line:
    match message:
        case Rows():
            return Line(_rows(message))
        case CheckpointLine():
            content = _line(_checkpoint(message, token=sign(message.checkpoint)))
            return Line(content, is_checkpoint=True, is_complete=message.complete)
        case Begin():
            return Line(_line(_begin(message)))
        case Reset():
            return Line(_line({"type": "reset", "table": message.table}))


def _line(document: dict[str, object]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _rows(message: Rows) -> bytes:
    # PostgreSQL wrote the rows as JSON; they are passed on as they are.
    return b"".join(
        (
            b'{"type":"rows","table":',
            msgspec.json.encode(message.table),
            b',"deletes":[',
            message.deletes,
            b'],"upserts":[',
            message.upserts,
            b"]}\n",
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
