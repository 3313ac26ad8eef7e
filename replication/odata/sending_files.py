"""Sends one file to a source: small ones by one request, larger ones block by block.

Nothing is changed at the source before the last request: a file that was cut before
that is as if it had never been begun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import quote
from uuid import UUID

import msgspec

from replication.domain.tables import TableDef
from replication.odata import links
from replication.odata.answers import Reply
from replication.odata.errors import MalformedAnswerError, UnknownOutcomeError
from replication.odata.transport import WritingTransport
from replication.odata.write_errors import failure_of_write
from replication.odata.writes import Write

BLOCK_BYTES = 4 * 2**20
_LARGEST_BLOCK = 16 * 2**20

_DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})
_GOING_ON = _DONE | {HTTPStatus.PARTIAL_CONTENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file on its way, and in whose name it goes."""

    content: BinaryIO
    size: int
    name: str
    caller: UUID | None
    if_match: str | None = None


class Sender:
    """Makes the requests by which one file is sent."""

    def __init__(
        self,
        transport: WritingTransport,
        base: str,
        *,
        table: TableDef,
        key: tuple[Any, ...],
        parcel: Parcel,
    ) -> None:
        self._transport = transport
        self._base = base
        # What refusals are judged by.
        self._write = Write(table=table, op="update", key=key)
        self.parcel = parcel

    def put(self, path: str) -> None:
        """Send the content of a file or image column."""
        url = f"{self._base}/{path}"
        if self.parcel.size <= BLOCK_BYTES:
            self.last("PATCH", url, self._octets(self._guard()), self._read_all())
            return
        link, size = self._begun(url)
        for start, content in self.blocks(size):
            end = start + len(content) - 1
            headers = self._octets(
                {"Content-Range": f"bytes {start}-{end}/{self.parcel.size}"}
            )
            if end + 1 < self.parcel.size:
                self.step("PATCH", link, headers, content)
            else:
                self.last("PATCH", link, headers, content)

    def _begun(self, url: str) -> tuple[str, int]:
        """Ask for a place to send blocks to; with the size that they are to have."""
        headers = self._octets({"x-ms-transfer-mode": "chunked", **self._guard()})
        reply = self.step("PATCH", url, headers, b"")
        location = reply.headers.get("Location")
        if not location:
            raise MalformedAnswerError("The source did not say where to send a file.")
        asked = reply.headers.get("x-ms-chunk-size", "")
        size = int(asked) if asked.isdecimal() and len(asked) < 10 else BLOCK_BYTES
        link = links.resolve(location, request_url=url)
        return link, min(max(size, 1), _LARGEST_BLOCK)

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
        """Yield places and blocks; only one of them is in memory."""
        start = 0
        while start < self.parcel.size:
            content = self.parcel.content.read(min(size, self.parcel.size - start))
            if not content:
                raise MalformedAnswerError("A file that waits was cut.")
            yield start, content
            start += len(content)

    def _read_all(self) -> bytes:
        return b"".join(content for _, content in self.blocks())

    def message(self, name: str, document: Mapping[str, Any]) -> Reply:
        """Send a message before which nothing is changed yet."""
        return self.step("POST", f"{self._base}/{name}", _JSON, _encoded(document))

    def last_message(self, name: str, document: Mapping[str, Any]) -> Reply:
        return self.last("POST", f"{self._base}/{name}", _JSON, _encoded(document))

    def patch(self, path: str, document: Mapping[str, Any]) -> Reply:
        headers = {**_JSON, **self._guard()}
        return self.last("PATCH", f"{self._base}/{path}", headers, _encoded(document))

    def step(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Make a request that changes nothing yet, whatever becomes of it."""
        try:
            return self.last(method, url, headers, body, good=_GOING_ON)
        except UnknownOutcomeError as error:
            raise error.reason from error

    def last(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        good: frozenset[int] = _DONE,
    ) -> Reply:
        """Make the request that puts the file into its place."""
        if self.parcel.caller is not None:
            headers = {**headers, "CallerObjectId": str(self.parcel.caller)}
        reply = self._transport.send(method, url, headers=headers, body=body)
        if reply.status not in good:
            raise failure_of_write(reply, self._write)
        return reply

    def _guard(self) -> dict[str, str]:
        guard = self.parcel.if_match
        # Without it, Dataverse would make a row where there is none.
        return {"If-Match": guard or "*"}

    def _octets(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "Content-Type": "application/octet-stream",
            "x-ms-file-name": quote(self.parcel.name, safe=" "),
            **more,
        }


_JSON = {"Content-Type": "application/json"}


def _encoded(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(document)
