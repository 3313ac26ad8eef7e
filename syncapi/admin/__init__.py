"""The operators' pages: the fleet, an organization, its devices."""

from __future__ import annotations

from django.contrib import admin

from syncapi.admin import devices, organizations

__all__ = ["devices", "organizations"]

admin.site.index_template = "waystation/fleet.html"
