"""Devices as operators see them, and the verbs on them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from syncapi.admin_api import described, paging
from syncapi.admin_api.authentication import operator_of
from syncapi.admin_api.organizations import named
from syncapi.admin_api.paging import Order, page_of
from syncapi.admin_api.view import OperatorView
from syncapi.models import Device
from syncapi.services import devices
from syncapi.services.devices import UnknownDeviceError

VERBS: dict[str, Callable[..., None]] = {
    "revoke": devices.revoke,
    "wipe": devices.order_wipe,
    "restore": devices.restore,
}


class DeviceBody(serializers.Serializer[Device]):
    device = serializers.UUIDField(source="device_id")
    user = serializers.UUIDField(source="user_id")
    user_name = serializers.CharField()
    name = serializers.CharField()
    platform = serializers.CharField()
    app_version = serializers.CharField()
    state = serializers.CharField()
    wipe_ordered = serializers.BooleanField()
    wipe_confirmed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    last_completed_at = serializers.DateTimeField(allow_null=True)
    reported_at = serializers.DateTimeField(allow_null=True)
    pending_mutations = serializers.IntegerField(allow_null=True)
    last_error = serializers.CharField()
    free_bytes = serializers.IntegerField(allow_null=True)


class Devices(OperatorView):
    """GET: the organization's devices."""

    @extend_schema(
        operation_id="devices",
        parameters=[described.ORGANIZATION, *paging.PARAMETERS],
        responses=described.page_of(DeviceBody),
    )
    def get(self, request: Request, org: str) -> Response:
        page = page_of(
            Device.objects.filter(organization=named(org)),
            request,
            order=Order("device_id", read=paging.uuid),
        )
        return Response(page.document(lambda device: DeviceBody(device).data))


class DeviceVerb(OperatorView):
    """POST: revoke, wipe or restore."""

    @extend_schema(
        operation_id="device_verb",
        parameters=[described.ORGANIZATION, described.verb(VERBS)],
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, org: str, device: UUID, verb: str) -> Response:
        if verb not in VERBS:
            raise Http404
        known = Device.objects.filter(organization=named(org), device_id=device)
        found = known.first()
        if found is None:
            raise UnknownDeviceError("There is no such device.")

        VERBS[verb](found.pk, actor=operator_of(request))

        return Response(status=204)
