"""What all views of the admin API have in common: strict, JSON only, problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, cast

import msgspec
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException, MethodNotAllowed, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from project.errors import SyncError
from syncapi import errors
from syncapi.admin_api.authentication import CHALLENGE, IsOperator, ServiceToken
from syncapi.errors import Problem
from syncapi.middleware import request_id_of
from syncapi.parsing import MalformedError, TooLargeError

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 16


class StrictJson(BaseParser):
    """Parses JSON of sane size and depth, without what PostgreSQL cannot store."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[Any, Any]:
        content = stream.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            raise TooLargeError(f"The body may have {MAX_BODY_BYTES} bytes.")
        # The framework says that it wants an object, and takes any JSON.
        return cast("dict[Any, Any]", strict_json(content))


def strict_json(content: bytes) -> object:
    """:raises MalformedError: it is no JSON, too deep, or contains NUL."""
    try:
        document: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(("body", "is not JSON in UTF-8")) from error
    _insist_on_sanity(document, depth=0)
    return document


def _insist_on_sanity(value: object, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise MalformedError(("body", f"is nested deeper than {MAX_DEPTH} levels"))
    if isinstance(value, str) and "\x00" in value:
        raise MalformedError(("body", "contains the character NUL"))
    if isinstance(value, dict):
        for name, member in value.items():
            _insist_on_sanity(name, depth=depth)
            _insist_on_sanity(member, depth=depth + 1)
    if isinstance(value, list):
        for member in value:
            _insist_on_sanity(member, depth=depth + 1)


class OnlyJson(BaseContentNegotiation):
    """Answers in JSON, whatever the client would rather have."""

    def select_parser(
        self, request: Request, parsers: Iterable[BaseParser]
    ) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or "application/json"


class OperatorView(APIView):
    """Lets operators and services in, and refuses in the form of PROTOCOL §1."""

    # The token comes first: its challenge is what a stranger is answered with.
    authentication_classes = [ServiceToken, SessionAuthentication]
    permission_classes = [IsOperator]
    parser_classes = [StrictJson]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = OnlyJson

    def get_exception_handler(self) -> Callable[..., Any]:
        return respond_to_error


def respond_to_error(
    error: Exception, context: Mapping[str, Any]
) -> HttpResponse | None:
    """Answer anticipated failures; leave defects to the framework."""
    if isinstance(error, SyncError):
        errors.log_refusal(error, request_id=request_id_of(context["request"]))
        return errors.answer_error(error)
    if isinstance(error, OperationalError | InterfaceError):
        return errors.answer(Problem("unavailable", headers={"Retry-After": "5"}))
    if isinstance(error, Http404):
        return errors.answer(Problem("not_found"))
    if isinstance(error, PermissionDenied):
        return errors.answer(Problem("forbidden"))
    if isinstance(error, APIException):
        return errors.answer(_problem_of_framework(error))
    return None


def _problem_of_framework(error: APIException) -> Problem:
    code = errors.problem_of_status(error.status_code).code
    headers = {}
    if code == "unauthenticated":
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = "GET, POST, PUT"
    detail = str(error.detail) if isinstance(error, ParseError) else ""
    return Problem(code, detail=detail, headers=headers)
