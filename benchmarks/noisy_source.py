"""A small OData service for many organizations, some of which it treats badly.

`/calm-1/things` answers with what changed, `/throttled/things` with 429,
`/hanging/things` not at all until somebody asks for `/release`. `POST /calm-1/things`
changes a row; the text that it then has is the answer.
`python -m benchmarks.noisy_source PORT`.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ROWS = 20
TABLES = ("things", "places", "people", "visits")
LONGEST_HANG_SECONDS = 300

_TYPES = "".join(
    f'<EntityType Name="{name}"><Key><PropertyRef Name="id"/></Key>'
    '<Property Name="id" Type="Edm.Guid" Nullable="false"/>'
    '<Property Name="name" Type="Edm.String"/></EntityType>'
    for name in TABLES
)
_TRACKED = (
    '<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking"><Record>'
    '<PropertyValue Property="Supported" Bool="true"/></Record></Annotation>'
)
_SETS = "".join(
    f'<EntitySet Name="{name}" EntityType="noisy.{name}">{_TRACKED}</EntitySet>'
    for name in TABLES
)
METADATA = (
    '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
    '<edmx:DataServices><Schema Namespace="noisy"'
    f' xmlns="http://docs.oasis-open.org/odata/ns/edm">{_TYPES}'
    f'<EntityContainer Name="all">{_SETS}</EntityContainer>'
    "</Schema></edmx:DataServices></edmx:Edmx>"
).encode()


@dataclass
class _Table:
    """Versions of rows, by number; a row's name says which it has."""

    version: int = 1
    rows: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(ROWS), 1))

    def change(self) -> str:
        self.version += 1
        self.rows[self.version % ROWS] = self.version
        return f"Version {self.version}"

    def after(self, version: int) -> list[dict[str, str]]:
        return [
            {
                "@odata.etag": f'W/"{own}"',
                "id": f"00000000-0000-0000-0000-{number:012}",
                "name": f"Version {own}",
            }
            for number, own in self.rows.items()
            if own > version
        ]


_tables: defaultdict[str, _Table] = defaultdict(_Table)
_released = threading.Condition()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer leaves in one piece, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        _, who, *rest = parts.path.split("/")
        if rest == ["$metadata"]:
            self._send(METADATA, content_type="application/xml")
        elif who == "release":
            with _released:
                _released.notify_all()
            self._send(b"{}")
        elif who == "throttled":
            self._send(b"{}", status=429)
        elif who == "hanging":
            self._hang()
        elif rest[-1] == "$count":
            self._send(str(ROWS).encode(), content_type="text/plain")
        else:
            token = parse_qs(parts.query).get("$deltatoken", ["0"])[0]
            self._send(_page(parts.path, int(token)))

    def do_POST(self) -> None:
        self._send(_tables[self.path].change().encode(), content_type="text/plain")

    def _hang(self) -> None:
        with _released:
            _released.wait(LONGEST_HANG_SECONDS)
        self.close_connection = True

    def _send(
        self, body: bytes, *, status: int = 200, content_type: str = "application/json"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "2")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the time that writing takes would be measured."""


def _page(path: str, version: int) -> bytes:
    table = _tables[path]
    context = f"$metadata#{path.rpartition('/')[2]}"
    link = f"{path}?$deltatoken={table.version}"
    return json.dumps(
        {
            "@odata.context": f"{context}/$delta" if version else context,
            "value": table.after(version),
            "@odata.deltaLink": link,
        }
    ).encode()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are what this is for."""


if __name__ == "__main__":
    _Listener(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
