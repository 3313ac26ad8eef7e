"""The list of organizations, and what operators do to them.

Their page shows tables and devices as well, so the highest layer registers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from provisioning.admin.reading import ReadOnly, Verb
from provisioning.domain.states import LEAVING
from provisioning.models import Organization, WorkItem
from provisioning.services import operate
from provisioning.templatetags.waystation import ago, badge, progress, state_badge


def _act(row: Organization, operator: str, *, verb: str) -> None:
    operate.organization(row.pk, verb=verb, operator=operator)


def _stays(organization: Organization) -> bool:
    return organization.state not in LEAVING


VERBS = (
    Verb(
        name="suspend",
        label=_("Suspend"),
        act=partial(_act, verb="suspend"),
        icon="pause_circle",
        question=_(
            "Nothing is pulled and no device is answered until the organization is"
            " resumed. Its data stays."
        ),
        fits=lambda one: _stays(one) and one.state != "suspended",
    ),
    Verb(
        name="resume",
        label=_("Resume"),
        act=partial(_act, verb="resume"),
        icon="play_circle",
        fits=lambda one: one.state in {"suspended", "failed"},
    ),
    Verb(
        name="resync",
        label=_("Resync all tables"),
        act=partial(_act, verb="resync"),
        icon="sync",
        question=_(
            "Every table is read from the source in full. Devices receive only what"
            " turns out to differ."
        ),
        fits=_stays,
    ),
    Verb(
        name="deprovision",
        label=_("Deprovision"),
        act=partial(_act, verb="deprovision"),
        icon="delete_forever",
        question=_(
            "The staging database, its role and all work items are dropped, and"
            " devices are refused. This cannot be undone."
        ),
        is_dangerous=True,
        fits=_stays,
    ),
)


class OrganizationAdmin(ReadOnly):
    list_display = [
        "unique_name",
        "display_name",
        "kind",
        "standing",
        "loaded",
        "in_trouble",
        "served",
        "last_error",
    ]
    list_display_links = ["unique_name", "display_name"]
    list_filter = ["state", "kind", "server"]
    list_select_related = ["server"]
    search_fields = ["unique_name", "display_name", "id"]
    ordering = ["unique_name"]
    exclude = ["credential_sealed", "role_password_sealed"]
    verbs: Sequence[Verb] = VERBS

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

    @admin.display(description=_("state"), ordering="state")
    def standing(self, organization: Organization) -> SafeString:
        return state_badge(organization)

    @admin.display(description=_("tables loaded"))
    def loaded(self, organization: Any) -> SafeString:
        return progress(organization.loaded_count, organization.table_count)

    @admin.display(description=_("in trouble"), ordering="trouble_count")
    def in_trouble(self, organization: Any) -> SafeString:
        count: int = organization.trouble_count
        return badge(count, "bad" if count else "quiet")

    @admin.display(description=_("last worked for"), ordering="last_served_at")
    def served(self, organization: Organization) -> str:
        return ago(organization.last_served_at)
