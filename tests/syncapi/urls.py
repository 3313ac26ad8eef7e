"""The addresses of devices with a scripted engine behind them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from syncapi.device_urls import device_urls
from tests.syncapi.engines import ScriptedEngine

engine = ScriptedEngine()

urlpatterns = [
    path("admin/", admin.site.urls),
    *device_urls(engine),
    path("admin-api/v1/", include("syncapi.admin_api.urls")),
]
