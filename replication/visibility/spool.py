"""Keep the messages of a piece until they are sent: in memory, or in a file."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO

from replication.visibility.messages import Message, Outcomes, Rows, StoredRows

# Answers larger than this are written to a temporary file while their snapshot
# lasts.
_SPOOLED_ABOVE = 8 * 2**20


class Spool:
    """Messages in order; the first few MiB in memory, the rest in a file."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque()
        self._kept_bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, message: Message) -> None:
        if self._file is None and self._kept_bytes > _SPOOLED_ABOVE:
            self._file = TemporaryFile()  # noqa: SIM115  closed by `close`
        if self._file is not None:
            pickle.dump(message, self._file, pickle.HIGHEST_PROTOCOL)
            return
        self._kept.append(message)
        if isinstance(message, Rows):
            self._kept_bytes += len(message.upserts) + len(message.deletes)
        elif isinstance(message, StoredRows):
            self._kept_bytes += len(message.frame)
        elif isinstance(message, Outcomes):
            self._kept_bytes += len(message.content)

    def drain(self) -> Iterator[Message]:
        while self._kept:
            yield self._kept.popleft()
        if self._file is not None:
            end = self._file.tell()
            self._file.seek(0)
            while self._file.tell() < end:
                message: Message = pickle.load(self._file)  # noqa: S301  written above
                yield message

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
