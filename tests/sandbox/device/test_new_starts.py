"""Service or device came from a backup: what is not confirmed is sent again, in order."""

from __future__ import annotations

import pytest

from sandbox.device.editor import Editor
from sandbox.device.errors import UnavailableError
from tests.sandbox.device.answers import ADA, EDSGER, GRACE, names
from tests.sandbox.device.scripted import Answer, json_answer
from tests.sandbox.device.test_uploads import MUTATIONS, TABLET, sent, taken
from tests.sandbox.device.upload_service import UploadService

OUTCOMES = f"GET {MUTATIONS}"


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


def test_after_a_new_start_unconfirmed_edits_are_sent_again(service, device, editor):
    service.back_up()
    editor.update("account", ADA, {"name": "A"})
    device.sync()
    service.restore()

    device.sync()

    assert (taken(service), service.memory.epoch) == ([(1, "update")], 2)
    service.decide()
    device.sync()
    assert (editor.edits(), names(device.store)[ADA]) == ([], "A")


def test_a_new_start_without_a_loss_repeats_harmlessly(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    device.sync()
    service.back_up()
    service.restore()

    device.sync()
    service.decide()
    device.sync()

    assert (taken(service), sent(service)) == ([(1, "update")], [[1], [1]])
    assert editor.edits() == []


def test_what_a_restored_service_forgot_goes_before_what_was_made_later(
    service, device, editor
):
    service.back_up()
    made = editor.create("account", {"name": "Edsger"})
    device.sync()
    service.restore()
    editor.update("account", made.key, {"city": "Nuenen"})

    device.sync()

    assert taken(service) == [(1, "create"), (2, "update")]


def test_what_was_accepted_without_a_checkpoint_is_told_again_after_a_restore(
    service, device, editor
):
    service.back_up()
    editor.update("account", ADA, {"name": "A"})
    device.store.forget_checkpoint()
    device.upload()
    service.restore()

    device.sync()

    assert taken(service) == [(1, "update")]
    service.decide()
    device.sync()
    assert (editor.edits(), names(device.store)[ADA]) == ([], "A")


def test_a_new_start_that_broke_off_does_not_hide_what_was_forgotten(
    service, make_device, device, editor
):
    service.back_up()
    editor.update("account", ADA, {"name": "A"})
    device.store.forget_checkpoint()
    device.upload()
    service.restore()
    service.answer(OUTCOMES, Answer(cut=0), json_answer({"outcomes": []}))
    with pytest.raises(UnavailableError):
        make_device(store=device.store, retries=0).sync()

    device.sync()

    assert taken(service) == [(1, "update")]


def test_an_applied_edit_that_was_forgotten_goes_when_the_rows_have_come(
    service, device, editor
):
    service.back_up()
    editor.update("account", ADA, {"name": "A"})
    device.sync()
    service.decide()
    device.store.forget_checkpoint()
    device.upload()
    service.restore()

    device.sync()
    device.sync()

    assert (editor.edits(), taken(service)) == ([], [])
    assert names(device.store)[ADA] == "A"


def test_a_new_start_asks_once_how_accepted_edits_stand(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    device.store.forget_checkpoint()

    device.sync()
    asked = len(service.requests(OUTCOMES))
    device.sync()

    assert asked > 0
    assert (sent(service), len(service.requests(OUTCOMES))) == ([[1]], asked)


def test_voids_take_the_sequences_of_what_is_settled_and_was_forgotten(
    service, device, editor
):
    service.back_up()
    editor.update("account", ADA, {"name": "A"})
    device.sync()
    editor.update("account", GRACE, {"name": "G"})
    editor.update("account", ADA, {"name": "B"})
    service.decide()
    device.upload()
    service.memory.mutations[0].rev = service.memory.mutations[1].rev = 0
    service.decide(most=1)
    device.sync()
    service.restore()

    device.sync()
    service.decide()
    device.sync()

    assert editor.edits() == []
    assert names(device.store) == {ADA: "B", GRACE: "G"}
    assert len(service.journal) == len(set(service.journal)) == 3


def test_a_gap_that_the_service_names_is_filled_with_voids(service, device, editor):
    device.store.start_sequences_at(4)
    editor.update("account", ADA, {"name": "A"})

    device.sync()

    assert taken(service) == [(1, "void"), (2, "void"), (3, "void"), (4, "update")]


def test_a_device_that_was_restored_itself_moves_behind_what_it_forgot(
    service, device, editor
):
    service.accept(
        {"mutations": [{"id": EDSGER, "sequence": 1, "op": "void"}]},
    )
    editor.update("account", ADA, {"name": "A"})
    editor.update("account", ADA, {"name": "B"})

    device.sync()

    assert taken(service) == [(1, "void"), (2, "update"), (3, "update")]
    assert editor.update("account", ADA, {"name": "C"}).sequence == 4


def test_an_outcome_that_never_came_is_asked_for(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    device.sync()
    service.decide()
    service.memory.mutations[0].rev = 0

    device.sync()
    device.sync()

    assert editor.edits() == []
