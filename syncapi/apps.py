"""Names the app for Django and its admin."""

from __future__ import annotations

from django.apps import AppConfig


class SyncapiConfig(AppConfig):
    name = "syncapi"
    verbose_name = "Sync API"
