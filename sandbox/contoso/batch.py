"""Carry out a `$batch`: requests in order, change sets all or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

from werkzeug.wrappers import Request, Response

from sandbox.contoso.errors import WebApiError, bad_payload
from sandbox.contoso.multipart import ChangeSet, Part, Reply, read_batch, write_batch
from sandbox.contoso.requests import PREFIX, error_response
from sandbox.contoso.store import Store

# Headers of the batch that hold for all of its parts. A part that names somebody else
# to impersonate is carried out all the same, as if it had not.
_INHERITED = ("HTTP_AUTHORIZATION", "HTTP_CALLEROBJECTID", "HTTP_MSCRMCALLERID")

# Answers one request, within a transaction when a connection is given; the
# mapping leads from Content-ID to row.
Answer = Callable[[Request, sqlite3.Connection | None, Mapping[str, str]], Response]


class _UndoneError(Exception):
    """A part of a change set failed, and with it the others."""

    def __init__(self, error: WebApiError, content_id: str | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.content_id = content_id


def answer_batch(request: Request, *, store: Store, answer: Answer) -> Response:
    """:raises WebApiError: the batch cannot be read; 400."""
    if request.method != "POST":
        raise WebApiError(405, "0x80060888", "A batch is posted.")
    parts = read_batch(request.headers.get("Content-Type", ""), request.get_data())
    goes_on = "continue-on-error" in ",".join(request.headers.getlist("Prefer"))
    replies: list[Reply | list[Reply]] = []
    status = 200
    for part in parts:
        try:
            if isinstance(part, ChangeSet):
                replies.append(_change_set(request, part, store=store, answer=answer))
            else:
                made = _request(request, part, references={})
                replies.append(_reply(part, answer(made, None, {})))
        except _UndoneError as undone:
            replies.append([_refusal(undone.error, content_id=undone.content_id)])
            if not goes_on:
                status = 400
                break
        except WebApiError as error:
            content_id = None if isinstance(part, ChangeSet) else part.content_id
            replies.append(_refusal(error, content_id=content_id))
            if not goes_on:
                status = 400
                break
    content_type, body = write_batch(replies)
    return Response(body, status=status, content_type=content_type)


def _change_set(
    request: Request, changes: ChangeSet, *, store: Store, answer: Answer
) -> list[Reply]:
    """Do all of it in one transaction; an error undoes what came before."""
    references: dict[str, str] = {}
    replies = []
    with store.write() as connection:
        for part in changes.parts:
            made = _request(request, part, references=references)
            try:
                response = answer(made, connection, references)
            except WebApiError as error:
                raise _UndoneError(error, part.content_id) from error
            replies.append(_reply(part, response))
            if part.content_id is not None:
                references[f"${part.content_id}"] = _row_of(made, response)
    return replies


def _row_of(request: Request, response: Response) -> str:
    address = response.headers.get("OData-EntityId") or request.path
    return urlsplit(address).path.rpartition(f"{PREFIX}/")[2]


def _request(outer: Request, part: Part, *, references: Mapping[str, str]) -> Request:
    path, _, query = _below_root(part.target).partition("?")
    if path.startswith("$") and path.partition("/")[0] not in {
        "$metadata",
        *references,
    }:
        raise bad_payload(f"'{path}' refers to no request of its change set.")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": part.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(f"{PREFIX}/{path}", "latin-1"),
        "QUERY_STRING": query.replace(" ", "%20"),
        "CONTENT_TYPE": part.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(part.body)),
        "wsgi.input": BytesIO(part.body),
    }
    for name in (
        "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTP_HOST", "REMOTE_ADDR",
        "wsgi.version", "wsgi.url_scheme", "wsgi.errors", "wsgi.multithread",
        "wsgi.multiprocess", "wsgi.run_once", *_INHERITED,
    ):  # fmt: skip
        if name in outer.environ:
            environ[name] = outer.environ[name]
    for header, value in part.headers.items():
        name = f"HTTP_{header.upper().replace('-', '_')}"
        if header not in {"content-type", "content-length"} and name not in _INHERITED:
            environ[name] = value
    return Request(environ)


def _below_root(target: str) -> str:
    """Return what follows the address of the Web API, absolute or not."""
    if target.startswith(("http:", "https:")):
        parts = urlsplit(target)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
    return target.removeprefix(PREFIX).lstrip("/")


def _reply(part: Part, response: Response) -> Reply:
    headers = [
        (name, value)
        for name, value in response.headers
        if name.lower() not in {"content-length", "date", "server"}
    ]
    return Reply(
        status=response.status.title(),
        headers=[*headers, ("OData-Version", "4.0")],
        body=response.get_data(),
        content_id=part.content_id,
    )


def _refusal(error: WebApiError, *, content_id: str | None) -> Reply:
    response = error_response(error)
    return Reply(
        status=response.status,
        headers=[*response.headers.items(), ("OData-Version", "4.0")],
        body=response.get_data(),
        content_id=content_id,
    )
