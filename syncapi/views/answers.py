"""The forms that answers to devices have in common."""

from __future__ import annotations

import msgspec
from django.http import HttpRequest, HttpResponse

from syncapi.errors import MethodNotAllowedError


def insist_on_method(request: HttpRequest, *allowed: str) -> None:
    """:raises MethodNotAllowedError: the address does not take it."""
    if request.method not in allowed:
        raise MethodNotAllowedError(*allowed)


def json_answer(document: object, *, status: int = 200) -> HttpResponse:
    return private(
        HttpResponse(
            msgspec.json.encode(document),
            status=status,
            content_type="application/json",
        )
    )


def no_content() -> HttpResponse:
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    return private(response)


def private(response: HttpResponse) -> HttpResponse:
    """Nothing that was made for one person may be kept for another."""
    response.headers["Cache-Control"] = "no-store"
    return response
