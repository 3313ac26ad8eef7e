"""Devices in the admin: who syncs, how it fares, and the operator's verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from project.errors import SyncError
from provisioning.admin.reading import ReadOnly, Verb
from provisioning.templatetags.waystation import NOTHING, ago, badge, state_badge
from replication.services import oversight
from syncapi.models import Device
from syncapi.services import devices

_State = Device.State


def _by(decide: Callable[..., None]) -> Callable[[Device, str], None]:
    return lambda device, operator: decide(device.pk, actor=operator)


VERBS = (
    Verb(
        name="revoke",
        label=_("Revoke: refuse from now on"),
        act=_by(devices.revoke),
        icon="block",
        question=_("The device is refused from now on. What it holds stays on it."),
        fits=lambda device: device.state != _State.REVOKED,
    ),
    Verb(
        name="order_wipe",
        label=_("Wipe: revoke, and order the data deleted"),
        act=_by(devices.order_wipe),
        icon="mobile_off",
        question=_(
            "The device is refused, and told to delete all data the next time it asks."
            " Edits that it has not uploaded are lost."
        ),
        is_dangerous=True,
        fits=lambda device: not device.wipe_ordered,
    ),
    Verb(
        name="restore",
        label=_("Restore: may register again"),
        act=_by(devices.restore),
        icon="settings_backup_restore",
        fits=lambda device: device.state == _State.REVOKED,
    ),
)


@admin.register(Device)
class DeviceAdmin(ReadOnly):
    list_display = [
        "name_or_id",
        "user_name",
        "organization",
        "standing",
        "behind",
        "seen",
        "platform",
        "app_version",
        "pending_mutations",
        "last_error",
    ]
    list_filter = ["state", "wipe_ordered", "platform", "organization"]
    list_select_related = ["organization"]
    search_fields = ["=device_id", "=user_id", "user_name", "name"]
    ordering = ["-last_seen_at"]
    readonly_fields = ["position"]
    fields = [
        "organization",
        "user_name",
        "name",
        "state",
        "last_completed_at",
        "position",
        "last_seen_at",
        "pending_mutations",
        "last_error",
        "free_bytes",
        "reported_at",
        "wipe_ordered",
        "wipe_confirmed_at",
        "platform",
        "app_version",
        "device_id",
        "user_id",
        "user_object_id",
        "syncs",
    ]
    verbs = VERBS

    @admin.display(description=_("device"), ordering="name")
    def name_or_id(self, device: Device) -> str:
        return str(device)

    @admin.display(description=_("state"), ordering="state")
    def standing(self, device: Device) -> SafeString:
        return standing_of(device)

    @admin.display(description=_("behind by"), ordering="last_completed_at")
    def behind(self, device: Device) -> str:
        return ago(device.last_completed_at)

    @admin.display(description=_("last seen"), ordering="last_seen_at")
    def seen(self, device: Device) -> str:
        return ago(device.last_seen_at)

    @admin.display(description=_("changes behind"))
    def position(self, device: Device) -> str:
        """How far the device's last checkpoint is behind staging."""
        if not oversight.has_staging(device.organization):
            return NOTHING
        try:
            found = oversight.positions(
                device.organization_id, device_ids=[device.device_id]
            )
        except SyncError as error:
            return str(error)
        position = found.get(device.device_id)
        if position is None:
            return str(_("It has presented no checkpoint yet."))
        text = _("%(behind)d, at rev %(rev)d")
        return str(text % {"behind": position.behind, "rev": position.rev})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        device = self.get_object(request, object_id)
        title = {"title": str(device)} if device else {}
        return super().change_view(
            request, object_id, form_url, {**title, **(extra_context or {})}
        )


def standing_of(device: Device) -> SafeString:
    """The state, and what became of an ordered wipe."""
    if device.wipe_ordered and device.wipe_confirmed_at:
        return badge(_("wiped"), "quiet")
    if device.wipe_ordered:
        return badge(_("to be wiped"), "bad")
    return state_badge(device)
