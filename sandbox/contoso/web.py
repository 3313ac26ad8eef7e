"""The organization's Web API at `/api/data/v9.2`: who calls, and what answers.

Callers are application users and people alike. A person's token is good for
what the person's roles allow; change tracking needs Organization depth. There
is no impersonation and no `$batch`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from sandbox.contoso import csdl, metadata, security
from sandbox.contoso.errors import (
    NOT_IMPLEMENTED,
    USER_UNKNOWN,
    WebApiError,
    no_such_resource,
    no_such_row,
)
from sandbox.contoso.people import ORGANIZATION_ID, TENANT_ID
from sandbox.contoso.reading import Reading
from sandbox.contoso.requests import (
    PREFIX,
    Call,
    error_response,
    finished,
    json_response,
    split_key,
)
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.security import Caller
from sandbox.contoso.store import Row, Store, find, rows_where
from sandbox.contoso.writes import Edit
from sandbox.contoso.writing import Writing

# How many requests at once a client may usefully make.
DEGREE_OF_PARALLELISM = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a valid token says: a person by object id, or an application."""

    object_id: str
    application_id: str | None


# Returns None when the request has no token that is good for the audience.
Authenticator = Callable[[Request], Identity | None]


class WebApi:
    def __init__(self, store: Store, *, authenticate: Authenticator) -> None:
        self._store = store
        self._authenticate = authenticate

    def __call__(self, request: Request, *, root: str) -> Response:
        try:
            response = self._answer(request, root=root)
        except WebApiError as error:
            response = error_response(error)
        return finished(response, request)

    def _answer(self, request: Request, *, root: str) -> Response:
        identity = self._authenticate(request)
        if identity is None:
            return _challenge(root)
        if request.method in {"GET", "HEAD"}:
            with self._store.read() as connection:
                call = Call(request, root, self._caller(connection, identity))
                return self._read(call, connection)
        with self._store.write() as connection:
            call = Call(request, root, self._caller(connection, identity))
            return self._write(call, connection)

    def _caller(self, connection: sqlite3.Connection, identity: Identity) -> Caller:
        user = self._user(connection, identity)
        if user is None:
            raise WebApiError(
                403, USER_UNKNOWN, "The user is not a member of the organization."
            )
        return security.caller_of(user)

    def _user(self, connection: sqlite3.Connection, identity: Identity) -> Row | None:
        column, value = "azureactivedirectoryobjectid", identity.object_id
        if identity.application_id is not None:
            column, value = "applicationid", identity.application_id
        table = self._store.schema.tables["systemuser"]
        found = rows_where(connection, table, **{column: value})
        return found[0] if found else None

    def _reading(self, call: Call, connection: sqlite3.Connection) -> Reading:
        version = self._store.schema.version
        return Reading(call, connection, self._store.clock(), version)

    def _read(self, call: Call, connection: sqlite3.Connection) -> Response:
        schema, head = self._store.schema, call.segments[0]
        if head == "":
            return _service_document(schema, call)
        if head == "$metadata":
            return _csdl(schema, call)
        if head in {"WhoAmI", "WhoAmI()"}:
            return _who_am_i(call)
        if head.startswith("EntityDefinitions"):
            context = f"{call.base}/$metadata"
            return json_response(
                metadata.answer(
                    schema, call.segments, options=call.options, context=context
                )
            )
        return self._read_rows(call, connection)

    def _read_rows(self, call: Call, connection: sqlite3.Connection) -> Response:
        reading = self._reading(call, connection)
        head, below = call.segments[0], call.segments[1:]
        keyed = split_key(head)
        table = self._table(keyed[0] if keyed else head)
        if keyed is not None and not below:
            row = find(connection, table, keyed[1])
            if row is None:
                raise no_such_row(table.name, keyed[1])
            return reading.row(table, row)
        if keyed is None and not below:
            return reading.collection(table)
        if keyed is None and below == ["$count"]:
            return reading.count(table)
        raise no_such_resource(below[0])

    def _write(self, call: Call, connection: sqlite3.Connection) -> Response:
        if call.segments[0] == "$batch":
            raise WebApiError(501, NOT_IMPLEMENTED, "$batch is not implemented.")
        store = self._store
        edit = Edit(connection, store.schema, store.clock(), call.caller.id)
        writing = Writing(call, edit, self._reading(call, connection))
        keyed = split_key(call.segments[0])
        method, below = call.request.method, call.segments[1:]
        if keyed is None:
            table = self._table(call.segments[0])
            if method == "POST" and not below:
                return writing.create(table)
            raise _wrong_method(method)
        table, row_id = self._table(keyed[0]), keyed[1]
        if len(below) == 2 and below[1] == "$ref":
            return writing.reference(table, row_id, below[0])
        if not below and method in {"PATCH", "DELETE"}:
            act = writing.update if method == "PATCH" else writing.delete
            return act(table, row_id)
        raise no_such_resource(below[0]) if below else _wrong_method(method)

    def _table(self, entity_set: str) -> Table:
        table = self._store.schema.by_set.get(entity_set)
        if table is None:
            raise no_such_resource(entity_set)
        return table


def _challenge(root: str) -> Response:
    challenge = (
        f"Bearer authorization_uri={root}/{TENANT_ID}/oauth2/authorize,"
        f" resource_id={root}/"
    )
    response = Response(status=401)
    response.headers["WWW-Authenticate"] = challenge
    return response


def _service_document(schema: Schema, call: Call) -> Response:
    sets = [
        {"name": name, "kind": "EntitySet", "url": name}
        for name in sorted(schema.by_set)
    ]
    return json_response({"@odata.context": f"{call.base}/$metadata", "value": sets})


def _csdl(schema: Schema, call: Call) -> Response:
    annotated = call.request.args.get("annotations") == "true" or bool(
        call.preferences.annotations
    )
    body = csdl.document(schema, with_annotations=annotated)
    return Response(body, content_type="application/xml")


def _who_am_i(call: Call) -> Response:
    name = "Microsoft.Dynamics.CRM.WhoAmIResponse"
    return json_response(
        {
            "@odata.context": f"{call.base}/$metadata#{name}",
            "BusinessUnitId": call.caller.unit,
            "UserId": call.caller.id,
            "OrganizationId": ORGANIZATION_ID,
        },
        headers={"x-ms-dop-hint": str(DEGREE_OF_PARALLELISM)},
    )


def _wrong_method(method: str) -> WebApiError:
    return WebApiError(
        405, NOT_IMPLEMENTED, f"The method {method} is not allowed here."
    )


__all__ = ["PREFIX", "Authenticator", "Identity", "WebApi"]
