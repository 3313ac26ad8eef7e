"""A small OData service for many organizations, some of which it treats badly.

`/calm-1/things` answers, `/throttled/things` answers 429, `/hanging/things` nothing at
all. `python -m benchmarks.noisy_source PORT`.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROWS = 20
TABLES = ("things", "places", "people")
LONGEST_HANG_SECONDS = 300

_TYPES = "".join(
    f'<EntityType Name="{name}"><Key><PropertyRef Name="id"/></Key>'
    '<Property Name="id" Type="Edm.Guid" Nullable="false"/>'
    '<Property Name="name" Type="Edm.String"/></EntityType>'
    for name in TABLES
)
_SETS = "".join(
    f'<EntitySet Name="{name}" EntityType="noisy.{name}"/>' for name in TABLES
)
METADATA = (
    '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
    '<edmx:DataServices><Schema Namespace="noisy"'
    f' xmlns="http://docs.oasis-open.org/odata/ns/edm">{_TYPES}'
    f'<EntityContainer Name="all">{_SETS}</EntityContainer>'
    "</Schema></edmx:DataServices></edmx:Edmx>"
).encode()
PAGE = json.dumps(
    {
        "value": [
            {"id": f"00000000-0000-0000-0000-{number:012}", "name": f"Row {number}"}
            for number in range(ROWS)
        ]
    }
).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, who, *rest = self.path.partition("?")[0].split("/")
        if rest == ["$metadata"]:
            self._send(METADATA, content_type="application/xml")
        elif who == "throttled":
            self._send(b"{}", status=429)
        elif who == "hanging":
            threading.Event().wait(LONGEST_HANG_SECONDS)
        elif rest[-1] == "$count":
            self._send(str(ROWS).encode(), content_type="text/plain")
        else:
            self._send(PAGE)

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

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the time that writing takes would be measured."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are what this is for."""


if __name__ == "__main__":
    _Listener(("127.0.0.1", int(sys.argv[1])), _Handler).serve_forever()
