"""Requests of a change set as the played source reads them, and how it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replication.odata.answers import Reply

_MULTIPART = "multipart/mixed; boundary="


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One write, alone or as a part of a change set."""

    method: str
    entity_set: str
    key: str | None
    headers: Mapping[str, str]
    body: dict[str, Any] = field(default_factory=dict)
    number: int | None = None

    @property
    def if_match(self) -> str | None:
        return self.headers.get("if-match")


@dataclass(frozen=True)
class RefusalError(Exception):
    """The source does not do it."""

    status: int
    code: str
    message: str
    number: int | None = None

    @property
    def body(self) -> bytes:
        said = {"error": {"code": self.code, "message": self.message}}
        return json.dumps(said).encode()


def alone(
    method: str, url: str, headers: Mapping[str, str], body: bytes, number: int = 0
) -> Asked:
    name, _, key = url.rsplit("/", 1)[1].rstrip(")").partition("(")
    return Asked(
        method=method,
        entity_set=name,
        key=key or None,
        headers={name.lower(): value for name, value in headers.items()},
        body=json.loads(body) if body else {},
        number=number or None,
    )


def together(body: bytes) -> list[Asked]:
    """The requests of a batch that is one change set."""
    found: list[Asked] = []
    inner = re.search(rb"boundary=(changeset_[0-9a-f-]+)", body)
    assert inner is not None
    for piece in body.split(b"--" + inner[1])[1:-1]:
        outer, _, request = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        head, _, content = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, url, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        number = re.search(rb"Content-ID: (\d+)", outer)
        assert number is not None
        found.append(alone(method, url, headers, content.strip(), int(number[1])))
    return found


def done(row: Mapping[str, Any] | None = None) -> Reply:
    if row is None:
        return Reply(status=204, headers={}, body=b"")
    return document(row)


def document(content: Mapping[str, Any]) -> Reply:
    headers = {"Content-Type": "application/json; odata.metadata=minimal"}
    return Reply(status=200, headers=headers, body=json.dumps(content).encode())


def refused(error: RefusalError) -> Reply:
    headers = {"Content-Type": "application/json"}
    return Reply(status=error.status, headers=headers, body=error.body)


def done_together(asked: Sequence[Asked]) -> Reply:
    parts = "".join(
        f"--inner\r\nContent-Type: application/http\r\nContent-ID: {one.number}\r\n"
        "\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n"
        for one in asked
    )
    content = f"--outer\r\nContent-Type: {_MULTIPART}inner\r\n\r\n{parts}--inner--\r\n"
    return _batch(content)


def refused_together(error: RefusalError) -> Reply:
    content = (
        f"--outer\r\nContent-Type: application/http\r\nContent-ID: {error.number}\r\n"
        f"\r\nHTTP/1.1 {error.status} No\r\nContent-Type: application/json\r\n\r\n"
        f"{error.body.decode()}\r\n"
    )
    return _batch(content)


def _batch(content: str) -> Reply:
    headers = {"Content-Type": f"{_MULTIPART}outer"}
    return Reply(status=200, headers=headers, body=f"{content}--outer--\r\n".encode())
