"""A request to the Web API: its path, options and preferences, and the answer's form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
from werkzeug.wrappers import Request, Response

from sandbox.contoso.addresses import dereferenced, split_path
from sandbox.contoso.errors import WebApiError, bad_payload, bad_query
from sandbox.contoso.preferences import Preferences, read_preferences
from sandbox.contoso.security import Caller
from sandbox.contoso.store import Row, decode, encode

PREFIX = "/api/data/v9.2"
_DETAILS = "@Microsoft.PowerApps.CDS"

_KNOWN_OPTIONS = frozenset(
    {
        "$select",
        "$filter",
        "$orderby",
        "$top",
        "$count",
        "$expand",
        "$skiptoken",
        "$deltatoken",
    }
)


@dataclass(frozen=True)
class Call:
    """One request by one caller; `root` is the address of the organization."""

    request: Request
    root: str
    caller: Caller
    # In a change set: Content-ID to the row made by that request.
    references: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def base(self) -> str:
        return self.root + PREFIX

    @cached_property
    def segments(self) -> Sequence[str]:
        path = self.request.path.removeprefix(PREFIX).strip("/")
        return dereferenced(split_path(path), self.references)

    @cached_property
    def options(self) -> Mapping[str, str]:
        return dict(self.request.args)

    @cached_property
    def preferences(self) -> Preferences:
        return read_preferences(",".join(self.request.headers.getlist("Prefer")))

    def insist_on_known_options(self) -> None:
        """:raises WebApiError: an option that the sandbox does not have; 400."""
        for name in self.options:
            if name == "$skip":
                raise bad_query("Skip Clause is not supported in CRM")
            if name.startswith("$") and name not in _KNOWN_OPTIONS:
                raise bad_query(f"The query parameter {name} is not supported.")

    def body(self) -> Row:
        """:raises WebApiError: not a JSON object; 400."""
        try:
            return decode(self.request.get_data())
        except msgspec.DecodeError:
            raise bad_payload("The request body is not a JSON object.") from None


def json_response(
    content: Mapping[str, object] | bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = content if isinstance(content, bytes) else encode(content)
    return Response(
        body,
        status=status,
        headers=dict(headers or {}),
        content_type="application/json; odata.metadata=minimal",
    )


def no_content(**headers: str) -> Response:
    """Answer 204; words of the headers' names are joined by hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Response(status=204, headers=named)
    # Clients take an answer with a type for one with a body.
    del response.headers["Content-Type"]
    return response


def error_response(error: WebApiError, *, details: bool = False) -> Response:
    """Answer with an error; `details` are those that annotations ask for."""
    inner: dict[str, object] = {"code": error.code, "message": error.message}
    if details:
        help_link = f"http://go.microsoft.com/fwlink/?LinkID=398563&error={error.code}"
        inner |= {
            f"{_DETAILS}.ErrorDetails.OperationStatus": "0",
            f"{_DETAILS}.HelpLink": help_link,
            f"{_DETAILS}.InnerError.Message": error.message,
        }
    content = {"error": inner}
    return json_response(content, status=error.status, headers=error.headers)


def finished(response: Response, request: Request) -> Response:
    """Add the headers that every answer has."""
    number = str(uuid.uuid4())
    response.headers["OData-Version"] = "4.0"
    response.headers["x-ms-service-request-id"] = number
    response.headers["REQ_ID"] = number
    client_id = request.headers.get("x-ms-client-request-id")
    if client_id is not None:
        response.headers["x-ms-client-request-id"] = client_id
    return response
