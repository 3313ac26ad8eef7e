"""The whole service: edits of a device, made offline, reach the source and come back."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.device.editor import Editor, Link
from sandbox.device.errors import OfflineNotAllowedError
from tests.endtoend.conftest import ORGANIZATION
from tests.project.processes import eventually

pytestmark = [pytest.mark.serial, pytest.mark.xdist_group("stack")]

WRITABLE = {
    "items": [
        {"table": table, "records": "all", "writable": True}
        for table in ("account", "contact", "task")
    ],
    "assignments": {"everyone": True},
}


@pytest.fixture(scope="module")
def contoso(service):
    service.provision()
    eventually(lambda: service.state() == "active")
    service.administration.save_profile(ORGANIZATION, name="Field", document=WRITABLE)
    service.administration.publish_profiles(ORGANIZATION)
    return service


@pytest.fixture
def device(contoso, tmp_path):
    with contoso.device("ada", tmp_path) as made:
        eventually(lambda: has_rows(made))
        yield made


def has_rows(device) -> bool:
    """Sync; False while the rules that the profile needs are built."""
    try:
        device.sync()
    except OfflineNotAllowedError:
        return False
    return bool(device.store.rows("account"))


def is_settled(device) -> bool:
    device.sync()
    return not Editor(device.store).edits()


def test_what_is_made_changed_and_deleted_offline_is_so_everywhere(
    contoso, device, tmp_path
):
    editor = Editor(device.store)
    kept = editor.create("task", {"subject": "Call back"})
    key = str(kept.key)
    gone = editor.create("task", {"subject": "Never mind"})
    editor.update("task", key, {"subject": "Call back tomorrow"})
    editor.delete("task", str(gone.key))

    eventually(lambda: is_settled(device))

    synced = device.store.rows("task")
    assert synced[key]["subject"] == "Call back tomorrow"
    assert gone.key not in synced
    assert {key, gone.key} & contoso.visible("ada", "task") == {key}
    other = tmp_path / "other"
    other.mkdir()
    with contoso.device("ada", other) as second:
        second.sync()
        assert second.store.rows("task")[key] == synced[key]


def test_an_edit_that_the_source_refuses_waits_for_the_user(device):
    editor = Editor(device.store)
    edit = editor.create("task", {"subject": "x" * 10_000})

    eventually(lambda: device.sync() and editor.pending().failed == 1)

    (dispute,) = editor.disputes()
    assert (dispute.edit.number, dispute.edit.status) == (edit.number, "rejected")
    assert editor.rows("task")[str(edit.key)]["subject"] == "x" * 10_000
    editor.undo(edit.number)
    assert str(edit.key) not in editor.rows("task")


def test_rows_are_associated_and_parted(contoso, device):
    editor = Editor(device.store)
    account = editor.create("account", {"name": "Around"})
    contact = editor.create("contact", {"lastname": "Within"})
    pair: dict[str, Any] = {
        "table": "account",
        "key": str(account.key),
        "relationship": "contact_customer_accounts",
        "other_key": str(contact.key),
    }

    def customer():
        device.sync()
        return device.store.rows("contact")[str(contact.key)]["parentcustomerid"]

    editor.edit(Link(**pair))
    eventually(lambda: is_settled(device))
    eventually(lambda: customer() == account.key)
    editor.edit(Link(**pair, is_removed=True))
    eventually(lambda: is_settled(device))
    eventually(lambda: customer() is None)
