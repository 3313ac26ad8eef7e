"""A file as a device sends it: one edit among its others (PROTOCOL §8). Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec

from project.errors import RejectedError
from replication.domain.mutations import Mutation

# The largest that Dataverse takes as an attachment, and by one upload of a column.
LARGEST_FILE = 128 * 2**20


class NoSuchFileError(RejectedError):
    """There is no such file, or it is not the user's to see."""

    code = "not_found"


class FileTooLargeError(RejectedError):
    """The file is larger than `/model` says."""

    code = "too_large"


class FileMutation(Mutation, frozen=True, kw_only=True, omit_defaults=True):
    """The edit that puts a file into its place; its content waits on disk."""

    column: str
    size: int
    sha256: str
    name: str = ""
    if_match: str | None = None


class FileBody(msgspec.Struct, frozen=True, kw_only=True):
    """What staging holds of such an edit, beside its columns there."""

    column: str
    size: int
    sha256: str
    op: Literal["file"] = "file"
    table: str = ""
    key: Any = None
    name: str = ""
    if_match: str | None = None

    def edit(self, *, id_: UUID, sequence: int) -> FileEdit:
        return FileEdit(
            id=str(id_),
            sequence=sequence,
            table=self.table,
            key=str(self.key),
            column=self.column,
            size=self.size,
            name=self.name,
            if_match=self.if_match,
        )


_bodies = msgspec.json.Decoder(FileBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """What an upload says before its content is known."""

    id: str
    sequence: int
    table: str
    key: str
    column: str
    size: int
    name: str = ""
    if_match: str | None = None

    @property
    def label(self) -> str:
        """Differs between uploads that are to become different edits."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]

    def mutation(self, *, sha256: str) -> FileMutation:
        return FileMutation(
            id=self.id,
            sequence=self.sequence,
            op="file",
            table=self.table,
            key=self.key,
            column=self.column,
            size=self.size,
            sha256=sha256,
            name=self.name,
            if_match=self.if_match,
        )


def body_of(stored: bytes) -> FileBody | None:
    """Read a stored edit; None if it is none of a file."""
    try:
        return _bodies.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
