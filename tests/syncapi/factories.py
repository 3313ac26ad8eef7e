"""Organizations and devices as tests need them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from provisioning.models import Organization
from syncapi.models import Device
from tests.syncapi.authority import ADA, Authority
from tests.syncapi.engines import DEVICE


def organization(
    authority: Authority,
    *,
    unique_name: str = "contoso",
    state: str = "active",
    suspended_from: str = "",
    **columns: object,
) -> Organization:
    return Organization.objects.create(
        id=uuid4(),
        unique_name=unique_name,
        display_name=unique_name.title(),
        kind="dataverse",
        endpoint="https://contoso.example/api/data/v9.2",
        identity=columns.pop("identity", authority.identity()),
        state=state,
        suspended_from=suspended_from,
        **columns,
    )


def device(
    organization: Organization,
    *,
    device_id: UUID = DEVICE,
    object_id: UUID = ADA,
    **columns: Any,
) -> Device:
    return Device.objects.create(
        organization=organization,
        device_id=device_id,
        user_id=columns.pop("user_id", UUID(int=2)),
        user_object_id=object_id,
        user_name="Ada",
        name="Ada's tablet",
        **columns,
    )
