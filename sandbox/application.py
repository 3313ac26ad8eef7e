"""Hand each request to what answers it: faults, controls, the issuer, the Web API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from sandbox import controls, identity
from sandbox.contoso.requests import PREFIX as WEB_API
from sandbox.contoso.store import Row, Store, meta, rows_where
from sandbox.contoso.web import WebApi
from sandbox.controls import Controls
from sandbox.faults import Faults
from sandbox.going_wrong import answered
from sandbox.identity import Issuer
from sandbox.tokens import SigningKey

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Roots:
    """The addresses by which clients reach the sandbox; the first is canonical."""

    port: int

    def all(self) -> tuple[str, ...]:
        return tuple(f"https://{host}:{self.port}" for host in _HOSTS)

    def of(self, request: Request) -> str:
        root = f"https://{request.host}"
        return root if root in self.all() else self.all()[0]


_HOSTS = ("127.0.0.1", "localhost")


class Application:
    """The whole outside world, as one WSGI application."""

    def __init__(self, store: Store, *, key: SigningKey, port: int) -> None:
        self._store = store
        self._roots = Roots(port)
        self._faults = Faults()
        self._issuer = Issuer(
            roots=self._roots.all(),
            key=key,
            find_person=self._person_named,
            now=store.clock,
            token_life=self._token_life,
        )
        self._web_api = WebApi(store, authenticate=self._issuer.authenticate)
        self._controls = Controls(store, faults=self._faults, root=self._roots.all()[0])

    def stop(self) -> None:
        """End what goes on beside requests."""
        self._controls.writer.stop()

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request(environ)
        fault = None
        if not _is_private(request):
            place = request.full_path.rstrip("?")
            fault = self._faults.take(request.method, place, request.get_data())
        if fault is None:
            response = self._true_answer(request)
        else:
            response = answered(request, fault, self._true_answer)
        return response(environ, start_response)

    def _true_answer(self, request: Request) -> Response:
        path = request.path
        if path == "/healthz":
            return Response("ok\n", mimetype="text/plain")
        if path.startswith(controls.PREFIX):
            return self._controls(request)
        if path == WEB_API or path.startswith(f"{WEB_API}/"):
            return self._web_api(request, root=self._roots.of(request))
        return self._issuer(request) or Response("Not found.\n", status=404)

    def _person_named(self, domain_name: str) -> Row | None:
        table = self._store.schema.tables["systemuser"]
        with self._store.read() as connection:
            found = rows_where(connection, table, domainname=domain_name.lower())
        return found[0] if found else None

    def _token_life(self) -> timedelta:
        with self._store.read() as connection:
            seconds = meta(connection, "access_token_seconds")
        return (
            identity.TOKEN_LIFE if seconds is None else timedelta(seconds=int(seconds))
        )


def _is_private(request: Request) -> bool:
    return request.path == "/healthz" or request.path.startswith(controls.PREFIX)
