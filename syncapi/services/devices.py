"""Register devices, look after what they report, and take them away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from project.errors import RejectedError
from provisioning.models import AuditEntry
from syncapi.expiring import Expiring
from syncapi.models import Device

# A revoked device is refused at the latest after this time.
AGE_SECONDS = 2.0
CAPACITY = 50_000
RECORD_INTERVAL = timedelta(minutes=1)
MAX_NAME = 200


class UnknownDeviceError(RejectedError):
    """The device is not registered, signed off, or another user's."""

    code = "unknown_device"


class SeveralDevicesError(RejectedError):
    """The user has several devices; the request has to name its own."""

    code = "malformed"

    def __init__(self) -> None:
        super().__init__("device: must be named")
        self.errors = ({"member": "device", "message": "must be named"},)


class DeviceRevokedError(RejectedError):
    """The operator revoked the device; `wipe` orders it to delete its data."""

    code = "device_revoked"

    def __init__(self, *, wipe: bool) -> None:
        super().__init__("The operator revoked this device.")
        self.wipe = wipe


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What an answer to a device needs to know of it."""

    pk: UUID
    organization_id: UUID
    device_id: UUID
    user_id: UUID
    user_object_id: UUID
    user_name: str
    state: str
    wipe_ordered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUser:
    """Who registers a device: the person's rows in source and identity provider."""

    id: UUID
    object_id: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a device says of itself."""

    name: str
    platform: str
    app_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """How a device says that it fares."""

    pending_mutations: int | None
    last_error: str
    free_bytes: int | None


_known: Expiring[tuple[UUID, UUID], DeviceFacts] = Expiring(
    capacity=CAPACITY, seconds=AGE_SECONDS
)
_recorded: Expiring[tuple[UUID, str], bool] = Expiring(
    capacity=CAPACITY, seconds=RECORD_INTERVAL.total_seconds()
)


def register(
    organization_id: UUID, *, device_id: UUID, user: DeviceUser, about: Description
) -> tuple[DeviceFacts, bool]:
    """Make the device the user's, or take what it newly says of itself.

    Returns the device, and whether it is a new one. Repeating is harmless.

    :raises UnknownDeviceError: it is another user's.
    :raises DeviceRevokedError: only an operator can restore it.
    """
    described = {
        "user_id": user.id,
        "user_name": user.name[:MAX_NAME],
        "name": about.name,
        "platform": about.platform,
        "app_version": about.app_version,
        "state": Device.State.ACTIVE,
    }
    with transaction.atomic():
        device, is_new = Device.objects.select_for_update().get_or_create(
            organization_id=organization_id,
            device_id=device_id,
            defaults={**described, "user_object_id": user.object_id},
        )
        _insist_on_owner(device, object_id=user.object_id)
        _insist_on_permission(device)
        Device.objects.filter(pk=device.pk).update(**described, last_seen_at=Now())
        device.refresh_from_db()
    facts = _facts_of(device)
    _known.put((organization_id, device_id), facts)
    return facts, is_new


def held_by(organization_id: UUID, *, device_id: UUID, object_id: UUID) -> DeviceFacts:
    """Return the active device of this user; at most two seconds old.

    :raises UnknownDeviceError: it is not registered, or another user's.
    :raises DeviceRevokedError: the operator revoked it.
    """
    place = (organization_id, device_id)
    facts = _known.get(place)
    if facts is None:
        facts = _facts_of(_row(organization_id, device_id=device_id))
        _known.put(place, facts)
    _insist_on_owner(facts, object_id=object_id)
    _insist_on_permission(facts)
    if facts.state != Device.State.ACTIVE:
        raise UnknownDeviceError("The device signed off; it must register again.")
    return facts


def sole(organization_id: UUID, *, object_id: UUID) -> DeviceFacts:
    """Return the user's active device, if there is one and no other.

    :raises UnknownDeviceError: he has none.
    :raises DeviceRevokedError: he has none, because the operator revoked it.
    :raises SeveralDevicesError: he has several.
    """
    mine = Device.objects.filter(
        organization_id=organization_id, user_object_id=object_id
    ).exclude(state=Device.State.SIGNED_OFF)
    found = list(mine.order_by("state", "pk")[:3])
    active = [device for device in found if device.state == Device.State.ACTIVE]
    if len(active) > 1:
        raise SeveralDevicesError
    for device in active or found:
        _insist_on_permission(device)
        return _facts_of(device)
    raise UnknownDeviceError("There is no such device.")


def sign_off(organization_id: UUID, *, device_id: UUID, object_id: UUID) -> None:
    """Take the device's word that it deleted its data. Repeating is harmless.

    A revoked device stays revoked: this confirms that it was wiped, if that was
    ordered.

    :raises UnknownDeviceError: it is not registered, or another user's.
    """
    with transaction.atomic():
        device = _row(organization_id, device_id=device_id, lock=True)
        _insist_on_owner(device, object_id=object_id)
        same = Device.objects.filter(pk=device.pk)
        same.filter(state=Device.State.ACTIVE).update(state=Device.State.SIGNED_OFF)
        same.filter(wipe_ordered=True, wipe_confirmed_at=None).update(
            wipe_confirmed_at=Now()
        )
        same.update(last_seen_at=Now())
    _known.discard((organization_id, device_id))


def report_status(facts: DeviceFacts, *, report: StatusReport) -> None:
    Device.objects.filter(pk=facts.pk).update(
        pending_mutations=report.pending_mutations,
        last_error=report.last_error,
        free_bytes=report.free_bytes,
        reported_at=Now(),
        last_seen_at=Now(),
    )


def record_seen(facts: DeviceFacts) -> None:
    """Note that the device asked; at most once a minute, so that polls are cheap."""
    _record(facts, column="last_seen_at")


def record_completed(facts: DeviceFacts) -> None:
    """Note that the device was sent all there is; at most once a minute."""
    _record(facts, column="last_completed_at", syncs=F("syncs") + 1)


def revoke(pk: UUID, *, actor: str) -> None:
    """Refuse the device from now on; what it holds stays on it."""
    _decide(pk, actor=actor, verb="revoke device", state=Device.State.REVOKED)


def order_wipe(pk: UUID, *, actor: str) -> None:
    """Refuse the device, and tell it to delete what it holds."""
    _decide(
        pk,
        actor=actor,
        verb="wipe device",
        state=Device.State.REVOKED,
        wipe_ordered=True,
        wipe_confirmed_at=None,
    )


def restore(pk: UUID, *, actor: str) -> None:
    """Let a revoked device register again; it starts when it does so."""
    _decide(
        pk,
        actor=actor,
        verb="restore device",
        state=Device.State.SIGNED_OFF,
        wipe_ordered=False,
        wipe_confirmed_at=None,
    )


def forget() -> None:
    """Drop what is remembered, so that the next question asks the catalog."""
    _known.clear()
    _recorded.clear()


@transaction.atomic
def _decide(pk: UUID, *, actor: str, verb: str, **columns: object) -> None:
    """Write an operator's decision and its audit entry together."""
    device = Device.objects.select_for_update().get(pk=pk)
    Device.objects.filter(pk=pk).update(**columns)
    AuditEntry.objects.create(
        actor=actor,
        verb=verb,
        organization_id=device.organization_id,
        detail={"device": str(device.device_id), "user": str(device.user_id)},
    )
    place = (device.organization_id, device.device_id)
    transaction.on_commit(lambda: _known.discard(place))


