"""The addresses of devices, each with its view and the engine behind it."""

from __future__ import annotations

from django.urls import URLPattern, path

from syncapi.engine import Engine
from syncapi.views.changes import changes
from syncapi.views.devices import device, status
from syncapi.views.discovery import discovery
from syncapi.views.files import file
from syncapi.views.health import healthz, readyz
from syncapi.views.model import model
from syncapi.views.mutations import mutations
from syncapi.views.wait import wait


def device_urls(engine: Engine) -> list[URLPattern]:
    with_engine = {"engine": engine}
    return [
        path("sync/v1/orgs/<str:org>/changes", changes, with_engine),
        path("sync/v1/orgs/<str:org>/model", model, with_engine),
        path("sync/v1/orgs/<str:org>/mutations", mutations, with_engine),
        # Keys that are texts may have slashes.
        path(
            "sync/v1/orgs/<str:org>/files/<str:table>/<path:key>/<str:column>",
            file,
            with_engine,
        ),
        path("sync/v1/orgs/<str:org>/wait", wait, with_engine),
        path("sync/v1/orgs/<str:org>/devices/<str:device>", device, with_engine),
        path("sync/v1/orgs/<str:org>/devices/<str:device>/status", status),
        path("discovery/v1/orgs/<str:org>", discovery),
        path("healthz", healthz),
        path("readyz", readyz),
    ]
