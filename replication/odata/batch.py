"""Puts requests into one `$batch` as a change set, and reads what became of them. Pure.

Lines end in CRLF on the way out; on the way in, any line ends are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from uuid import uuid4

from requests.structures import CaseInsensitiveDict

from replication.odata.answers import Reply
from replication.odata.errors import MalformedAnswerError
from replication.odata.write_requests import WireRequest

# Dataverse takes no more requests in one batch.
MOST_REQUESTS = 1000

# Far more than a change set of ours can be answered with.
_MOST_PARTS = 4 * MOST_REQUESTS

# A line that may be a boundary. Each batch has its own; to compile it into an expression
# would cost more than to read the batch.
_MARK = re.compile(rb"(?:\A|\r?\n)--([^\r\n]*)(?=\r?\n|\Z)")
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})[^\r\n]*")
_HEADERS_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReply:
    """What became of one request."""

    reply: Reply
    # The number that the request bore, as far as it was told.
    number: int | None


def change_set(requests: Sequence[WireRequest], *, root: str) -> tuple[str, bytes]:
    """Return content type and body; requests are numbered from 1.

    `root` is the path of the service's root. Every header of a part is for that part
    alone: whoever is impersonated has to be named on the batch (see `writing`).
    """
    batch, inner = f"batch_{uuid4()}", f"changeset_{uuid4()}"
    lines = [f"--{batch}", f"Content-Type: multipart/mixed; boundary={inner}", ""]
    pieces = ["\r\n".join([*lines, ""]).encode()]
    for number, request in enumerate(requests, start=1):
        head = [
            f"--{inner}",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            f"Content-ID: {number}",
            "",
            f"{request.method} {root}/{request.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in request.headers.items()),
            "",
            "",
        ]
        pieces += ["\r\n".join(head).encode(), request.body, b"\r\n"]
    pieces.append(f"--{inner}--\r\n--{batch}--\r\n".encode())
    return f"multipart/mixed; boundary={batch}", b"".join(pieces)


def is_multipart(reply: Reply) -> bool:
    kind = reply.headers.get("Content-Type", "")
    return kind.strip().lower().startswith("multipart/mixed")


def part_replies(reply: Reply) -> list[PartReply]:
    """Return the answers in a batch's answer, those of change sets among them.

    :raises MalformedAnswerError: it cannot be read.
    """
    found: list[PartReply] = []
    for part in _parts(reply.headers.get("Content-Type", ""), reply.body, nested=0):
        found.append(part)
        if len(found) > _MOST_PARTS:
            raise MalformedAnswerError("The batch has too many answers.")
    return found


def _parts(content_type: str, body: bytes, *, nested: int) -> Iterator[PartReply]:
    for piece in _pieces(content_type, body):
        headers, content = _headed(piece)
        kind = headers.get("Content-Type", "")
        if kind.lower().startswith("multipart/mixed"):
            if nested:
                raise MalformedAnswerError("The batch is nested too deeply.")
            yield from _parts(kind, content, nested=nested + 1)
        else:
            yield _part(headers, content)


def _pieces(content_type: str, body: bytes) -> Iterator[bytes]:
    message = Message()
    message["Content-Type"] = re.sub(r"[\r\n]+", " ", content_type)
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200:
        raise MalformedAnswerError("The batch's answer names no boundary.")
    opening = boundary.encode()
    begin: int | None = None
    for mark in _MARK.finditer(body):
        line = mark[1].rstrip(b" \t")
        if line not in (opening, opening + b"--"):
            continue
        if begin is not None:
            yield body[begin : mark.start()]
        if line != opening:
            return
        begin = mark.end()
    raise MalformedAnswerError("The batch's answer is not closed by its boundary.")


def _part(outer: Mapping[str, str], content: bytes) -> PartReply:
    head = _STATUS_LINE.match(content.lstrip(b"\r\n"))
    if head is None:
        raise MalformedAnswerError("A part of the batch's answer is no answer.")
    headers, body = _headed(content.lstrip(b"\r\n")[head.end() :])
    number = outer.get("Content-ID") or headers.get("Content-ID") or ""
    return PartReply(
        reply=Reply(status=int(head[1]), headers=headers, body=body.strip(b"\r\n")),
        number=int(number) if number.isascii() and number.isdigit() else None,
    )


def _headed(content: bytes) -> tuple[Mapping[str, str], bytes]:
    """Split headers from what follows the first blank line."""
    # The line end that closed the line before.
    content = re.sub(rb"\A\r?\n", b"", content, count=1)
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    if content.startswith((b"\r\n", b"\n")) or not content.strip():
        return headers, content
    found = _HEADERS_END.search(content)
    head = content if found is None else content[: found.start()]
    body = b"" if found is None else content[found.end() :]
    for line in head.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip()] = value.strip()
    return headers, body
