"""Before its data goes, a device sends what the user has typed."""

from __future__ import annotations

import pytest

from sandbox.device.editor import Editor
from sandbox.device.errors import DeviceRevokedError, EditError, OfflineNotAllowedError
from tests.sandbox.device.answers import ADA, GRACE
from tests.sandbox.device.scripted import Answer, problem
from tests.sandbox.device.test_uploads import (
    CHANGES,
    DEVICE,
    POST,
    TABLET,
    accepting,
    taken,
)
from tests.sandbox.device.upload_service import UploadService


@pytest.fixture
def service():
    with UploadService() as running:
        running.put(ADA, name="Ada", city="London")
        running.put(GRACE, name="Grace", city="Arlington")
        yield running


@pytest.fixture
def device(make_device):
    made = make_device()
    made.register(**TABLET)
    made.sync()
    return made


@pytest.fixture
def editor(device):
    return Editor(device.store)


def test_an_ordered_wipe_sends_unsent_edits_first(service, device, editor):
    service.answer(CHANGES, problem(403, "offline_not_allowed", wipe=True))
    service.answer(POST, problem(503, "unavailable"), accepting(service))
    editor.update("account", ADA, {"name": "A"})

    with pytest.raises(OfflineNotAllowedError) as caught:
        device.sync()

    assert (caught.value.wiped, taken(service)) == (True, [(1, "update")])
    assert (device.store.tables(), editor.edits()) == ((), [])
    order = [f"{seen.method} {seen.path}" for seen in service.seen]
    assert order.index(POST) < order.index(f"DELETE {DEVICE}")


def test_an_ordered_wipe_waits_for_edits_that_cannot_be_sent_yet(
    service, make_device, device
):
    editor = Editor(device.store)
    impatient = make_device(store=device.store, retries=1)
    service.answer(POST, problem(403, "device_revoked", wipe=True))
    editor.update("account", ADA, {"name": "A"})
    service.answer(
        POST,
        problem(403, "device_revoked", wipe=True),
        problem(503, "unavailable"),
    )

    with pytest.raises(DeviceRevokedError) as caught:
        impatient.sync()

    kept = editor.pending().unsent
    service.answer(POST, accepting(service))
    service.answer(f"POST {DEVICE}/status", Answer(status=204))
    impatient.report_status()
    assert (caught.value.wiped, kept, taken(service)) == (False, 1, [(1, "update")])
    assert (device.store.tables(), device.store.owner()) == ((), {})


def test_an_ordered_wipe_is_not_held_up_by_a_service_that_takes_no_edits(
    service, device, editor
):
    editor.update("account", ADA, {"name": "A"})
    service.answer(POST, problem(403, "device_revoked", wipe=True))

    with pytest.raises(DeviceRevokedError) as caught:
        device.sync()

    assert caught.value.wiped
    assert device.store.tables() == ()


def test_signing_off_sends_edits_and_asks_about_what_failed(service, device, editor):
    edit = editor.update("account", ADA, {"name": "A"})
    service.judge = lambda _: "Not so."
    device.sync()
    service.decide()
    device.sync()
    editor.update("account", GRACE, {"name": "G"})

    with pytest.raises(EditError, match="1 edits failed"):
        device.sign_off()

    assert taken(service) == [(1, "update"), (2, "update")]
    editor.undo(edit.number)
    device.sign_off()
    assert device.store.owner() == {}


def test_signing_off_may_give_edits_up(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    service.answer(POST, problem(503, "unavailable"))

    device.sign_off(discard=True)

    assert device.store.owner() == {}
