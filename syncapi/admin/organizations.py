"""An organization's pages: tables, charts, devices, and the rows set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from project.errors import SyncError
from provisioning import queries
from provisioning.admin.organizations import OrganizationAdmin
from provisioning.admin.reading import Verb
from provisioning.admin.work_items import VERBS as WORK_ITEM_VERBS
from provisioning.models import (
    AuditEntry,
    Organization,
    ProvisioningEvent,
    WorkItem,
)
from provisioning.templatetags.waystation import NOTHING
from replication.admin import (
    PUBLISH_QUESTION,
    assignments,
    previews,
    publication,
    publish,
    save_settings,
    settings_document,
)
from replication.admin_editor import Editor, edited
from replication.models import Profile
from replication.services import oversight
from replication.services.oversight import TableStanding
from syncapi.admin import charts, looking, mutations, source, users
from syncapi.admin.devices import standing_of
from syncapi.admin.source import TEST_CONNECTION
from syncapi.models import Device

PUBLISH = Verb(
    name="publish",
    label=gettext_lazy("Publish profiles"),
    act=lambda organization, operator: publish(organization.pk, operator),
    icon="publish",
    question=PUBLISH_QUESTION,
    fits=oversight.has_staging,
)

MOST_DEVICES = 10
MOST_EVENTS = 8
MOST_SET_ASIDE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """A table's work item, what staging holds of it, and the verbs that fit."""

    item: WorkItem
    held: TableStanding | None
    lag_seconds: int | None
    verbs: list[tuple[Verb, str]]


