"""Which events have to occur in the lives, often enough to mean something."""

from __future__ import annotations

from tests.replication.pulling.occurrences import Occurrences
from tests.uploads.failpoints import ACCEPTS, UPLOADS
from tests.uploads.source import READ_FAULTS, WRITE_FAULTS

EVENTS = (
    *WRITE_FAULTS,
    *READ_FAULTS,
    *(f"died: {name}" for name in (*UPLOADS, *ACCEPTS)),
    "upload lost",
    "upload's answer lost",
    "upload repeated",
    "gap",
    "reused id",
    "answer cut",
    "pulled amid write-back",
    "row changed amid write-back",
    "two workers",
    "late one arrived",
    "restored",
    "without markers",
    "uncertain",
    "applied",
    "merged",
    "lost columns",
    "conflict",
    "parked",
    "group",
    "void",
    "not_found",
    "exists",
    "not_permitted",
    "not_writable",
    "other",
)

__all__ = ["EVENTS", "Occurrences"]
