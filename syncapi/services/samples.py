"""Sample how often devices were brought up to date."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Q, Sum

from replication.services.samples import BATCH, tidy
from syncapi.models import Device, DeviceSample


def record(*, now: datetime) -> None:
    """Store one sample per organization that has devices, and one of all of them.

    One sample a minute: repeating within it changes nothing.
    """
    at = now.replace(second=0, microsecond=0)
    active = Q(state=Device.State.ACTIVE)
    counted = Device.objects.values("organization").annotate(
        total=Sum("syncs"), active=Count("pk", filter=active)
    )
    samples = [
        DeviceSample(
            organization_id=one["organization"],
            at=at,
            devices=one["active"],
            syncs=one["total"],
        )
        for one in counted
    ]
    together = DeviceSample(
        organization=None,
        at=at,
        devices=sum(one.devices for one in samples),
        syncs=sum(one.syncs for one in samples),
    )
    DeviceSample.objects.bulk_create(
        [*samples, together], batch_size=BATCH, ignore_conflicts=True
    )
    tidy(DeviceSample, now=now)
