"""Serve a WSGI application over HTTPS on loopback, one thread a connection.

Connections are kept alive. The application may ask to have an answer cut short
(`CUT_AFTER`), which ends the connection in the middle of the body.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.application import Application
from sandbox.certificates import server_context
from sandbox.contoso import data
from sandbox.contoso.data import DEFAULT_SEED
from sandbox.contoso.store import Store
from sandbox.going_wrong import CUT_AFTER, HANG_UP
from sandbox.plain import seed as plain_seed
from sandbox.plain.rows import Rows
from sandbox.plain.web import PlainApplication
from sandbox.tokens import signing_key

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
DEFAULT_PORT = 8143
DEFAULT_PLAIN_PORT = 8144
_LARGEST_BODY = 128 * 1024 * 1024
_HANDSHAKE_SECONDS = 15
_IDLE_SECONDS = 600


class _Connection(BaseHTTPRequestHandler):
    """Reads requests from one connection and writes the application's answers."""

    protocol_version = "HTTP/1.1"
    server_version = "Sandbox"
    sys_version = ""
    server: _Server
    wbufsize = -1
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self._read_body()
        if body is None:
            self.send_error(413)
            self.close_connection = True
            return
        environ = self._environ(body)
        heads: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], object]:
            heads.append((status, headers))
            return self.wfile.write

        content = b"".join(self.server.application(environ, start_response))
        if environ.get(HANG_UP):
            self.close_connection = True
            return
        self._write(heads[-1], content, cut_after=environ.get(CUT_AFTER))

    def log_message(self, *_args: object) -> None:
        """Say nothing: what was asked is nobody's news."""

    def _read_body(self) -> bytes | None:
        """Return the body; None when it is too large."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LARGEST_BODY:
            return None
        return self.rfile.read(int(length))

    def _read_chunks(self) -> bytes | None:
        chunks: list[bytes] = []
        total = 0
        while True:
            size_text = self.rfile.readline(1024).split(b";")[0].strip()
            size = int(size_text, 16) if size_text else 0
            total += size
            if total > _LARGEST_BODY:
                return None
            chunk = self.rfile.read(size)
            # The line end of the chunk, or the end of the trailer.
            self.rfile.readline(1024)
            if not size:
                return b"".join(chunks)
            chunks.append(chunk)

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": None,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name in self.headers:
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = ",".join(self.headers.get_all(name, []))
        return environ

    def _write(
        self,
        head: tuple[str, list[tuple[str, str]]],
        content: bytes,
        *,
        cut_after: int | None,
    ) -> None:
        status, headers = head
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value)
        if int(code) not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if cut_after is None else content[:cut_after])
        if cut_after is not None:
            self.close_connection = True


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    setattr(_Connection, f"do_{_method}", _Connection.answer)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    application: WSGIApplication

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port), _Connection)
        self.context: ssl.SSLContext | None = None
        self.release: Callable[[], None] | None = None
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, so that nobody else waits."""
        assert self.context is not None
        request.settimeout(_HANDSHAKE_SECONDS)
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                self._open.add(connection)
                try:
                    _Connection(connection, client_address, self)
                finally:
                    self._open.discard(connection)
        except OSError:
            # The client went away, or never spoke TLS.
            return
        finally:
            if self.release is not None:
                self.release()

    def close_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@dataclass(frozen=True, slots=True)
class RunningPlain:
    """A plain service that serves, until `stop`."""

    url: str
    ca_file: Path
    rows: Rows
    _server: _Server
    _thread: threading.Thread

    def stop(self) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that serves, until `stop`."""

    url: str
    ca_file: Path
    store: Store
    _application: Application
    _server: _Server
    _thread: threading.Thread

    def stop(self) -> None:
        self._application.stop()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        self.store.close()


def serve(
    folder: Path,
    *,
    port: int = DEFAULT_PORT,
    seed: int | None = None,
    scale: int | None = None,
) -> Running:
    """Start serving in a thread; port 0 takes a free one. Makes what is missing.

    :param folder: `$WAYSTATION_DATA`; the sandbox lives in `sandbox/` below it.
    :raises OSError: the port is taken, or the folder cannot be written.
    :raises OtherDataError: the data there was made with another seed or scale.
    """
    # The port comes first: whoever finds it taken has touched nothing.
    server = _Server(port)
    try:
        own = folder / "sandbox"
        ca_file = folder / "sandbox-ca.pem"
        server.context = server_context(own, ca_file=ca_file)
        data.prepare(own / "contoso.db", seed=seed, scale=scale)
        store = Store(own / "contoso.db")
        application = Application(store, key=signing_key(own), port=server.port)
        server.application = application
        server.release = store.release
    except BaseException:
        server.server_close()
        raise
    url = f"https://{HOST}:{server.port}"
    return Running(url, ca_file, store, application, server, _started(server))


def serve_plain(
    folder: Path,
    *,
    port: int = DEFAULT_PLAIN_PORT,
    seed: int = DEFAULT_SEED,
    scale: int = plain_seed.DEFAULT_SCALE,
) -> RunningPlain:
    """Start serving the plain service in a thread; its rows are kept in memory.

    :raises OSError: the port is taken, or the folder cannot be written.
    """
    server = _Server(port)
    try:
        ca_file = folder / "sandbox-ca.pem"
        server.context = server_context(folder / "sandbox", ca_file=ca_file)
        rows = Rows()
        plain_seed.fill(rows, scale=scale, seed=seed)
        url = f"https://{HOST}:{server.port}"
        server.application = PlainApplication(rows, root=url)
    except BaseException:
        server.server_close()
        raise
    return RunningPlain(url, ca_file, rows, server, _started(server))


def _started(server: _Server) -> threading.Thread:
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    return thread
