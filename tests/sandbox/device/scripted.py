"""A sync API on loopback that answers as scripted, and breaks off where told."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

import zstandard

from tests.sandbox.device.answers import remaining

ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`cut` is the number of encoded bytes after which the connection breaks."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "identity"
    cut: int | None = None


def ndjson(lines: Sequence[bytes], *, encoding="identity", cut=None) -> Answer:
    return Answer(
        body=b"".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
        encoding=encoding,
        cut=cut,
    )


def json_answer(document: object, *, status=200, encoding="identity") -> Answer:
    return Answer(status=status, body=json.dumps(document).encode(), encoding=encoding)


def problem(status: int, code: str, *, headers=None, **more: object) -> Answer:
    document = {"type": "about:blank", "status": status, "code": code, **more}
    return Answer(
        status=status,
        body=json.dumps(document).encode(),
        headers={"Content-Type": "application/problem+json", **(headers or {})},
    )


def nothing_new(checkpoint: str) -> Answer:
    return Answer(status=204, headers={"Waystation-Checkpoint": checkpoint})


@dataclass(slots=True)
class Download:
    """Serves `lines` from the checkpoint asked with; each answer may be cut."""

    lines: Sequence[bytes]
    cuts: list[int] = field(default_factory=list)
    encoding: str = "identity"

    def __call__(self, seen: Seen) -> Answer:
        lines = remaining(self.lines, seen.query.get("checkpoint"))
        cut = self.cuts.pop(0) if self.cuts else None
        return ndjson(lines, encoding=self.encoding, cut=cut)


Reply = Answer | Callable[[Seen], Answer]


class ScriptedService:
    """Answers `METHOD /path` by its queue; the last answer of a queue repeats."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._replies: dict[str, list[Reply]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.script = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def answer(self, target: str, *replies: Reply) -> None:
        self._replies[target] = list(replies)

    def requests(self, target: str) -> list[Seen]:
        return [seen for seen in self.seen if f"{seen.method} {seen.path}" == target]

    def reply_to(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        queue = self._replies.get(f"{seen.method} {seen.path}")
        if not queue:
            return problem(404, "not_scripted")
        reply = queue.pop(0) if len(queue) > 1 else queue[0]
        return reply if isinstance(reply, Answer) else reply(seen)


class _Server(ThreadingHTTPServer):
    script: ScriptedService

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about devices that hang up: they may at any time."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed on


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout: ClassVar[float] = 10

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        seen = Seen(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query)),
            headers=dict(self.headers.items()),
            body=self.rfile.read(length),
        )
        self._send(self.server.script.reply_to(seen))

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  names of http.server

    def _send(self, answer: Answer) -> None:
        body = ENCODERS[answer.encoding](answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.encoding != "identity":
            self.send_header("Content-Encoding", answer.encoding)
        if answer.status == 204:
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._send_body(body if answer.cut is None else body[: answer.cut])
        if answer.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def _send_body(self, body: bytes) -> None:
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def log_message(self, *_: object) -> None:
        """Keep quiet: the tests look at `seen`."""
