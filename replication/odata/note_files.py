"""Attachments of notes, by the messages that hand out and take their blocks."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from replication.odata.answers import Reply, error_in, failure_of
from replication.odata.errors import (
    MalformedAnswerError,
    SourceUnavailableError,
    UnknownOutcomeError,
)
from replication.odata.sending_files import BLOCK_BYTES, Sender
from replication.odata.transport import WritingTransport

_TYPE = "#Microsoft.Dynamics.CRM.annotation"
_MIME_TYPE = "application/octet-stream"


class _Opened(msgspec.Struct):
    token: str = msgspec.field(name="FileContinuationToken")
    size: int = msgspec.field(default=0, name="FileSizeInBytes")


class _Data(msgspec.Struct):
    data: str = msgspec.field(name="Data")


class NoteReader:
    """Fetches blocks of an attachment as it was when it was opened."""

    def __init__(
        self, transport: WritingTransport, base: str, *, token: str, size: int
    ) -> None:
        self._transport = transport
        self._base = base
        self._token = token
        self.size = size

    def block(self, start: int, length: int) -> bytes:
        """Return up to so many bytes from there.

        :raises SyncError: the source cannot be asked.
        """
        length = min(length, self.size - start)
        if length <= 0:
            return b""
        document = {
            "Offset": start,
            "BlockLength": length,
            "FileContinuationToken": self._token,
        }
        reply = _asked(self._transport, f"{self._base}/DownloadBlock", document)
        content = _bytes(_decoded(reply, _Data).data)
        if len(content) != length:
            raise MalformedAnswerError("A block has another length than asked for.")
        return content


def opened(
    transport: WritingTransport, base: str, *, key: tuple[Any, ...]
) -> NoteReader | None:
    """Begin to fetch the attachment of a note; None when there is none.

    :raises SyncError: the source cannot be asked.
    """
    url = f"{base}/InitializeAnnotationBlocksDownload"
    try:
        reply = _asked(transport, url, {"Target": _target(key)})
    except _GoneError:
        return None
    found = _decoded(reply, _Opened)
    return NoteReader(transport, base, token=found.token, size=found.size)


def send(sender: Sender, *, row_path: str, key: tuple[Any, ...]) -> None:
    """Put the attachment into its note; see `SourceFiles.send`."""
    name = sender.parcel.name
    if sender.parcel.size <= BLOCK_BYTES:
        body = b"".join(content for _, content in sender.blocks())
        sender.patch(
            row_path,
            {
                "documentbody": base64.b64encode(body).decode(),
                "filename": name,
                "mimetype": _MIME_TYPE,
                "isdocument": True,
            },
        )
        return
    target = {**_target(key), "filename": name, "mimetype": _MIME_TYPE}
    reply = sender.message("InitializeAnnotationBlocksUpload", {"Target": target})
    token = _decoded(reply, _Opened).token
    ids = []
    for _, content in sender.blocks():
        ids.append(base64.b64encode(uuid4().hex.encode()).decode())
        sender.message(
            "UploadBlock",
            {
                "BlockId": ids[-1],
                "BlockData": base64.b64encode(content).decode(),
                "FileContinuationToken": token,
            },
        )
    sender.last_message(
        "CommitAnnotationBlocksUpload",
        {"Target": target, "BlockList": ids, "FileContinuationToken": token},
    )


class _GoneError(Exception):
    """There is no such note, or nothing is attached to it."""


def _target(key: tuple[Any, ...]) -> dict[str, Any]:
    return {"@odata.type": _TYPE, "annotationid": str(key[0])}


def _asked(transport: WritingTransport, url: str, document: object) -> Reply:
    """Send a message that only reads."""
    body = msgspec.json.encode(document)
    headers = {"Content-Type": "application/json"}
    try:
        reply = transport.send("POST", url, headers=headers, body=body)
    except UnknownOutcomeError as error:
        raise error.reason from error
    if reply.status == 404:
        if "segment" in error_in(reply)[1].lower():
            raise SourceUnavailableError("The source hands out no attachments.")
        raise _GoneError
    if reply.status != 200:
        raise failure_of(reply)
    return reply


T = TypeVar("T", _Opened, _Data)


def _decoded(reply: Reply, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The answer to a message is not as expected: {error}."
        raise MalformedAnswerError(message) from error


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedAnswerError("A block is not in base64.") from error
