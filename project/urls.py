"""Put the Django admin beside the HTTP contract with devices and services."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/language/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("", include("syncapi.urls")),
]
