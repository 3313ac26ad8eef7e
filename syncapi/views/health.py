"""Tell a load balancer whether the process lives and may take traffic."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

from project.errors import TransientError
from syncapi.views.answers import insist_on_method, json_answer


class DrainingError(TransientError):
    """The operator is taking this process out of the load balancer."""

    code = "unavailable"


def healthz(request: HttpRequest) -> HttpResponse:
    insist_on_method(request, "GET", "HEAD")
    return json_answer({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    insist_on_method(request, "GET", "HEAD")
    if is_draining(getattr(settings, "DRAIN_FILE", None)):
        raise DrainingError("The process drains.", retry_after=timedelta(seconds=5))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return json_answer({"status": "ready"})


def is_draining(drain_file: str | Path | None) -> bool:
    """While the file exists, no new traffic is wanted."""
    return drain_file is not None and Path(drain_file).exists()
