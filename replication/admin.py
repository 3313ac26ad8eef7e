"""Profiles for operators: what is saved, what is published, and the verb *publish*."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from provisioning.admin.reading import ReadOnly, Verb
from provisioning.models import AuditEntry
from provisioning.templatetags.waystation import ago, badge
from replication.domain.profiles import ProfileDef
from replication.models import Profile
from replication.services import profiles


def _publish(profile: Profile, operator: str) -> None:
    profiles.publish(profile.organization_id)
    AuditEntry.objects.create(
        actor=operator,
        verb="publish profiles",
        organization_id=profile.organization_id,
    )


@admin.register(Profile)
class ProfileAdmin(ReadOnly):
    """Profiles are written through the admin API, which validates them."""

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
            question=gettext_lazy(
                "All saved profiles of the organization become effective: devices"
                " receive what they gain and delete what they lose."
            ),
        ),
    )

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
            extra |= {
                "definition": msgspec.convert(profile.document, type=ProfileDef),
                "assigned": assignments(profile),
                "publication": publication(profile),
            }
        return super().change_view(request, object_id, form_url, extra)


def publication(profile: Profile) -> SafeString:
    """Whether devices get what is saved."""
    if profile.published_at is None:
        return badge(_("never"), "warn")
    if profile.published_at < profile.changed_at:
        return badge(_("an older version"), "warn")
    return badge(_("as saved"), "good")


def assignments(profile: Profile) -> str:
    given = msgspec.convert(profile.document, type=ProfileDef).assignments
    if given.everyone:
        return _("everyone")
    counts = [
        (len(given.users), _("users")),
        (len(given.teams), _("teams")),
        (len(given.roles), _("roles")),
    ]
    return ", ".join(f"{n} {what}" for n, what in counts if n) or _("nobody")
