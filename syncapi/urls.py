"""The HTTP contract with devices and services."""

from __future__ import annotations

from django.urls import include, path

from replication.services import serving
from syncapi.device_urls import device_urls

urlpatterns = [
    *device_urls(serving),
    path("admin-api/v1/", include("syncapi.admin_api.urls")),
]
