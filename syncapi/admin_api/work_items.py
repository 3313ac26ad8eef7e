"""Work items as operators see them, and the verbs on them."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning.models import WorkItem
from provisioning.services import operate
from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.organizations import named
from syncapi.admin_api.paging import Order, page_of
from syncapi.admin_api.view import OperatorView

# The word in the address -> the word of the service.
VERBS = {
    "pause": "pause",
    "resume": "resume",
    "run": "run_now",
    "resync": "resync",
    "accept-sweep": "accept_sweep",
}


class WorkItemBody(serializers.Serializer[WorkItem]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    table = serializers.CharField()
    state = serializers.CharField()
    mandatory = serializers.BooleanField()
    completed_once = serializers.BooleanField()
    interval_seconds = serializers.SerializerMethodField()
    next_due_at = serializers.DateTimeField()
    leased_until = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    last_started_at = serializers.DateTimeField(allow_null=True)
    last_succeeded_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    last_error_code = serializers.CharField()

    def get_interval_seconds(self, item: WorkItem) -> int:
        return int(item.interval.total_seconds())


class WorkItems(OperatorView):
    """GET: the organization's work items, the metadata's first, then by table."""

    @extend_schema(
        operation_id="work_items",
        parameters=[described.ORGANIZATION, *paging.PARAMETERS],
        responses=described.page_of(WorkItemBody),
    )
    def get(self, request: Request, org: str) -> Response:
        page = page_of(
            WorkItem.objects.filter(organization=named(org)),
            request,
            # The metadata item is the only one without a table.
            order=Order("table", read=paging.text),
        )
        return Response(page.document(lambda item: WorkItemBody(item).data))


class WorkItemVerb(OperatorView):
    """POST: pause, resume, run, resync or accept-sweep."""

    @extend_schema(
        operation_id="work_item_verb",
        parameters=[described.ORGANIZATION, described.verb(VERBS)],
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, org: str, item: UUID, verb: str) -> Response:
        known = WorkItem.objects.filter(organization=named(org), pk=item)
        if verb not in VERBS or not known.exists():
            raise Http404

        operate.work_item(item, verb=VERBS[verb], operator=operator_of(request))

        return Response(status=204)
