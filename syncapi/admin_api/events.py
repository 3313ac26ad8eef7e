"""POST events: where provisioning hears of organizations (PROTOCOL §9)."""

from __future__ import annotations

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from provisioning.services import events
from syncapi.admin_api import described
from syncapi.admin_api.view import OperatorView


class ReceiptBody(serializers.Serializer[events.Receipt]):
    id = serializers.UUIDField(source="event_id")
    repeated = serializers.BooleanField()


class Events(OperatorView):
    """Take an event in; the same event may come any number of times."""

    @extend_schema(
        operation_id="receive_event",
        request={"application/json": described.EVENT},
        responses={200: ReceiptBody, 202: ReceiptBody},
    )
    def post(self, request: Request) -> Response:
        receipt = events.receive(cast("dict[str, object]", request.data))

        code = status.HTTP_200_OK if receipt.repeated else status.HTTP_202_ACCEPTED
        return Response(ReceiptBody(receipt).data, status=code)
