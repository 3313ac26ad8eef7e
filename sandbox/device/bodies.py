"""Turn the body of an answer into lines, whatever its encoding and its end."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Protocol, cast

import requests
import zstandard
from urllib3.exceptions import HTTPError

from sandbox.device.answers import LARGEST_CHUNK
from sandbox.device.errors import ProtocolError, UnavailableError

ACCEPT_ENCODING = "zstd, gzip"
PIECE = 64 * 2**10
GZIP = 31


class _Raw(Protocol):
    def read1(self, amt: int, decode_content: bool) -> bytes: ...


class Body:
    """One body, read once in bounded memory.

    A body that breaks off ends like any other, after its last bytes; `broken` then
    says why.
    """

    def __init__(self, response: requests.Response) -> None:
        self._raw: _Raw = response.raw
        self._encoding = response.headers.get("Content-Encoding", "identity").lower()
        self.received = 0
        self.broken: str | None = None

    def lines(self) -> Iterator[bytes]:
        """:raises ProtocolError: the encoding was not asked for, a line is endless."""
        rest: list[bytes] = []
        size = 0
        for piece in self._decoded():
            first, *others = piece.split(b"\n")
            rest.append(first)
            size += len(first)
            if size > LARGEST_CHUNK:
                raise ProtocolError("A line does not end.")
            if others:
                yield b"".join(rest)
                yield from others[:-1]
                rest, size = [others[-1]], len(others[-1])
        yield b"".join(rest)

    def json_object(self) -> Mapping[str, object]:
        """Read a whole body that is one JSON object.

        :raises UnavailableError: it broke off.
        :raises ProtocolError: it is something else.
        """
        content = b"".join(self.lines())
        if self.broken is not None:
            raise UnavailableError(f"An answer broke off: {self.broken}.")
        try:
            value = json.loads(content)
        except ValueError as error:
            raise ProtocolError("An answer is not JSON.") from error
        if not isinstance(value, dict):
            raise ProtocolError("An answer is no JSON object.")
        return value

    def read(self, size: int) -> bytes:
        """Return some bytes as they were sent; none at the end."""
        piece = self._raw.read1(size, decode_content=False)
        self.received += len(piece)
        return piece

    def _decoded(self) -> Iterator[bytes]:
        try:
            yield from self._pieces()
        except (HTTPError, OSError, zlib.error, zstandard.ZstdError) as error:
            self.broken = type(error).__name__

    def _pieces(self) -> Iterator[bytes]:
        match self._encoding:
            case "identity" | "":
                return self._sent()
            case "gzip":
                return self._gunzipped()
            case "zstd":
                return self._unzstd()
            case other:
                raise ProtocolError(f"The encoding {other} was not asked for.")

    def _sent(self) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece

    def _gunzipped(self) -> Iterator[bytes]:
        decoder = zlib.decompressobj(wbits=GZIP)
        for piece in self._sent():
            remaining = piece
            while remaining:
                yield decoder.decompress(remaining, PIECE)
                remaining = decoder.unconsumed_tail
                if decoder.eof:
                    remaining = decoder.unused_data
                    decoder = zlib.decompressobj(wbits=GZIP)

    def _unzstd(self) -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor()
        reader = decompressor.stream_reader(
            cast(IO[bytes], self), read_across_frames=True
        )
        while piece := reader.read1(PIECE):
            yield piece
