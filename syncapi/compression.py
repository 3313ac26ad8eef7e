"""Choose a content coding, and compress an answer while it is being made."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable
from typing import Protocol

import zstandard

from syncapi.ndjson import AnyLine, StoredLine

# In order of preference among codings that the client likes equally.
CODINGS = ("zstd", "gzip")
IDENTITY = "identity"
# Level 3 makes rows 4 % smaller and takes 2.7 times as long.
ZSTD_LEVEL = 1
GZIP_LEVEL = 5
# Small lines are collected, so that a piece is worth a write to the socket.
PIECE_BYTES = 32 * 1024

_GZIP_WINDOW = 31  # 15 bits of window, and 16 for gzip's header


class Coder(Protocol):
    def add(self, content: bytes) -> bytes: ...

    def add_stored(self, line: StoredLine) -> bytes: ...

    def flush(self) -> bytes:
        """Bring out everything added so far, so that the reader can decode it."""

    def end(self) -> bytes: ...


class _Plain:
    def add(self, content: bytes) -> bytes:
        return content

    def add_stored(self, line: StoredLine) -> bytes:
        return line.content

    def flush(self) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""


class _Zstd:
    """One frame after another: a stored one is passed on between two of our own.

    Decoders must read on after a frame (RFC 8878 §3.1); their output is the same.
    """

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._coder = self._compressor.compressobj()

    def add(self, content: bytes) -> bytes:
        return bytes(self._coder.compress(content))

    def add_stored(self, line: StoredLine) -> bytes:
        before = self.add(line.before) + self.end()
        self._coder = self._compressor.compressobj()
        return before + line.frame + self.add(line.after)

    def flush(self) -> bytes:
        return bytes(self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH))


class _Gzip:
    def __init__(self) -> None:
        self._coder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def add(self, content: bytes) -> bytes:
        return self._coder.compress(content)

    def add_stored(self, line: StoredLine) -> bytes:
        return self._coder.compress(line.content)

    def flush(self) -> bytes:
        return self._coder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._coder.flush(zlib.Z_FINISH)


_CODERS: dict[str, type[_Plain | _Zstd | _Gzip]] = {
    "zstd": _Zstd,
    "gzip": _Gzip,
    IDENTITY: _Plain,
}


def chosen_coding(accept_encoding: str) -> str:
    """Return the coding that the client likes best, else `identity`."""
    weights = _weights(accept_encoding)
    rest = weights.get("*", 0.0)
    best, best_weight = IDENTITY, weights.get(IDENTITY, 0.0)
    for coding in reversed(CODINGS):
        weight = weights.get(coding, rest)
        if weight > 0 and weight >= best_weight:
            best, best_weight = coding, weight
    return best


def coded(content: bytes, *, coding: str) -> bytes:
    """Compress a whole answer at once."""
    coder = _CODERS[coding]()
    return coder.add(content) + coder.end()


def pieces(lines: Iterable[AnyLine], *, coding: str) -> Generator[bytes, None, None]:
    """Yield the coded lines; after each checkpoint all of it can be decoded."""
    coder: Coder = _CODERS[coding]()
    waiting = bytearray()
    for line in lines:
        content = _coded(coder, line)
        if waiting and len(content) >= PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
        if len(content) >= PIECE_BYTES:
            # Passed on as it is: copying megabytes costs more than another write.
            yield content
            continue
        waiting += content
        if waiting and (line.is_checkpoint or len(waiting) >= PIECE_BYTES):
            yield bytes(waiting)
            waiting.clear()
    waiting += coder.end()
    if waiting:
        yield bytes(waiting)


def _coded(coder: Coder, line: AnyLine) -> bytes:
    if isinstance(line, StoredLine):
        return coder.add_stored(line)
    content = coder.add(line.content)
    return content + coder.flush() if line.is_checkpoint else content


def _weights(accept_encoding: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.partition("=")
        weight = _weight(value) if name.strip() == "q" else 1.0
        if coding.strip():
            weights[coding.strip()] = weight
    return weights


def _weight(value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
