"""What an answer consists of (PROTOCOL §6), before it is written as NDJSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from replication.visibility.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    kind: Literal["snapshot", "delta"]
    snapshot: str | None
    model: str
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Inner text of two JSON arrays: keys to delete, rows to store."""

    table: str
    deletes: bytes
    upserts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    checkpoint: Checkpoint
    complete: bool
    rows: int
    expected_rows: int | None = None
    through_mutation: int | None = None
    # Per table: number of rows, and their checksum in hex.
    digest: Mapping[str, tuple[int, str]] | None = None


Message = Begin | Reset | Rows | CheckpointLine


@dataclass(frozen=True, slots=True)
class NothingNew:
    """The device has everything; `checkpoint` is where it now stands."""

    checkpoint: Checkpoint
