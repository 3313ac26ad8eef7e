"""Profiles for operators: editing, what is published, and the verb *publish*."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from project.errors import SyncError
from provisioning.admin.reading import ReadOnly, Verb
from provisioning.models import AuditEntry, Organization
from provisioning.templatetags.waystation import ago, badge
from replication import admin_editor
from replication.admin_editor import Editor
from replication.domain.alternatives import Problem
from replication.domain.profiles import ProfileDef
from replication.models import Profile
from replication.services import looking, profiles


def _new_profile(organization: Organization) -> Mapping[str, object]:
    is_dataverse = organization.kind == Organization.Kind.DATAVERSE
    table = "account" if is_dataverse else next(iter(organization.tables), "")
    return {
        "items": [{"table": table, "records": "all"}],
        "assignments": {"everyone": True},
    }


def publish(organization_id: UUID, operator: str) -> None:
    profiles.publish(organization_id)
    AuditEntry.objects.create(
        actor=operator, verb="publish profiles", organization_id=organization_id
    )


def _publish(profile: Profile, operator: str) -> None:
    publish(profile.organization_id, operator)


def previews(organizations: Iterable[Organization]) -> list[dict[str, Any]]:
    """What publishing does to each, or why nobody knows."""
    found = []
    for organization in organizations:
        one: dict[str, Any] = {"organization": organization}
        try:
            one["preview"] = looking.publish_preview(organization.pk)
        except SyncError as error:
            one["trouble"] = str(error)
        found.append(one)
    return found


PUBLISH_QUESTION = gettext_lazy(
    "All saved profiles of the organization become effective: devices"
    " receive what they gain and delete what they lose."
)


@admin.register(Profile)
class ProfileAdmin(ReadOnly):
    """Profiles are written as documents, here and through the admin API."""

    list_display = [
        "name",
        "organization",
        "tables",
        "assigned",
        "changed",
        "published",
    ]
    list_filter = ["organization"]
    list_select_related = ["organization"]
    search_fields = ["name", "organization__unique_name"]
    ordering = ["organization__unique_name", "name"]
    change_form_template = "waystation/profile.html"
    verbs = (
        Verb(
            name="publish",
            label=gettext_lazy("Publish all profiles of the organization"),
            act=_publish,
            icon="publish",
            question=PUBLISH_QUESTION,
        ),
    )
    question_template = "waystation/publish.html"

    def foreseen(self, verb: Verb, rows: Sequence[Any]) -> Mapping[str, Any]:
        organizations = {row.organization_id: row.organization for row in rows}
        return {"previews": previews(organizations.values())}

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "new/<uuid:organization_id>/",
                self.admin_site.admin_view(self.new_view),
                name="replication_profile_new",
            ),
            path(
                "<path:object_id>/edit/",
                self.admin_site.admin_view(self.edit_view),
                name="replication_profile_edit",
            ),
            *super().get_urls(),
        ]

    def new_view(self, request: HttpRequest, organization_id: UUID) -> HttpResponse:
        organization = Organization.objects.filter(pk=organization_id).first()
        if organization is None:
            raise Http404
        listed = reverse("admin:replication_profile_changelist")
        back = f"{listed}?organization__id__exact={organization.pk}"
        title = _("A new profile of %(name)s") % {"name": organization.unique_name}
        return self._edited(
            request,
            organization.pk,
            name="",
            document=_new_profile(organization),
            back=back,
            title=title,
        )

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        profile = self.get_object(request, object_id)
        if not isinstance(profile, Profile):
            raise Http404
        document = {k: v for k, v in profile.document.items() if k != "name"}
        return self._edited(
            request,
            profile.organization_id,
            name=profile.name,
            document=document,
            back=self.page_of(profile),
            title=_("Edit %(name)s") % {"name": profile.name},
        )

    def _edited(
        self,
        request: HttpRequest,
        organization_id: UUID,
        *,
        name: str,
        document: Mapping[str, object],
        back: str,
        title: str,
    ) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        operator = request.user.get_username()
        editor = Editor(
            title=title,
            name=name,
            document=document,
            save=partial(_save, organization_id, operator),
            goes_to=lambda: back,
            context={
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "back": back,
            },
        )
        return admin_editor.edited(request, editor)

    @admin.display(description=gettext_lazy("tables"))
    def tables(self, profile: Profile) -> str:
        return ", ".join(item["table"] for item in profile.document["items"])

    @admin.display(description=gettext_lazy("assigned to"))
    def assigned(self, profile: Profile) -> str:
        return assignments(profile)

    @admin.display(description=gettext_lazy("changed"), ordering="changed_at")
    def changed(self, profile: Profile) -> str:
        return ago(profile.changed_at)

    @admin.display(description=gettext_lazy("published"), ordering="published_at")
    def published(self, profile: Profile) -> SafeString:
        return publication(profile)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        profile = self.get_object(request, object_id)
        extra = dict(extra_context or {})
        if isinstance(profile, Profile):
            definition = msgspec.convert(profile.document, type=ProfileDef)
            found, trouble = _problems(profile)
            extra |= {
                "definition": definition,
                "items": [
                    (item, [one for one in found if one.table == item.table])
                    for item in definition.items
                ],
                "trouble": trouble,
                "may_edit": self.has_change_permission(request),
                "assigned": assignments(profile),
                "publication": publication(profile),
            }
        return super().change_view(request, object_id, form_url, extra)


def _save(
    organization_id: UUID, operator: str, name: str, document: Mapping[str, object]
) -> None:
    profiles.save_profile(organization_id, name=name, document=document)
    AuditEntry.objects.create(
        actor=operator,
        verb="save profile",
        organization_id=organization_id,
        detail={"name": name},
    )


def settings_document(organization_id: UUID) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(
        profiles.settings_of(organization_id)
    )
    return found


def save_settings(
    organization_id: UUID, operator: str, _name: str, document: Mapping[str, object]
) -> None:
    profiles.save_settings(organization_id, document=document)
    AuditEntry.objects.create(
        actor=operator, verb="save profile settings", organization_id=organization_id
    )


def _problems(profile: Profile) -> tuple[tuple[Problem, ...], str]:
    """What of the profile is suspended, or why nobody knows."""
    try:
        found = looking.problems(profile.organization_id, profile=profile.name)
    except SyncError as error:
        return (), str(error)
    return found, ""


def publication(profile: Profile) -> SafeString:
    """Whether devices get what is saved."""
    if profile.published_at is None:
        return badge(_("never"), "warn")
    if profile.published_at < profile.changed_at:
        return badge(_("an older version"), "warn")
    return badge(_("as saved"), "good")


def assignments(profile: Profile) -> str:
    definition = msgspec.convert(profile.document, type=ProfileDef)
    given = definition.assignments
    if given.everyone:
        return _("everyone")
    counts = [
        (len(given.users), _("users")),
        (len(given.teams), _("teams")),
        (len(given.roles) + len(given.token_roles), _("roles")),
        (len(given.token_groups), _("groups")),
    ]
    named = ", ".join(f"{n} {what}" for n, what in counts if n)
    if definition.is_default:
        return ", ".join(filter(None, (named, _("whoever has no other"))))
    return named or _("nobody")
