"""Real HTTP(S) servers on loopback that answer as a test tells them to."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.replication.odata.factories import NOON, YEAR


@dataclass
class Answer:
    """What the server sends."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # Bytes that Content-Length promises; None for as many as there are.
    promised: int | None = None
    # Bytes sent one by one for as long as the client stays.
    drips: bool = False


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())


Script = Callable[[Request], Answer]


@dataclass
class Server:
    """A server that runs; `requests` are those it has seen."""

    url: str
    requests: list[Request]
    script: Script

    @property
    def endpoint(self) -> str:
        return f"{self.url}/api/data/v9.2"

    @property
    def last(self) -> Request:
        return self.requests[-1]


def json_answer(document: object, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        headers={"Content-Type": "application/json; odata.metadata=minimal"} | named,
        body=json.dumps(document).encode(),
    )


def in_turn(*answers: Answer) -> Script:
    """Return these answers one after the other, the last one for ever."""
    rest = list(answers)
    return lambda request: rest.pop(0) if len(rest) > 1 else rest[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self.server.face.requests.append(request)
        self._send(self.server.face.script(request))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        promised = len(answer.body) if answer.promised is None else answer.promised
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(answer.body)
        while answer.drips and not self.server.stopping.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = promised != len(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    face: Server

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stopping = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the game."""


@contextlib.contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    listener = _Listener()
    port = listener.server_address[1]
    scheme = "http" if tls is None else "https"
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    listener.face = Server(
        url=f"{scheme}://127.0.0.1:{port}", requests=[], script=script
    )
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield listener.face
    finally:
        listener.stopping.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


def new_authority(folder: Path) -> tuple[str, ssl.SSLContext]:
    """Make a CA; return its PEM and the context of a server that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON - YEAR)
        .not_valid_after(NOON + 30 * YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return pem.decode(), context