@admin.register(Organization)
class OrganizationPages(OrganizationAdmin):
    """The list with its verbs, and beneath it everything of one organization."""

    verbs = (*OrganizationAdmin.verbs, PUBLISH, TEST_CONNECTION)
    question_template = "waystation/publish.html"

    def foreseen(self, verb: Verb, rows: Sequence[Any]) -> Mapping[str, Any]:
        return {"previews": previews(rows) if verb is PUBLISH else []}

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "set-aside": self.set_aside_view,
            "explain": self.explain_view,
            "whole-set": self.whole_set_view,
            "profile-settings": self.settings_view,
            "mutations": self.mutations_view,
            "users": self.users_view,
        }
        return [
            *(
                path(
                    f"<path:object_id>/{name}/",
                    self.admin_site.admin_view(view),
                    name=f"provisioning_organization_{name.replace('-', '_')}",
                )
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        organization = self._wanted(request, object_id)
        over = charts.chosen_range(request.GET.get("over"))
        held, trouble = _held(organization)
        may_act = request.user.has_perm("provisioning.change_workitem")
        lines = _lines(organization, held, may_act=may_act)
        context = {
            **self.admin_site.each_context(request),
            "title": organization.display_name or organization.unique_name,
            "opts": self.opts,
            "original": organization,
            "organization": organization,
            "verbs": self.offered(request, organization),
            "trouble": trouble,
            "lines": lines,
            "tiles": [
                *_tiles(lines, organization, answers=not trouble),
                *mutations.tiles(organization, answers=not trouble),
            ],
            "charts": charts.organization(organization.pk, over),
            "ranges": charts.RANGES,
            "over": over,
            "devices": _devices(organization),
            "profiles": _profiles(organization),
            "may_edit": request.user.has_perm("replication.change_profile"),
            **looking.rules(organization),
            **source.card(organization),
            "audit": _latest_audit(organization),
            "events": _latest_events(organization),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "waystation/organization.html", context)

    def set_aside_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The rows that staging could not store, with the reasons."""
        organization = self._wanted(request, object_id)
        trouble, rows = "", []
        if oversight.has_staging(organization):
            try:
                rows = oversight.rows_set_aside(organization.pk, most=MOST_SET_ASIDE)
            except SyncError as error:
                trouble = str(error)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rows set aside"),
            "subtitle": organization.unique_name,
            "opts": self.opts,
            "organization": organization,
            "trouble": trouble,
            "rows": rows,
            "most": MOST_SET_ASIDE,
        }
        return TemplateResponse(request, "waystation/set_aside.html", context)

    def mutations_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Edits of devices that wait or failed, and what can be done about them."""
        organization = self._wanted(request, object_id)
        if request.method == "POST":
            return mutations.acted(request, organization)
        title = _("Edits of devices")
        context = mutations.shown(request, organization)
        return self._looked(request, organization, "mutations", title, context)

    def explain_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Why does a user see, or not see, a row?"""
        organization = self._wanted(request, object_id)
        context = looking.asked(organization, request.GET)
        if context["person"]:
            person = context["person"]
            context |= looking.explanation(organization, person.id, request.GET)
        title = _("Why does a user see, or not see, a row?")
        return self._looked(request, organization, "explain", title, context)

    def whole_set_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a user's devices hold, table by table."""
        organization = self._wanted(request, object_id)
        context = looking.asked(organization, request.GET)
        if context["person"]:
            context |= looking.whole_set(organization, context["person"])
        title = _("What a user takes along")
        return self._looked(request, organization, "whole_set", title, context)

    def users_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Who has signed in, where the source has no users."""
        organization = self._wanted(request, object_id)
        may_act = request.user.has_perm("provisioning.change_organization")
        if request.method == "POST":
            if not may_act:
                raise PermissionDenied
            users.decide(request, organization)
            return HttpResponseRedirect(request.get_full_path())
        context = users.listed(organization, request.GET.get("who", ""))
        context |= {"may_act": may_act}
        return self._looked(request, organization, "users", _("Users"), context)

    def _looked(
        self,
        request: HttpRequest,
        organization: Organization,
        page: str,
        title: str,
        context: Mapping[str, Any],
    ) -> HttpResponse:
        shown = {
            **self.admin_site.each_context(request),
            "title": title,
            "subtitle": organization.unique_name,
            "opts": self.opts,
            "organization": organization,
            **context,
        }
        return TemplateResponse(request, f"waystation/{page}.html", shown)

    def settings_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What holds for all profiles of the organization."""
        organization = self._wanted(request, object_id)
        if not request.user.has_perm("replication.change_profile"):
            raise PermissionDenied
        back = self.page_of(organization)
        editor = Editor(
            title=_("What holds for all profiles of %(name)s")
            % {"name": organization.unique_name},
            document=settings_document(organization.pk),
            save=partial(save_settings, organization.pk, request.user.get_username()),
            goes_to=lambda: back,
            context={
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "back": back,
            },
        )
        return edited(request, editor)

    def _wanted(self, request: HttpRequest, object_id: str) -> Organization:
        organization = self.get_object(request, object_id)
        if not self.has_view_permission(request, organization):
            raise PermissionDenied
        if not isinstance(organization, Organization):
            raise Http404
        return organization


def _held(organization: Organization) -> tuple[Mapping[str, TableStanding], str]:
    """What staging holds by table, or why nobody knows."""
    if not oversight.has_staging(organization):
        return {}, _("There is no staging database in this state.")
    try:
        found = oversight.tables(organization.pk)
    except SyncError as error:
        return {}, str(error)
    return {one.table: one for one in found}, ""


def _lines(
    organization: Organization,
    held: Mapping[str, TableStanding],
    *,
    may_act: bool,
) -> list[TableLine]:
    now = timezone.now()
    lines = []
    for item in queries.work_items_of(organization.pk):
        lag = None
        if item.completed_once and item.last_succeeded_at is not None:
            lag = max(0, int((now - item.last_succeeded_at).total_seconds()))
        lines.append(
            TableLine(
                item=item,
                held=held.get(item.table),
                lag_seconds=lag,
                verbs=_verbs_of(item) if may_act else [],
            )
        )
    return lines


def _verbs_of(item: WorkItem) -> list[tuple[Verb, str]]:
    name = "admin:provisioning_workitem_verb"
    return [
        (verb, reverse(name, args=[item.pk, verb.name]))
        for verb in WORK_ITEM_VERBS
        if verb.fits(item)
    ]


def _tiles(
    lines: list[TableLine], organization: Organization, *, answers: bool
) -> list[dict[str, Any]]:
    tables = [one for one in lines if one.item.kind == WorkItem.Kind.TABLE]
    held = [one.held for one in tables if one.held is not None]
    stopped = sum(one.item.state == WorkItem.State.HALTED for one in lines)
    aside = sum(one.set_aside for one in held)
    lags = [one.lag_seconds for one in tables if one.lag_seconds is not None]
    loaded = sum(one.item.completed_once for one in tables)
    return [
        {"label": _("Tables loaded"), "done": loaded, "of": len(tables)},
        {
            "label": _("Rows in staging"),
            "value": sum(one.rows for one in held) if answers else None,
        },
        {
            "label": _("Worst lag"),
            "seconds": max(lags, default=None),
            "is_time": True,
        },
        {
            "label": _("Work items halted"),
            "value": stopped,
            "mood": "bad" if stopped else "",
        },
        {
            "label": _("Rows set aside"),
            "value": aside if answers else None,
            "mood": "warn" if aside else "",
            "url": reverse(
                "admin:provisioning_organization_set_aside", args=[organization.pk]
            ),
        },
    ]


def _devices(organization: Organization) -> list[dict[str, Any]]:
    found = Device.objects.filter(organization=organization)
    latest = found.order_by("-last_seen_at", "device_id")[:MOST_DEVICES]
    devices = list(latest)
    behind: dict[Any, Any] = {}
    if devices and oversight.has_staging(organization):
        try:
            behind = dict(
                oversight.positions(
                    organization.pk, device_ids=[one.device_id for one in devices]
                )
            )
        except SyncError:
            # The page says above that staging does not answer.
            behind = {}
    return [
        {
            "device": one,
            "standing": standing_of(one),
            "behind": behind[one.device_id].behind
            if one.device_id in behind
            else NOTHING,
        }
        for one in devices
    ]


def _profiles(organization: Organization) -> list[dict[str, Any]]:
    found = Profile.objects.filter(organization=organization).order_by("name")
    return [
        {
            "profile": one,
            "publication": publication(one),
            "assigned": assignments(one),
        }
        for one in found
    ]


def _latest_audit(organization: Organization) -> list[AuditEntry]:
    entries = AuditEntry.objects.filter(organization=organization)
    return list(entries.order_by("-at", "-id")[:MOST_EVENTS])


def _latest_events(organization: Organization) -> list[ProvisioningEvent]:
    events = ProvisioningEvent.objects.filter(organization_id=organization.pk)
    latest = events.order_by("-received_at", "-id")
    return list(latest.defer("body", "credential_sealed")[:MOST_EVENTS])
