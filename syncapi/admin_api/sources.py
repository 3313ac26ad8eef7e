"""An organization's source as operators see it, and the verb that tries it."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning import queries
from replication.services import trying
from replication.services.trying import ConnectionFailedError
from syncapi.admin_api import described
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.organizations import named
from syncapi.admin_api.view import OperatorView
from syncapi.services import sources
from syncapi.services.sources import BudgetStanding, SourceTable


class BudgetBody(serializers.Serializer[BudgetStanding]):
    origin = serializers.CharField()
    breaker = serializers.ChoiceField(["closed", "open", "half_open"])
    window = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    pace = serializers.FloatField(allow_null=True)
    paused_seconds = serializers.IntegerField(allow_null=True)
    open_seconds = serializers.IntegerField(allow_null=True)
    requests = serializers.IntegerField()
    throttled = serializers.IntegerField()
    throttled_seconds = serializers.IntegerField()
    last_trouble = serializers.CharField(allow_blank=True)


class SourceTableBody(serializers.Serializer[SourceTable]):
    table = serializers.CharField()
    mode = serializers.CharField(allow_null=True)
    rows = serializers.IntegerField(allow_null=True)
    source_rows = serializers.IntegerField(allow_null=True)
    source_rows_at = serializers.DateTimeField(allow_null=True)
    lag_seconds = serializers.IntegerField(allow_null=True)
    last_complete_at = serializers.DateTimeField(allow_null=True)
    cursor_age_seconds = serializers.IntegerField(allow_null=True)
    cursor_expires_seconds = serializers.IntegerField(allow_null=True)
    requests = serializers.IntegerField()
    throttled_seconds = serializers.IntegerField()
    set_aside = serializers.IntegerField(allow_null=True)


class SourceDocument(serializers.Serializer[object]):
    budget = BudgetBody(allow_null=True)
    tables = SourceTableBody(many=True)


class ConnectionBody(serializers.Serializer[object]):
    ok = serializers.BooleanField()
    code = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class Source(OperatorView):
    """GET: what the source bears now, and every table on both sides."""

    @extend_schema(
        operation_id="source",
        parameters=[described.ORGANIZATION],
        responses=SourceDocument,
    )
    def get(self, request: Request, org: str) -> Response:
        organization, now = named(org), timezone.now()
        budget = sources.budget_of(organization, now=now)
        tables = sources.tables_of(organization, now=now)
        return Response(
            {
                "budget": BudgetBody(budget).data if budget else None,
                "tables": [SourceTableBody(table).data for table in tables],
            }
        )


class Connection(OperatorView):
    """POST: sign in at the source and say what is wrong, in words."""

    @extend_schema(
        operation_id="test_connection",
        parameters=[described.ORGANIZATION],
        request=None,
        responses=ConnectionBody,
    )
    def post(self, request: Request, org: str) -> Response:
        organization = queries.organization_named(org)
        try:
            trying.try_connection(organization, operator=operator_of(request))
        except ConnectionFailedError as error:
            document = {"ok": False, "code": error.reason, "detail": str(error)}
        else:
            document = {"ok": True, "code": "", "detail": ""}
        return Response(document)
