"""Profiles: who takes what along; saved one by one, published together."""

from __future__ import annotations

import re
from typing import cast
from uuid import UUID

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning import queries
from provisioning.models import AuditEntry
from replication.models import Profile
from replication.services import looking, profiles, serving
from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.organizations import named
from syncapi.admin_api.paging import Order, page_of
from syncapi.admin_api.view import OperatorView
from syncapi.parsing import MalformedError, guid, only, parameters_of

_NAME = re.compile(r"[^\x00-\x1f/]{1,100}")
_LONGEST_TEXT = 1_000


class ProfileBody(serializers.Serializer[Profile]):
    name = serializers.CharField()
    document = serializers.JSONField()
    changed_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)


class Profiles(OperatorView):
    """GET: the organization's profiles as saved, by name."""

    @extend_schema(
        operation_id="profiles",
        parameters=[described.ORGANIZATION, *paging.PARAMETERS],
        responses=described.page_of(ProfileBody),
    )
    def get(self, request: Request, org: str) -> Response:
        page = page_of(
            Profile.objects.filter(organization=named(org)),
            request,
            order=Order("name", read=paging.text),
        )
        return Response(page.document(lambda profile: ProfileBody(profile).data))


class OneProfile(OperatorView):
    """PUT: save a profile. Devices see nothing of it before it is published."""

    @extend_schema(
        operation_id="save_profile",
        parameters=[
            described.ORGANIZATION,
            OpenApiParameter(
                "name", str, OpenApiParameter.PATH, pattern=f"^{_NAME.pattern}$"
            ),
        ],
        request={"application/json": described.PROFILE},
        responses={204: None},
    )
    def put(self, request: Request, org: str, name: str) -> Response:
        if not _NAME.fullmatch(name):
            raise MalformedError(("name", "must be 1 to 100 printable characters"))
        if not isinstance(request.data, dict):
            raise MalformedError(("body", "must be an object"))
        organization = queries.organization_named(org)

        document = cast("dict[str, object]", request.data)
        profiles.save_profile(organization.id, name=name, document=document)

        _audit(request, organization.id, verb="save profile", name=name)
        return Response(status=204)


class PublishedProfiles(OperatorView):
    """POST: let devices have what the saved profiles say."""

    @extend_schema(
        operation_id="publish_profiles",
        parameters=[described.ORGANIZATION],
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, org: str) -> Response:
        organization = queries.organization_named(org)

        profiles.publish(organization.id)

        _audit(request, organization.id, verb="publish profiles")
        return Response(status=204)


class Preview(OperatorView):
    """GET: what publishing the saved profiles would do to rows, users and devices."""

    @extend_schema(
        operation_id="preview_profiles",
        parameters=[described.ORGANIZATION],
        responses={200: described.PREVIEW},
    )
    def get(self, request: Request, org: str) -> Response:
        organization = queries.organization_named(org)
        found = looking.publish_preview(organization.id)
        return Response(msgspec.to_builtins(found))


class Settings(OperatorView):
    """GET and PUT: what holds for all profiles; effective once published."""

    @extend_schema(
        operation_id="profile_settings",
        parameters=[described.ORGANIZATION],
        responses={200: described.SETTINGS},
    )
    def get(self, request: Request, org: str) -> Response:
        found = profiles.settings_of(queries.organization_named(org).id)
        return Response(msgspec.to_builtins(found))

    @extend_schema(
        operation_id="save_profile_settings",
        parameters=[described.ORGANIZATION],
        request={"application/json": described.SETTINGS},
        responses={204: None},
    )
    def put(self, request: Request, org: str) -> Response:
        if not isinstance(request.data, dict):
            raise MalformedError(("body", "must be an object"))
        organization = queries.organization_named(org)

        document = cast("dict[str, object]", request.data)
        profiles.save_settings(organization.id, document=document)

        _audit(request, organization.id, verb="save profile settings")
        return Response(status=204)


class Explain(OperatorView):
    """GET: why a user sees one row, or the first condition that fails."""

    @extend_schema(
        operation_id="explain",
        parameters=[
            described.ORGANIZATION,
            OpenApiParameter("user", OpenApiTypes.UUID, required=True),
            OpenApiParameter("table", str, required=True),
            OpenApiParameter("key", str, required=True),
        ],
        responses={200: described.EXPLANATION},
    )
    def get(self, request: Request, org: str) -> Response:
        query = parameters_of(
            request.META["QUERY_STRING"], allowed=frozenset({"user", "table", "key"})
        )
        user_id = guid(only(query, "user"), member="user")
        table, key = _text(query, "table"), _text(query, "key")
        organization = queries.organization_named(org)
        found = looking.explanation(
            organization.id, user_id=user_id, table=table, key=key
        )
        return Response(msgspec.to_builtins(found))


class ClientModelOf(OperatorView):
    """GET: the client model of one user, as that user's devices get it."""

    @extend_schema(
        operation_id="client_model",
        parameters=[
            described.ORGANIZATION,
            OpenApiParameter("user", OpenApiTypes.UUID, required=True),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, org: str) -> Response:
        query = parameters_of(request.META["QUERY_STRING"], allowed=frozenset({"user"}))
        user_id = guid(only(query, "user"), member="user")
        organization = queries.organization_named(org)
        model = serving.client_model(organization.id, user_id=user_id)
        return Response(model.document)


def _text(query: dict[str, str], name: str) -> str:
    text = only(query, name)
    if len(text) > _LONGEST_TEXT or "\x00" in text:
        raise MalformedError((name, f"must be 1 to {_LONGEST_TEXT} characters"))
    return text


def _audit(
    request: Request, organization_id: UUID, *, verb: str, **detail: object
) -> None:
    AuditEntry.objects.create(
        actor=operator_of(request),
        verb=verb,
        organization_id=organization_id,
        detail=detail,
    )
