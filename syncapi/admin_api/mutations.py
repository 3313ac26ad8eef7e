"""Edits of an organization's devices as operators see them, and the verbs on them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from replication.services import upload_oversight, upload_verbs
from replication.services.upload_oversight import STATUSES, UNSETTLED, Filter
from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import Service, operator_of
from syncapi.admin_api.organizations import named
from syncapi.admin_api.view import OperatorView
from syncapi.parsing import MalformedError, guid, parameters_of

# Who may see what people have written into their edits.
VALUES_RIGHT = "provisioning.view_uploaded_values"

VERBS = ("retry", "discard")
_QUERY = frozenset({"status", "device", "values", "after", "limit"})


class MutationBody(serializers.Serializer[upload_oversight.MutationLine]):
    id = serializers.UUIDField()
    device = serializers.UUIDField(source="device_id")
    sequence = serializers.IntegerField()
    user_name = serializers.CharField()
    op = serializers.CharField()
    table = serializers.CharField(allow_null=True)
    key = serializers.CharField(source="row_key", allow_null=True)
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)
    blocked_by = serializers.UUIDField(allow_null=True)
    columns = serializers.ListField(child=serializers.CharField())
    accepted_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    is_under_way = serializers.BooleanField()
    last_error = serializers.CharField(allow_null=True)
    values = serializers.JSONField(allow_null=True)


class PendingBody(serializers.Serializer[upload_oversight.Pending]):
    waiting = serializers.IntegerField()
    oldest_seconds = serializers.IntegerField(allow_null=True)
    parked = serializers.IntegerField()
    failed = serializers.IntegerField()


class MutationsDocument(serializers.Serializer[object]):
    pending = PendingBody()
    items = MutationBody(many=True)
    next = serializers.CharField(allow_null=True)


class RetryBody(serializers.Serializer[object]):
    values = serializers.DictField(required=False)
    onto_present = serializers.BooleanField(required=False)


class Mutations(OperatorView):
    """GET: edits that wait or failed, by device and sequence; `status` asks for others.

    Values come with `values=true`, to those who have the right to see them.
    """

    @extend_schema(
        operation_id="mutations",
        parameters=[
            described.ORGANIZATION,
            OpenApiParameter("status", str, enum=STATUSES),
            OpenApiParameter("device", UUID),
            OpenApiParameter("values", str, enum=["true", "false"]),
            *paging.PARAMETERS,
        ],
        responses=MutationsDocument,
    )
    def get(self, request: Request, org: str) -> Response:
        wanted, with_values = _asked(request)
        organization = named(org)
        lines = upload_oversight.mutations(
            organization.pk, wanted, with_values=with_values and may_see_values(request)
        )
        items, rest = lines[: wanted.limit - 1], lines[wanted.limit - 1 :]
        last = items[-1] if rest and items else None
        return Response(
            {
                "pending": PendingBody(upload_oversight.pending(organization.pk)).data,
                "items": [MutationBody(line).data for line in items],
                "next": f"{last.device_id}:{last.sequence}" if last else None,
            }
        )


class MutationVerb(OperatorView):
    """POST: retry or discard."""

    @extend_schema(
        operation_id="mutation_verb",
        parameters=[
            described.ORGANIZATION,
            described.verb(VERBS),
            OpenApiParameter("device", UUID),
        ],
        request=RetryBody,
        responses={204: None},
    )
    def post(self, request: Request, org: str, mutation: UUID, verb: str) -> Response:
        if verb not in VERBS:
            raise Http404
        organization, operator = named(org), operator_of(request)
        device_id = _device_named(request)
        if verb == "discard":
            upload_verbs.discard(
                organization.pk, mutation, operator=operator, device_id=device_id
            )
        else:
            values, onto_present = _retried(request.data)
            upload_verbs.retry(
                organization.pk,
                mutation,
                operator=operator,
                device_id=device_id,
                values=values,
                onto_present=onto_present,
            )
        return Response(status=204)


def may_see_values(request: Request) -> bool:
    user: Any = request.user
    return isinstance(user, Service) or user.has_perm(VALUES_RIGHT)


def _asked(request: Request) -> tuple[Filter, bool]:
    query = parameters_of(request.META["QUERY_STRING"], allowed=_QUERY)
    status = query.get("status")
    if status is not None and status not in STATUSES:
        raise MalformedError(("status", f"must be one of {', '.join(STATUSES)}"))
    values = query.get("values", "false")
    if values not in ("true", "false"):
        raise MalformedError(("values", "must be true or false"))
    device, after = query.get("device"), query.get("after")
    limit = paging.limit_of(query)
    wanted = Filter(
        statuses=UNSETTLED if status is None else (status,),
        device_id=None if device is None else guid(device, member="device"),
        after=None if after is None else _position(after),
        # One more tells whether there is another page.
        limit=limit + 1,
    )
    return wanted, values == "true"


def _position(text: str) -> tuple[UUID, int]:
    device, _, sequence = text.partition(":")
    return guid(device, member="after"), paging.number(sequence)


def _device_named(request: Request) -> UUID | None:
    """Whose edit is meant, where several devices have sent one with this id."""
    query = parameters_of(request.META["QUERY_STRING"], allowed=frozenset({"device"}))
    device = query.get("device")
    return None if device is None else guid(device, member="device")


def _retried(document: object) -> tuple[dict[str, Any] | None, bool]:
    if not isinstance(document, dict):
        raise MalformedError(("body", "must be an object"))
    unknown = sorted(set(document) - {"values", "onto_present"})
    if unknown:
        raise MalformedError(*((name[:60], "is not known") for name in unknown))
    values = document.get("values")
    if values is not None and not isinstance(values, dict):
        raise MalformedError(("values", "must be an object"))
    onto_present = document.get("onto_present", False)
    if not isinstance(onto_present, bool):
        raise MalformedError(("onto_present", "must be true or false"))
    return values, onto_present
