"""Profiles for operators: what is saved, what is published, and the verb *publish*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from project.errors import SyncError
from provisioning.models import AuditEntry
from replication.models import Profile
from replication.services.profiles import publish

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    # Generic for the type checker only.
    _ModelAdmin = admin.ModelAdmin


@admin.register(Profile)
class ProfileAdmin(_ModelAdmin):
    """Profiles are written through the admin API, which validates them."""

    list_display = ("name", "organization", "tables", "changed_at", "published_at")
    list_filter = ("organization",)
    list_select_related = ("organization",)
    search_fields = ("name", "organization__unique_name")
    readonly_fields = ("organization", "name", "document", "changed_at", "published_at")
    actions = ("publish_profiles",)

    @admin.display(description=_("tables"))
    def tables(self, profile: Profile) -> str:
        return ", ".join(item["table"] for item in profile.document["items"])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description=_("Publish the profiles of these organizations"))
    def publish_profiles(
        self, request: HttpRequest, profiles: QuerySet[Profile]
    ) -> None:
        for organization_id in profiles.values_list(
            "organization", flat=True
        ).distinct():
            try:
                publish(organization_id)
            except SyncError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            AuditEntry.objects.create(
                actor=request.user.get_username(),
                verb="publish",
                organization_id=organization_id,
            )
