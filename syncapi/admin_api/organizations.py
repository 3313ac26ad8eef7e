"""Organizations as operators see them, and the verbs on them."""

from __future__ import annotations

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning import queries
from provisioning.models import AuditEntry, Organization
from provisioning.services import operate
from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.paging import Order, page_of
from syncapi.admin_api.view import OperatorView
from syncapi.services import directory, progress
from syncapi.services.progress import Progress, TableProgress

_State = Organization.State


def named(org: str) -> Organization:
    """Return the organization of this name; the last one, if none bears it now.

    :raises UnknownOrganizationError: nobody ever bore it.
    """
    past = Organization.objects.filter(unique_name=org[:41].replace("\x00", ""))
    gone = past.filter(state=_State.DEPROVISIONED).order_by("-created_at", "-pk")
    live = past.exclude(state=_State.DEPROVISIONED)
    found = live.first() or gone.first()
    if found is None:
        raise queries.UnknownOrganizationError("There is no such organization.")
    return found


class OrganizationBody(serializers.Serializer[Organization]):
    """Never a secret, sealed or not."""

    id = serializers.UUIDField()
    unique_name = serializers.CharField()
    display_name = serializers.CharField()
    kind = serializers.CharField()
    endpoint = serializers.CharField()
    credential_type = serializers.CharField()
    identity = serializers.JSONField()
    state = serializers.CharField()
    stage = serializers.SerializerMethodField()
    failed_step = serializers.CharField()
    last_error = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_served_at = serializers.DateTimeField(allow_null=True)

    def get_stage(self, organization: Organization) -> str:
        """How far provisioning has come, whatever holds it up now."""
        if organization.state == _State.FAILED:
            return organization.failed_step
        return organization.suspended_from or organization.state


class ProgressBody(serializers.Serializer[Progress]):
    tables = serializers.IntegerField()
    completed = serializers.IntegerField()
    mandatory = serializers.IntegerField()
    mandatory_completed = serializers.IntegerField()
    in_trouble = serializers.IntegerField()
    rows = serializers.IntegerField(allow_null=True)
    lag_seconds = serializers.IntegerField(allow_null=True)


class TableBody(serializers.Serializer[TableProgress]):
    table = serializers.CharField()
    work_item = serializers.UUIDField(source="work_item_id")
    state = serializers.CharField()
    mandatory = serializers.BooleanField()
    completed = serializers.BooleanField()
    mode = serializers.CharField(allow_null=True)
    rows = serializers.IntegerField(allow_null=True)
    loaded = serializers.BooleanField(allow_null=True)
    set_aside = serializers.IntegerField(allow_null=True)
    stripped_nuls = serializers.IntegerField(allow_null=True)
    last_succeeded_at = serializers.DateTimeField(allow_null=True)
    lag_seconds = serializers.IntegerField(allow_null=True)
    attempts = serializers.IntegerField()
    next_due_at = serializers.DateTimeField()
    last_error = serializers.CharField()
    last_error_code = serializers.CharField()


class OrganizationDetail(OrganizationBody):
    progress = ProgressBody()
    tables = TableBody(many=True)


class AuditBody(serializers.Serializer[AuditEntry]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    verb = serializers.CharField()
    detail = serializers.JSONField()


class Organizations(OperatorView):
    """GET: the organizations that live, by name."""

    @extend_schema(
        operation_id="organizations",
        parameters=paging.PARAMETERS,
        responses=described.page_of(OrganizationBody),
    )
    def get(self, request: Request) -> Response:
        page = page_of(
            queries.live_organizations(),
            request,
            order=Order("unique_name", read=paging.text),
        )
        return Response(page.document(lambda found: OrganizationBody(found).data))


class OneOrganization(OperatorView):
    """GET: state, stage, progress, rows, lag and last errors."""

    @extend_schema(
        operation_id="organization",
        parameters=[described.ORGANIZATION],
        responses=OrganizationDetail,
    )
    def get(self, request: Request, org: str) -> Response:
        organization = named(org)
        tables = progress.tables_of(organization, now=timezone.now())
        document = dict(OrganizationBody(organization).data)
        document["progress"] = ProgressBody(progress.summary(tables)).data
        document["tables"] = [TableBody(table).data for table in tables]
        return Response(document)


class Tables(OperatorView):
    """GET: every table's work, rows and lag."""

    @extend_schema(
        operation_id="tables",
        parameters=[described.ORGANIZATION],
        responses=described.page_of(TableBody),
    )
    def get(self, request: Request, org: str) -> Response:
        tables = progress.tables_of(named(org), now=timezone.now())
        items = [TableBody(table).data for table in tables]
        return Response({"items": items, "next": None})


class OrganizationVerb(OperatorView):
    """POST: suspend, resume, resync or deprovision."""

    @extend_schema(
        operation_id="organization_verb",
        parameters=[
            described.ORGANIZATION,
            described.verb(operate.ORGANIZATION_VERBS),
        ],
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, org: str, verb: str) -> Response:
        if verb not in operate.ORGANIZATION_VERBS:
            raise Http404
        organization = queries.organization_named(org)

        operate.organization(organization.id, verb=verb, operator=operator_of(request))

        directory.forget()
        return Response(status=204)


class Audit(OperatorView):
    """GET: who did what, newest first."""

    @extend_schema(
        operation_id="audit",
        parameters=[described.ORGANIZATION, *paging.PARAMETERS],
        responses=described.page_of(AuditBody),
    )
    def get(self, request: Request, org: str) -> Response:
        page = page_of(
            AuditEntry.objects.filter(organization=named(org)),
            request,
            order=Order("id", read=paging.number, newest_first=True),
        )
        return Response(page.document(lambda entry: AuditBody(entry).data))
