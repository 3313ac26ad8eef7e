"""What an answer consists of (PROTOCOL §6), before it is written as NDJSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import zstandard

from replication.visibility.access import Access
from replication.visibility.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    kind: Literal["snapshot", "delta"]
    snapshot: str | None
    model: str
    columns: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, access: Access, *, snapshot: str | None) -> Begin:
        """`snapshot`: the name of the first download that begins or goes on."""
        return cls(
            kind="delta" if snapshot is None else "snapshot",
            snapshot=snapshot,
            model=access.model,
            columns={
                name: (*(column.name for column in table.columns), "_version")
                for name, table in access.tables.items()
            },
        )


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
class StoredRows:
    """Rows to store, as they stand compressed in a segment.

    The frame is a zstd frame of its own, so that whoever answers in zstd passes it
    on, and nobody decodes and codes again what was coded before.
    """

    table: str
    frame: bytes

    @property
    def deletes(self) -> bytes:
        return b""

    @property
    def upserts(self) -> bytes:
        """The inner text of the JSON array of rows."""
        content: bytes = zstandard.ZstdDecompressor().decompress(self.frame)
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Inner text of a JSON array: what became of the device's mutations."""

    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    checkpoint: Checkpoint
    complete: bool
    rows: int
    expected_rows: int | None = None
    through_mutation: int | None = None
    # Per table: number of rows, and their checksum in hex.
    digest: Mapping[str, tuple[int, str]] | None = None


Message = Begin | Reset | Rows | StoredRows | Outcomes | CheckpointLine


@dataclass(frozen=True, slots=True)
class NothingNew:
    """The device has everything; `checkpoint` is where it now stands."""

    checkpoint: Checkpoint
