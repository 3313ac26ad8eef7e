"""Show operators where organizations stand, and let them act, verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext_lazy as _

from project.errors import RejectedError
from provisioning.models import (
    AuditEntry,
    DatabaseServer,
    Organization,
    ProvisioningEvent,
    WorkItem,
)
from provisioning.services import operate

_Verb = Callable[..., None]
_Action = Callable[[Any, HttpRequest, QuerySet[Any]], None]


if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    _ModelAdmin = admin.ModelAdmin[Any]
else:
    # Generic for the type checker only.
    _ModelAdmin = admin.ModelAdmin


class ReadOnly(_ModelAdmin):
    """Rows change through services only, so that every change is audited."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        # Actions need the permission; the form is kept closed by its fields.
        return super().has_change_permission(request, obj) if obj is None else False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


def _action(name: str, act: _Verb, *, label: StrOrPromise) -> _Action:
    """Make an admin action that does one verb to each chosen row."""

    def run(admin_of: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
        for row in rows:
            try:
                act(row.pk, verb=name, operator=request.user.get_username())
            except RejectedError as error:
                messages.warning(request, f"{row}: {error}")
            else:
                messages.success(request, f"{row}: {label}")

    run.__name__ = name
    return admin.action(run, description=label, permissions=["change"])


@admin.register(Organization)
class OrganizationAdmin(ReadOnly):
    list_display = [
        "unique_name",
        "display_name",
        "kind",
        "state",
        "failed_step",
        "loaded",
        "in_trouble",
        "last_served_at",
        "step_due_at",
        "last_error",
    ]
    list_filter = ["state", "kind", "server"]
    list_select_related = ["server"]
    search_fields = ["unique_name", "display_name", "id"]
    ordering = ["unique_name"]
    exclude = ["credential_sealed", "role_password_sealed"]
    actions = [
        _action("suspend", operate.organization, label=_("Suspend")),
        _action("resume", operate.organization, label=_("Resume")),
        _action("resync", operate.organization, label=_("Resync all tables")),
        _action("deprovision", operate.organization, label=_("Deprovision")),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        tables = Q(work_items__kind=WorkItem.Kind.TABLE)
        trouble = Q(work_items__last_failure__gt="")
        loaded = tables & Q(work_items__completed_once=True)
        organizations: QuerySet[Organization] = super().get_queryset(request)
        return organizations.annotate(
            table_count=Count("work_items", filter=tables),
            loaded_count=Count("work_items", filter=loaded),
            trouble_count=Count("work_items", filter=trouble),
        )

    @admin.display(description=_("tables loaded"))
    def loaded(self, organization: Any) -> str:
        return f"{organization.loaded_count} / {organization.table_count}"

    @admin.display(description=_("in trouble"), ordering="trouble_count")
    def in_trouble(self, organization: Any) -> int:
        count: int = organization.trouble_count
        return count


@admin.register(WorkItem)
class WorkItemAdmin(ReadOnly):
    list_display = [
        "organization",
        "kind",
        "table",
        "state",
        "lag",
        "due",
        "leased_until",
        "attempts",
        "last_error_code",
        "last_error",
    ]
    list_filter = ["state", "kind", "last_failure", "mandatory", "completed_once"]
    list_select_related = ["organization"]
    search_fields = ["organization__unique_name", "table"]
    ordering = ["organization__unique_name", "kind", "table"]
    actions = [
        _action("pause", operate.work_item, label=_("Pause")),
        _action("resume", operate.work_item, label=_("Resume")),
        _action("run_now", operate.work_item, label=_("Run now")),
    ]

    @admin.display(description=_("lag"), ordering="last_succeeded_at")
    def lag(self, item: WorkItem) -> str:
        if item.last_succeeded_at is None:
            return "-"
        return timesince(item.last_succeeded_at)

    @admin.display(description=_("due in"), ordering="next_due_at")
    def due(self, item: WorkItem) -> str:
        if item.state not in {WorkItem.State.DUE, WorkItem.State.POSTPONED}:
            return "-"
        if item.next_due_at <= timezone.now():
            return str(_("now"))
        return timeuntil(item.next_due_at)


@admin.register(ProvisioningEvent)
class ProvisioningEventAdmin(ReadOnly):
    list_display = [
        "id",
        "type",
        "organization_id",
        "occurred_at",
        "received_at",
        "state",
        "handled_at",
        "reason",
    ]
    list_filter = ["state", "type"]
    search_fields = ["id", "organization_id"]
    exclude = ["credential_sealed", "fingerprint"]
    ordering = ["-received_at"]


@admin.register(DatabaseServer)
class DatabaseServerAdmin(ReadOnly):
    list_display = ["name", "accepts_organizations", "created_at"]
    list_filter = ["accepts_organizations"]
    exclude = ["admin_url_sealed"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "actor", "verb", "organization", "detail"]
    list_filter = ["verb"]
    list_select_related = ["organization"]
    search_fields = ["actor", "organization__unique_name"]
    date_hierarchy = "at"
