"""Files of devices on disk, from the first byte that came to their final outcome.

Web and worker processes share the folder. Every path is made of ids that we parsed:
nothing that a device names is part of one, except as a digest. That digest is of what
the file is to become, so that bytes of two uploads are never mixed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings

from project.errors import TransientError

PIECE_BYTES = 64 * 2**10
# So much of the disk is left to others.
SPARE_BYTES = 512 * 2**20

_PART = ".part"


class FolderFullError(TransientError):
    """There is no room for another file."""

    code = "unavailable"


class BusyError(TransientError):
    """Another request brings the same file."""

    code = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFile:
    """The place of one file: whose it is, of which mutation, and what it is to be."""

    organization_id: UUID
    device_id: UUID
    mutation_id: UUID
    # A digest of everything else that its upload says.
    label: str

    @property
    def _folder(self) -> Path:
        return folder_of(self.organization_id) / str(self.device_id)

    @property
    def whole(self) -> Path:
        return self._folder / f"{self.mutation_id}-{self.label}"

    @property
    def part(self) -> Path:
        return self.whole.with_suffix(_PART)

    @property
    def held(self) -> int:
        """How many bytes are there."""
        for path in (self.whole, self.part):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def add(self, read: Callable[[int], bytes], *, at: int, length: int) -> int:
        """Write what `read` gives from that place on, as far as it goes.

        Returns how many bytes are there then. What comes after a gap is not taken.

        :raises FolderFullError: the disk has no room for it.
        :raises BusyError: another request is writing it.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _insist_on_room(self._folder, length)
        self._drop_others()
        with self._locked() as file:
            held = os.fstat(file.fileno()).st_size
            if at > held:
                return held
            file.truncate(at)
            file.seek(at)
            _copy(read, file, length)
            return file.tell()

    def finish(self) -> None:
        """Make it durable under its final name. Safe to repeat."""
        if self.whole.exists():
            return
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.rename(self.whole)
        for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
            _sync_folder(folder)

    def digest(self) -> bytes:
        """SHA-256 of its content."""
        path = self.whole if self.whole.exists() else self.part
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def open(self) -> BinaryIO:
        """:raises FileNotFoundError: it is not there."""
        return self.whole.open("rb")

    def remove(self) -> None:
        """Safe to repeat."""
        self.whole.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError("Another request brings this file.") from error
            yield file

    def _drop_others(self) -> None:
        """A device sends one file at a time; an abandoned one leaves no part."""
        for other in self._folder.glob(f"*{_PART}"):
            if other != self.part:
                other.unlink(missing_ok=True)


def digest_of(read: Callable[[int], bytes], length: int) -> bytes | None:
    """SHA-256 of so many bytes; None if fewer came."""
    found = hashlib.sha256()
    missing = length
    while missing and (piece := read(min(PIECE_BYTES, missing))):
        found.update(piece)
        missing -= len(piece)
    return None if missing else found.digest()


def folder_of(organization_id: UUID) -> Path:
    return Path(settings.FILES_FOLDER) / str(organization_id)


def remove_all(organization_id: UUID) -> None:
    """Remove what waits of an organization that goes."""
    shutil.rmtree(folder_of(organization_id), ignore_errors=True)


def unneeded(
    organization_id: UUID, *, before: datetime
) -> Iterator[tuple[UUID, UUID | None, Path]]:
    """Files that nobody wrote since then: device, mutation if it is whole, place."""
    for path in folder_of(organization_id).glob("*/*"):
        try:
            is_old = path.stat().st_mtime < before.timestamp()
            device_id = UUID(path.parent.name)
            mutation_id = None if path.suffix == _PART else UUID(path.name[:36])
        except (FileNotFoundError, ValueError):
            continue
        if is_old:
            yield device_id, mutation_id, path


def _copy(read: Callable[[int], bytes], file: BinaryIO, length: int) -> None:
    missing = length
    while missing and (piece := read(min(PIECE_BYTES, missing))):
        file.write(piece)
        missing -= len(piece)


def _insist_on_room(folder: Path, length: int) -> None:
    if shutil.disk_usage(folder).free < length + SPARE_BYTES:
        raise FolderFullError("There is no room for files.")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