def _record(facts: DeviceFacts, *, column: str, **counted: Combinable) -> None:
    if _recorded.get((facts.pk, column)):
        return
    _recorded.put((facts.pk, column), True)
    # Other processes hear from the same device, hence the condition.
    is_old = Q(**{f"{column}__isnull": True}) | Q(
        **{f"{column}__lt": Now() - RECORD_INTERVAL}
    )
    Device.objects.filter(is_old, pk=facts.pk).update(**{column: Now()}, **counted)


def _row(organization_id: UUID, *, device_id: UUID, lock: bool = False) -> Device:
    rows = Device.objects.filter(organization_id=organization_id, device_id=device_id)
    device = (rows.select_for_update() if lock else rows).first()
    if device is None:
        raise UnknownDeviceError("There is no such device.")
    return device


def _insist_on_owner(device: Device | DeviceFacts, *, object_id: UUID) -> None:
    if device.user_object_id != object_id:
        # The same words as for one that does not exist.
        raise UnknownDeviceError("There is no such device.")


def _insist_on_permission(device: Device | DeviceFacts) -> None:
    if device.state == Device.State.REVOKED:
        raise DeviceRevokedError(wipe=device.wipe_ordered)


def _facts_of(device: Device) -> DeviceFacts:
    return DeviceFacts(
        pk=device.pk,
        organization_id=device.organization_id,
        device_id=device.device_id,
        user_id=device.user_id,
        user_object_id=device.user_object_id,
        user_name=device.user_name,
        state=device.state,
        wipe_ordered=device.wipe_ordered,
    )
