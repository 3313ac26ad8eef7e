"""Users of organizations whose source has none: who signed in, and who is blocked."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning import queries
from replication.services import people
from replication.services.people import TokenUser
from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.view import OperatorView

VERBS: dict[str, Callable[..., None]] = {
    "block": people.block,
    "unblock": people.unblock,
}


class UserBody(serializers.Serializer[TokenUser]):
    user = serializers.UUIDField(source="id")
    name = serializers.CharField()
    issuer = serializers.CharField()
    subject = serializers.CharField()
    blocked = serializers.BooleanField(source="is_blocked")
    first_seen = serializers.DateField()
    last_seen = serializers.DateField()
    claims = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField())
    )


class Users(OperatorView):
    """GET: who has signed in. Users of Dataverse are rows, and not listed here."""

    @extend_schema(
        operation_id="users",
        parameters=[described.ORGANIZATION, *paging.PARAMETERS],
        responses=described.page_of(UserBody),
    )
    def get(self, request: Request, org: str) -> Response:
        organization = queries.organization_named(org)
        asked = paging.asked(request, read=paging.uuid)
        found = people.page(organization.id, after=asked.after, most=asked.limit + 1)
        shown = found[: asked.limit]
        has_more = len(found) > asked.limit
        return Response(
            {
                "items": [UserBody(user).data for user in shown],
                "next": str(shown[-1].id) if has_more else None,
            }
        )


class UserVerb(OperatorView):
    """POST: block or unblock."""

    @extend_schema(
        operation_id="user_verb",
        parameters=[described.ORGANIZATION, described.verb(VERBS)],
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, org: str, user: UUID, verb: str) -> Response:
        if verb not in VERBS:
            raise Http404
        organization = queries.organization_named(org)

        VERBS[verb](organization.id, user=user, actor=operator_of(request))

        return Response(status=204)
