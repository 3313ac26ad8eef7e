"""The organization's Web API at `/api/data/v9.2`: who calls, and what answers.

Callers are application users and people alike. A person's token is good for
what the person's roles allow; change tracking needs Organization depth. Whoever
may act on behalf of others can name one by `CallerObjectId` (the Entra object)
or `MSCRMCallerID` (the systemuser), and then may do what both may.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response

from sandbox.contoso import csdl, messages, metadata, metadata_writes, security
from sandbox.contoso.addresses import find_by, read_key, split_key
from sandbox.contoso.batch import answer_batch
from sandbox.contoso.errors import (
    NOT_IMPLEMENTED,
    USER_UNKNOWN,
    WebApiError,
    no_such_resource,
    no_such_row,
)
from sandbox.contoso.limits import Gate, Limits
from sandbox.contoso.people import TENANT_ID
from sandbox.contoso.preferences import read_preferences
from sandbox.contoso.reading import Reading
from sandbox.contoso.requests import (
    PREFIX,
    Call,
    error_response,
    finished,
    json_response,
)
from sandbox.contoso.schema import Schema, Table
from sandbox.contoso.security import Caller
from sandbox.contoso.settings import limits_of
from sandbox.contoso.store import Row, Store, rows_where
from sandbox.contoso.values import BIND
from sandbox.contoso.writes import Edit
from sandbox.contoso.writing import Writing


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
        self.gate = Gate()

    def __call__(self, request: Request, *, root: str) -> Response:
        try:
            response = self._answer(request, root=root)
        except WebApiError as error:
            header = ",".join(request.headers.getlist("Prefer"))
            wants_details = "*" in read_preferences(header).annotations
            response = error_response(error, details=wants_details)
        return finished(response, request)

    def _answer(self, request: Request, *, root: str) -> Response:
        identity = self._authenticate(request)
        if identity is None:
            return _challenge(root)
        limits = self._limits()
        with self.gate.turn(identity.object_id, limits):
            if request.path == f"{PREFIX}/$batch":
                response = answer_batch(
                    request,
                    store=self._store,
                    answer=lambda inner, connection, references: self._one(
                        inner,
                        _Circumstances(identity, root, connection, references),
                    ),
                )
            else:
                response = self._one(request, _Circumstances(identity, root))
        left = self.gate.remaining(identity.object_id, limits)
        if left.requests is not None:
            response.headers[_REQUESTS_LEFT] = str(left.requests)
        if left.seconds is not None:
            response.headers[_TIME_LEFT] = f"{left.seconds:.2f}"
        return response

    def _limits(self) -> Limits:
        with self._store.read() as connection:
            return limits_of(connection)

    def _one(self, request: Request, circumstances: _Circumstances) -> Response:
        """Answer one request, alone or as a part of a batch."""
        connection = circumstances.connection
        if connection is not None:
            return self._write(
                self._call(request, circumstances, connection), connection
            )
        if request.method in {"GET", "HEAD"}:
            with self._store.read() as connection:
                call = self._call(request, circumstances, connection)
                return self._read(call, connection)
        with self._store.write() as connection:
            call = self._call(request, circumstances, connection)
            return self._write(call, connection)

    def _call(
        self,
        request: Request,
        circumstances: _Circumstances,
        connection: sqlite3.Connection,
    ) -> Call:
        caller = self._caller(connection, request, circumstances.identity)
        return Call(request, circumstances.root, caller, circumstances.references)

    def _caller(
        self, connection: sqlite3.Connection, request: Request, identity: Identity
    ) -> Caller:
        if identity.application_id is None:
            by = {"azureactivedirectoryobjectid": identity.object_id}
        else:
            by = {"applicationid": identity.application_id}
        caller = security.caller_of(self._user(connection, by))
        for header, column in (
            ("CallerObjectId", "azureactivedirectoryobjectid"),
            ("MSCRMCallerID", "id"),
        ):
            other_id = request.headers.get(header)
            if other_id is not None:
                user = self._user(connection, {column: other_id.strip("{}").lower()})
                if user["systemuserid"] != caller.id:
                    return security.on_behalf(connection, caller, user)
        return caller

    def _user(self, connection: sqlite3.Connection, by: Mapping[str, str]) -> Row:
        table = self._store.schema.tables["systemuser"]
        found = rows_where(connection, table, **by)
        if not found:
            raise WebApiError(
                403, USER_UNKNOWN, "The user is not a member of the organization."
            )
        return found[0]

    def _reading(self, call: Call, connection: sqlite3.Connection) -> Reading:
        return Reading(call, connection, self._store.clock(), self._store.schema)

    def _read(self, call: Call, connection: sqlite3.Connection) -> Response:
        schema, head = self._store.schema, call.segments[0]
        if head == "":
            return _service_document(schema, call)
        if head == "$metadata":
            return _csdl(schema, call)
        if head.startswith(metadata.HEADS):
            context = f"{call.base}/$metadata"
            return json_response(
                metadata.answer(
                    schema, call.segments, options=call.options, context=context
                )
            )
        function = messages.function_named(call.segments[-1])
        if function is not None:
            return function(messages.Asked(call, connection, schema))
        return self._read_rows(call, connection)

    def _read_rows(self, call: Call, connection: sqlite3.Connection) -> Response:
        reading = self._reading(call, connection)
        head, below = call.segments[0], call.segments[1:]
        keyed = split_key(head)
        table = self._table(keyed[0] if keyed else head)
        if keyed is not None:
            key = read_key(table, keyed[1])
            row = find_by(connection, table, key)
            if row is None:
                raise no_such_row(table.name, key.text)
            return (
                reading.below(table, row, below) if below else reading.row(table, row)
            )
        if not below:
            return reading.collection(table)
        if below == ["$count"]:
            return reading.count(table)
        raise no_such_resource(below[0])

    def _write(self, call: Call, connection: sqlite3.Connection) -> Response:
        store = self._store
        head, below = call.segments[0], call.segments[1:]
        if head.startswith((*metadata.HEADS, "CreateEntities")):
            return metadata_writes.answer(call, store, connection)
        sponsor = call.caller.sponsor
        edit = Edit(
            connection,
            store.schema,
            store.clock(),
            call.caller.id,
            behalf=None if sponsor is None else sponsor.id,
            references=call.references,
        )
        writing = Writing(call, edit, self._reading(call, connection))
        action = messages.action_named(call.segments[-1])
        if action is not None and call.request.method == "POST":
            return action(messages.Told(call, writing))
        keyed = split_key(head)
        if keyed is None:
            table = self._table(head)
            if call.request.method == "POST" and not below:
                return writing.create(table, call.body())
            raise _wrong_method(call.request.method)
        return self._write_row(call, writing, self._table(keyed[0]), keyed[1])

    def _write_row(
        self, call: Call, writing: Writing, table: Table, key_text: str
    ) -> Response:
        key, below = read_key(table, key_text), call.segments[1:]
        method = call.request.method
        if len(below) == 2 and below[1] == "$ref":
            return writing.reference(table, key, below[0])
        if len(below) == 1:
            if method == "PATCH":
                return writing.set_file(table, key, below[0])
            if method in {"PUT", "DELETE"}:
                return writing.set_property(table, key, below[0])
            return self._create_below(call, writing, table, below[0])
        if not below and method == "PATCH":
            return writing.update(table, key, call.body())
        if not below and method == "DELETE":
            return writing.delete(table, key)
        raise no_such_resource(below[0]) if below else _wrong_method(method)

    def _create_below(
        self, call: Call, writing: Writing, table: Table, name: str
    ) -> Response:
        """POST to a collection of a row: a create that refers to the row."""
        found = self._store.schema.collections.get((table.name, name))
        if found is None or call.request.method != "POST":
            raise no_such_resource(name)
        source, column = found
        way = next(n for n in column.navigations if n.relationship == name)
        bound = {f"{way.name}{BIND}": call.segments[0]}
        return writing.create(source, {**call.body(), **bound})

    def _table(self, entity_set: str) -> Table:
        table = self._store.schema.by_set.get(entity_set)
        if table is None:
            raise no_such_resource(entity_set)
        return table


_REQUESTS_LEFT = "x-ms-ratelimit-burst-remaining-xrm-requests"
_TIME_LEFT = "x-ms-ratelimit-time-remaining-xrm-requests"


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """Who asks, at which address, and within which change set."""

    identity: Identity
    root: str
    connection: sqlite3.Connection | None = None
    references: Mapping[str, str] = field(default_factory=dict)


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


def _wrong_method(method: str) -> WebApiError:
    return WebApiError(
        405, NOT_IMPLEMENTED, f"The method {method} is not allowed here."
    )


__all__ = ["PREFIX", "Authenticator", "Identity", "WebApi"]
