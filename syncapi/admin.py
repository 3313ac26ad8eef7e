"""Devices in the Django admin: who syncs, how it fares, and the operator's verbs."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from syncapi.models import Device
from syncapi.services import devices


@admin.register(Device)
class DeviceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not at run time
    list_display = (
        "organization",
        "user_name",
        "name",
        "platform",
        "app_version",
        "state",
        "wipe_ordered",
        "last_seen_at",
        "last_completed_at",
        "pending_mutations",
        "last_error",
    )
    list_display_links = ("user_name", "name")
    list_filter = ("state", "wipe_ordered", "platform", "organization")
    list_select_related = ("organization",)
    search_fields = ("=device_id", "=user_id", "user_name", "name")
    ordering = ("-last_seen_at",)
    show_full_result_count = False
    actions = ("revoke", "order_wipe", "restore")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Device | None = None
    ) -> bool:
        return False

    def get_readonly_fields(
        self, request: HttpRequest, obj: Device | None = None
    ) -> list[str]:
        return [field.name for field in Device._meta.fields]

    @admin.action(description=_("Revoke: refuse from now on"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._decide(request, queryset, devices.revoke)

    @admin.action(
        description=_("Wipe: revoke, and order the data deleted"),
        permissions=["change"],
    )
    def order_wipe(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._decide(request, queryset, devices.order_wipe)

    @admin.action(description=_("Restore: may register again"), permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._decide(request, queryset, devices.restore)

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[Device],
        verb: Callable[..., None],
    ) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        for pk in chosen:
            verb(pk, actor=request.user.get_username())
        told = ngettext("%d device changed.", "%d devices changed.", len(chosen))
        messages.success(request, told % len(chosen))
