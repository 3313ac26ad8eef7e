"""The source's tables change while the whole service runs, and devices follow."""

from __future__ import annotations

import pytest

from sandbox.device.errors import OfflineNotAllowedError
from tests.project.processes import eventually

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("stack")]


@pytest.fixture
def ada(service, tmp_path):
    """Ada's device, which has downloaded everything."""
    if not service.state():
        service.provision()
        eventually(lambda: service.state() == "active")
        service.publish()
    with service.device("ada", tmp_path) as device:
        eventually(lambda: has_rows(device))
        yield device


def has_rows(device):
    try:
        return device.sync().rows
    except OfflineNotAllowedError:
        # What is published takes effect with the next pull.
        return 0


def columns(device):
    device.sync()
    rows = list(device.store.rows("account").values())
    return set(rows[0])


def change(service, kind, **more):
    service.sandbox("metadata", body={"kind": kind, "table": "account", **more})


def test_devices_get_columns_lose_them_and_keep_their_rows(service, ada):
    held = set(ada.store.rows("account"))

    grade = {"name": "cr_grade", "type": "String", "max_length": 5, "default": "b"}
    change(service, "add_column", column=grade)
    eventually(lambda: "cr_grade" in columns(ada))
    grades = {row["cr_grade"] for row in ada.store.rows("account").values()}
    change(service, "change_column", name="numberofemployees", type="Decimal")
    eventually(
        lambda: any(
            isinstance(row["numberofemployees"], str)
            for row in synced(ada).store.rows("account").values()
        )
    )
    change(service, "remove_column", name="cr_grade")
    eventually(lambda: "cr_grade" not in columns(ada))

    assert grades == {"b"}
    assert set(ada.store.rows("account")) == held == service.visible("ada", "account")


def synced(device):
    device.sync()
    return device
