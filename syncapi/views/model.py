"""Tell a client which tables and columns its user may take along (PROTOCOL §5)."""

from __future__ import annotations

import hashlib

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

from syncapi.callers import Caller, served_caller_of, user_of
from syncapi.compression import IDENTITY, chosen_coding, coded
from syncapi.engine import Engine
from syncapi.parsing import parameters_of
from syncapi.views.answers import insist_on_method

ETAG_LENGTH = 32


def model(request: HttpRequest, org: str, *, engine: Engine) -> HttpResponse:
    insist_on_method(request, "GET", "HEAD")
    caller = served_caller_of(request.headers.get("Authorization"), organization=org)
    parameters_of(request.META["QUERY_STRING"], allowed=frozenset())

    content = _document(engine, caller)

    etag = f'W/"{hashlib.sha256(content).hexdigest()[:ETAG_LENGTH]}"'
    if is_known(etag, if_none_match=request.headers.get("If-None-Match", "")):
        return _labelled(HttpResponseNotModified(), etag=etag)
    coding = chosen_coding(request.headers.get("Accept-Encoding", ""))
    response = HttpResponse(
        coded(content, coding=coding), content_type="application/json"
    )
    if coding != IDENTITY:
        response.headers["Content-Encoding"] = coding
    return _labelled(response, etag=etag)


def is_known(etag: str, *, if_none_match: str) -> bool:
    """Compare weakly, as RFC 9110 §13.1.2 asks."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag.removeprefix("W/") in known or known == ["*"]


def _document(engine: Engine, caller: Caller) -> bytes:
    user = user_of(caller, engine=engine)
    client_model = engine.client_model(caller.organization.id, user_id=user.id)
    return msgspec.json.encode(client_model.document)


def _labelled(response: HttpResponse, *, etag: str) -> HttpResponse:
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Accept-Encoding, Authorization"
    response.headers["Cache-Control"] = "private, no-cache"
    return response
