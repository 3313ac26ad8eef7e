"""Devices in the Django admin: seen, revoked, wiped and restored."""

from __future__ import annotations

import pytest
from django.urls import reverse

from provisioning.models import AuditEntry
from syncapi.models import Device
from tests.syncapi import factories

LIST = "admin:syncapi_device_changelist"


@pytest.fixture
def device(contoso):
    return factories.device(contoso, last_error="Disk full")


def test_the_list_shows_what_decides(operator, device, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        page = operator.get(reverse(LIST)).text

    for shown in ("contoso", "Ada", "active", "Disk full"):
        assert shown in page


@pytest.mark.parametrize(
    ("action", "state"),
    [("revoke", "revoked"), ("order_wipe", "revoked"), ("restore", "signed_off")],
)
def test_each_verb_is_an_action_with_an_audit_entry(operator, device, action, state):
    chosen = {"action": action, "_selected_action": [str(device.pk)]}

    operator.post(reverse(LIST), {**chosen, "confirmed": "yes"})

    device.refresh_from_db()
    assert (device.state, device.wipe_ordered) == (state, action == "order_wipe")
    assert AuditEntry.objects.get().actor == "olga"


def test_nobody_adds_edits_or_deletes_devices_by_hand(operator, device):
    page = reverse("admin:syncapi_device_change", args=[device.pk])

    assert operator.get(page).status_code == 200
    operator.post(page, {"state": "revoked"})
    assert operator.get(reverse("admin:syncapi_device_add")).status_code == 403
    delete = reverse("admin:syncapi_device_delete", args=[device.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 403
    device.refresh_from_db()
    assert (Device.objects.count(), device.state) == (1, "active")


def test_staff_without_the_permission_have_no_actions(
    client, device, django_user_model
):
    eve = django_user_model.objects.create(username="eve", is_staff=True)
    client.force_login(eve)

    assert client.get(reverse(LIST)).status_code == 403
