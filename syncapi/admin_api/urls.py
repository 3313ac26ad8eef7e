"""The addresses of the admin API, version 1."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from syncapi.admin_api import (
    devices,
    events,
    mutations,
    organizations,
    profiles,
    sources,
    users,
    work_items,
)
from syncapi.admin_api.view import OperatorView


class Schema(OperatorView, SpectacularAPIView):
    """GET: this API in OpenAPI 3."""

    urlconf = "syncapi.urls"


_ORG = "organizations/<str:org>"

urlpatterns = [
    path("schema", Schema.as_view()),
    path("events", events.Events.as_view()),
    path("organizations", organizations.Organizations.as_view()),
    path(_ORG, organizations.OneOrganization.as_view()),
    path(f"{_ORG}/tables", organizations.Tables.as_view()),
    path(f"{_ORG}/audit", organizations.Audit.as_view()),
    path(f"{_ORG}/work-items", work_items.WorkItems.as_view()),
    path(
        f"{_ORG}/work-items/<uuid:item>/<str:verb>", work_items.WorkItemVerb.as_view()
    ),
    path(f"{_ORG}/devices", devices.Devices.as_view()),
    path(f"{_ORG}/devices/<uuid:device>/<str:verb>", devices.DeviceVerb.as_view()),
    path(f"{_ORG}/mutations", mutations.Mutations.as_view()),
    path(
        f"{_ORG}/mutations/<uuid:mutation>/<str:verb>",
        mutations.MutationVerb.as_view(),
    ),
    path(f"{_ORG}/profiles", profiles.Profiles.as_view()),
    path(f"{_ORG}/profiles/publish", profiles.PublishedProfiles.as_view()),
    path(f"{_ORG}/profiles/preview", profiles.Preview.as_view()),
    path(f"{_ORG}/profile-settings", profiles.Settings.as_view()),
    path(f"{_ORG}/explain", profiles.Explain.as_view()),
    path(f"{_ORG}/profiles/<str:name>", profiles.OneProfile.as_view()),
    path(f"{_ORG}/client-model", profiles.ClientModelOf.as_view()),
    path(f"{_ORG}/users", users.Users.as_view()),
    path(f"{_ORG}/users/<uuid:user>/<str:verb>", users.UserVerb.as_view()),
    path(f"{_ORG}/source", sources.Source.as_view()),
    path(f"{_ORG}/test-connection", sources.Connection.as_view()),
    path(f"{_ORG}/<str:verb>", organizations.OrganizationVerb.as_view()),
]
