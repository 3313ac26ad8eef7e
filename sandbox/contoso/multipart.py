"""Read and write the bodies of `$batch`: multipart/mixed with HTTP inside. Pure.

Reading is tolerant of line ends and missing blank lines; writing is strict.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message

from sandbox.contoso.errors import WebApiError, bad_payload

MOST_PARTS = 1_000

_REQUEST_LINE = re.compile(r"([A-Z]+)\s+(.+?)(?:\s+HTTP/1\.[01])?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One request of a batch."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one request of a batch."""

    status: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    content_id: str | None = None


def read_batch(content_type: str, body: bytes) -> list[Part | ChangeSet]:
    """:raises WebApiError: unreadable, nested or too long; 400."""
    found: list[Part | ChangeSet] = []
    for headers, content in _pieces(content_type, body):
        kind = headers.get("content-type", "")
        if kind.lower().startswith("multipart/mixed"):
            found.append(ChangeSet(tuple(_changes(kind, content))))
        else:
            found.append(_part(headers, content))
    total = sum(len(one.parts) if isinstance(one, ChangeSet) else 1 for one in found)
    if total > MOST_PARTS:
        raise bad_payload(f"A batch holds at most {MOST_PARTS} requests, not {total}.")
    return found


def write_batch(replies: Iterable[Reply | list[Reply]]) -> tuple[str, bytes]:
    """Return content type and body; a list is what became of a change set."""
    boundary = f"batchresponse_{uuid.uuid4()}"
    pieces = []
    for reply in replies:
        if isinstance(reply, Reply):
            pieces.append(_written(reply))
        else:
            inner = f"changesetresponse_{uuid.uuid4()}"
            content = _joined(inner, map(_written, reply))
            head = f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n"
            pieces.append(head.encode() + content)
    return f"multipart/mixed; boundary={boundary}", _joined(boundary, pieces)


def _changes(content_type: str, body: bytes) -> Iterable[Part]:
    for headers, content in _pieces(content_type, body):
        part = _part(headers, content)
        if part.method == "GET":
            raise bad_payload("A change set holds no GET requests.")
        yield part


def _pieces(content_type: str, body: bytes) -> Iterable[tuple[dict[str, str], bytes]]:
    """Return headers and content of each piece between the boundaries."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or "multipart/mixed" not in content_type.lower():
        raise bad_payload("A batch is multipart/mixed with a boundary.")
    mark = re.compile(
        rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\r?\n|$)"
    )
    pieces = mark.split(body)
    # The text before, and then by turns whether the boundary closes, and a piece.
    for closing, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if closing is not None:
            return
        yield _headed(piece.lstrip(b"\r\n"))
    raise bad_payload("The batch is not closed by its boundary.")


def _headed(content: bytes) -> tuple[dict[str, str], bytes]:
    """Split lines of headers from what follows the first blank line."""
    head, _, body = content.replace(b"\r\n\r\n", b"\n\n", 1).partition(b"\n\n")
    headers = {}
    for line in head.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


def _part(headers: Mapping[str, str], content: bytes) -> Part:
    first, _, rest = content.lstrip(b"\r\n").partition(b"\n")
    match = _REQUEST_LINE.fullmatch(first.decode(errors="replace").strip())
    if match is None or not headers.get("content-type", "").startswith(
        "application/http"
    ):
        raise bad_payload("A part of a batch is application/http with a request.")
    if "$batch" in match[2]:
        raise WebApiError(400, "0x80060888", "A batch cannot hold another batch.")
    if rest.startswith((b"\r\n", b"\n")) or not rest.strip():
        inner, body = dict[str, str](), rest.lstrip(b"\r\n")
    else:
        inner, body = _headed(rest)
    return Part(
        method=match[1],
        target=match[2],
        headers=inner,
        body=body.rstrip(b"\r\n"),
        content_id=headers.get("content-id") or inner.get("content-id"),
    )


def _written(reply: Reply) -> bytes:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if reply.content_id is not None:
        lines.append(f"Content-ID: {reply.content_id}")
    lines += ["", f"HTTP/1.1 {reply.status}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body


def _joined(boundary: str, pieces: Iterable[bytes]) -> bytes:
    mark = f"--{boundary}".encode()
    parts = [mark + b"\r\n" + piece + b"\r\n" for piece in pieces]
    return b"".join(parts) + mark + b"--\r\n"
