"""The plain service as a WSGI application, with calls by which tests change it.

Below `/_plain`, with the header `Authorization: Bearer sandbox`:

- `GET /_plain/`: counts of rows by entity set.
- `POST /_plain/put {"set": …, "rows": […], "keeps_time": false}` creates or changes rows.
- `POST /_plain/delete {"set": …, "rows": [{key columns}, …]}` removes them.
- `POST /_plain/faults` with the members of `sandbox.faults.Fault`; `GET` lists what is
  waiting, `DELETE` forgets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.wrappers import Request, Response

from sandbox.controls import TOKEN
from sandbox.faults import Faults, InvalidFaultError, read_fault
from sandbox.going_wrong import answered
from sandbox.plain.rows import Rows, UnknownSetError
from sandbox.plain.service import Service
from sandbox.plain.tables import SETS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PREFIX = "/_plain"


class PlainApplication:
    """Hands each request to the service or to the calls of tests."""

    def __init__(self, rows: Rows, *, root: str) -> None:
        self._rows = rows
        self._service = Service(rows, root=root)
        self._faults = Faults()

    def stop(self) -> None:
        """Nothing goes on beside requests."""

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request(environ)
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.path == "/healthz":
            return Response("ok\n", mimetype="text/plain")
        if request.path.startswith(PREFIX):
            return self._control(request)
        place = request.full_path.rstrip("?")
        fault = self._faults.take(request.method, place, request.get_data())
        if fault is None:
            return self._answer(request)
        return answered(request, fault, self._answer)

    def _answer(self, request: Request) -> Response:
        target = f"{request.path}?{request.query_string.decode()}"
        headers = dict(request.headers)
        if request.method == "GET":
            answer = self._service.get(target, headers=headers)
        else:
            answer = self._service.write(
                request.method, target, headers=headers, body=request.get_data()
            )
        return Response(answer.body, status=answer.status, headers=dict(answer.headers))

    def _control(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json({"error": "Send Authorization: Bearer sandbox."}, 401)
        name = request.path.removeprefix(PREFIX).strip("/")
        try:
            return self._carry_out(request.method, name, request)
        except (KeyError, UnknownSetError, InvalidFaultError) as error:
            return _json({"error": str(error)}, 400)

    def _carry_out(self, method: str, name: str, request: Request) -> Response:
        match method, name:
            case "GET", "":
                return _json({one: len(self._rows.all(one)) for one in SETS}, 200)
            case "POST", "put":
                return self._put(_body(request))
            case "POST", "delete":
                body = _body(request)
                gone = sum(self._rows.delete(body["set"], row) for row in body["rows"])
                return _json({"deleted": gone}, 200)
            case "POST", "faults":
                self._faults.add(read_fault(_body(request)))
            case "DELETE", "faults":
                self._faults.clear()
            case "GET", "faults":
                waiting = [asdict(fault) for fault in self._faults.waiting()]
                return _json({"faults": waiting}, 200)
            case _:
                return _json({"error": f"There is no {method} of '{name}'."}, 404)
        return _json({}, 200)

    def _put(self, body: Mapping[str, Any]) -> Response:
        keeps_time = bool(body.get("keeps_time"))
        for row in body["rows"]:
            self._rows.put(body["set"], row, keeps_time=keeps_time)
        return _json({"written": len(body["rows"])}, 200)


def _body(request: Request) -> dict[str, Any]:
    """:raises InvalidFaultError: the body is no JSON object."""
    try:
        return msgspec.json.decode(request.get_data(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidFaultError(str(error)) from error


def _json(document: Mapping[str, Any], status: int) -> Response:
    return Response(
        msgspec.json.encode(document), status=status, mimetype="application/json"
    )
