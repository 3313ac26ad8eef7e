"""What was asked and done: events, the audit trail, and where databases are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from provisioning.admin.reading import ReadOnly
from provisioning.models import (
    AuditEntry,
    DatabaseServer,
    Organization,
    ProvisioningEvent,
)
from provisioning.templatetags.waystation import facts, state_badge


@admin.register(ProvisioningEvent)
class ProvisioningEventAdmin(ReadOnly):
    list_display = [
        "type",
        "organization_name",
        "occurred_at",
        "received_at",
        "standing",
        "handled_at",
        "reason",
    ]
    list_filter = ["state", "type"]
    search_fields = ["id", "organization_id"]
    exclude = ["credential_sealed", "fingerprint"]
    ordering = ["-received_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProvisioningEvent]:
        events: QuerySet[ProvisioningEvent] = super().get_queryset(request)
        named = Organization.objects.filter(pk=OuterRef("organization_id"))
        return events.annotate(name=Subquery(named.values("unique_name")[:1]))

    @admin.display(description=_("organization"))
    def organization_name(self, event: Any) -> str:
        return str(event.name or event.organization_id)

    @admin.display(description=_("state"), ordering="state")
    def standing(self, event: ProvisioningEvent) -> SafeString:
        return state_badge(event)


@admin.register(DatabaseServer)
class DatabaseServerAdmin(ReadOnly):
    list_display = ["name", "accepts_organizations", "created_at"]
    list_filter = ["accepts_organizations"]
    exclude = ["admin_url_sealed"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "actor", "verb", "organization", "about"]
    list_filter = ["verb"]
    list_select_related = ["organization"]
    search_fields = ["actor", "organization__unique_name"]
    date_hierarchy = "at"
    ordering = ["-at", "-id"]

    @admin.display(description=_("detail"))
    def about(self, entry: AuditEntry) -> str:
        return facts(entry.detail)
