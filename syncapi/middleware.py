"""What stands in front of every answer: its id, its errors, and the short way.

`api_answers` comes first in `MIDDLEWARE`, `device_endpoints` second. A request of a
device is answered there: no session, cookie, CSRF or redirect has anything to do
with it, and a poll must not pay for them.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, resolve

from project.errors import SyncError
from syncapi import errors
from syncapi.errors import Problem

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

REQUEST_ID = "X-Request-Id"
DEVICE_PATHS = ("/sync/", "/discovery/", "/healthz", "/readyz")
API_PATHS = (*DEVICE_PATHS, "/admin-api/")

_REQUEST_ID_VARIABLE = "HTTP_X_REQUEST_ID"
_RESOLVED_PATHS = 2_000
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{8,64}", re.ASCII)


def api_answers(get_response: GetResponse) -> GetResponse:
    """Give every answer its id, and every failure of the API the form of a problem."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        request_id = _request_id(request)
        request.META["waystation.request_id"] = request_id
        response = get_response(request)
        if request.path_info.startswith(API_PATHS):
            response = _as_problem(response)
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers[REQUEST_ID] = request_id
        return response

    return answer


def device_endpoints(get_response: GetResponse) -> GetResponse:
    """Answer the requests of devices here, and pass all others on."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(DEVICE_PATHS):
            return get_response(request)
        return _answered(request)

    return answer


def request_id_of(request: HttpRequest) -> str:
    return str(request.META.get("waystation.request_id", ""))


def _answered(request: HttpRequest) -> HttpResponseBase:
    try:
        view, args, kwargs = _resolved(request.path_info, settings.ROOT_URLCONF)
        response: HttpResponseBase = view(request, *args, **kwargs)
    except SyncError as error:
        errors.log_refusal(error, request_id=request_id_of(request))
        return errors.answer_error(error)
    except Http404:
        return errors.answer(Problem("not_found"))
    except (OperationalError, InterfaceError):
        extra = {"request_id": request_id_of(request)}
        logger.exception("The catalog is unavailable", extra=extra)
        return errors.answer(Problem("unavailable", headers={"Retry-After": "5"}))
    return response


@lru_cache(maxsize=_RESOLVED_PATHS)
def _resolved(path: str, urlconf: str) -> ResolverMatch:
    """Devices ask for the same few addresses again and again."""
    return resolve(path, urlconf)


def _as_problem(response: HttpResponseBase) -> HttpResponseBase:
    """Replace an error page, of whatever origin, by a problem that tells no more."""
    is_problem = response.headers.get("Content-Type") == errors.CONTENT_TYPE
    if response.status_code < 400 or is_problem:
        return response
    return errors.answer(errors.problem_of_status(response.status_code))


def _request_id(request: HttpRequest) -> str:
    # Not `request.headers`, which would bring all headers into another form.
    given = request.META.get(_REQUEST_ID_VARIABLE, "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
