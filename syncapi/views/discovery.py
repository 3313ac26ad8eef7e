"""Tell a client where its organization is served, and where to sign in."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from syncapi.parsing import parameters_of
from syncapi.services import directory
from syncapi.views.answers import insist_on_method, json_answer

MAX_AGE_SECONDS = 300
PROTOCOLS = ("1",)


def discovery(request: HttpRequest, org: str) -> HttpResponse:
    insist_on_method(request, "GET", "HEAD")
    parameters_of(request.META["QUERY_STRING"], allowed=frozenset())

    facts = directory.organization_named(org)

    response = json_answer(
        {
            "organization": facts.unique_name,
            "endpoint": settings.PUBLIC_URL,
            "authority": facts.authority,
            "audience": facts.audience,
            "protocols": PROTOCOLS,
            "state": facts.state,
        }
    )
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    return response
