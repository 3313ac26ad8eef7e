"""Edits reach the service in order and each once, whatever is lost on the way."""

from __future__ import annotations

import json

import pytest

from sandbox.device.editor import Create, Editor, Update
from sandbox.device.errors import (
    EditError,
    MalformedRequestError,
    OfflineNotAllowedError,
    ProtocolError,
    UnavailableError,
)
from tests.sandbox.device.answers import ADA, EDSGER, GRACE, names
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import Answer, json_answer, problem
from tests.sandbox.device.upload_service import MODEL, UploadService

MUTATIONS = "/sync/v1/orgs/contoso/mutations"
POST = f"POST {MUTATIONS}"
CHANGES = "GET /sync/v1/orgs/contoso/changes"
DEVICE = f"/sync/v1/orgs/contoso/devices/{DEVICE_ID}"
TABLET = {"name": "Tablet", "platform": "test", "app_version": "1"}


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


def taken(service) -> list[tuple[int, str]]:
    """What the service took: sequences and operations."""
    return [(m.sequence, str(m.document["op"])) for m in service.memory.mutations]


def sent(service) -> list[list[int]]:
    """The sequences of each request with mutations."""
    requests = [json.loads(seen.body) for seen in service.requests(POST)]
    return [[m["sequence"] for m in body["mutations"]] for body in requests]


def lost(reply):
    """The service did its work, but the answer never arrives."""

    def cut(seen) -> Answer:
        answer = reply(seen)
        return Answer(status=answer.status, body=answer.body, cut=0)

    return cut


def accepting(service):
    return lambda seen: service.accept(json.loads(seen.body))


def test_a_sync_sends_edits_before_it_downloads(service, device, editor):
    editor.update("account", ADA, {"name": "Countess"})
    editor.create("account", {"name": "Edsger"})

    result = device.sync()

    assert result.sent == 2
    assert taken(service) == [(1, "update"), (2, "create")]
    assert editor.pending().undecided == 2


def test_what_was_decided_comes_back_as_synced_rows(service, device, editor):
    editor.update("account", ADA, {"name": "Countess"})
    editor.delete("account", GRACE)
    device.sync()
    service.decide()

    device.sync()

    assert names(device.store) == {ADA: "Countess"}
    assert (editor.edits(), editor.rows("account")) == (
        [],
        device.store.rows("account"),
    )


def test_a_device_with_nothing_to_send_asks_for_nothing(service, device):
    device.sync()

    assert [seen for seen in service.seen if seen.path == MUTATIONS] == []


def test_an_answer_that_is_lost_makes_the_device_send_the_same_again(
    service, device, editor, waits
):
    editor.update("account", ADA, {"name": "Countess"})
    service.answer(POST, lost(accepting(service)), accepting(service))

    device.sync()

    assert taken(service) == [(1, "update")]
    assert [seen.body for seen in service.requests(POST)] == [
        service.requests(POST)[0].body
    ] * 2
    assert len(waits) == 1


def test_an_edit_whose_request_may_have_arrived_cannot_be_taken_back(
    service, make_device, device
):
    editor = Editor(device.store)
    edit = editor.update("account", ADA, {"name": "Countess"})
    service.answer(POST, Answer(cut=0))
    impatient = make_device(store=device.store, retries=0)
    with pytest.raises(UnavailableError):
        impatient.sync()

    with pytest.raises(EditError, match="on its way"):
        editor.undo(edit.number)


def test_edits_go_out_in_as_many_requests_as_the_limits_ask_for(
    service, device, editor
):
    for seats in range(5):
        editor.update("account", ADA, {"name": f"Ada {seats}"})
    adopt(device, {**MODEL, "limits": {"mutations_per_request": 2}})

    device.upload()

    assert sent(service) == [[1, 2], [3, 4], [5]]


def test_a_group_is_never_cut(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    editor.edit(*(Update("account", ADA, {"name": name}) for name in "BCD"))
    editor.update("account", ADA, {"name": "E"})
    adopt(device, {**MODEL, "limits": {"mutations_per_request": 3}})

    device.upload()

    assert sent(service) == [[1], [2, 3, 4], [5]]


def test_a_request_stays_below_the_bytes_that_the_service_takes(
    service, device, editor
):
    adopt(device, {**MODEL, "limits": {"request_bytes": 5_000}})
    for _ in range(5):
        editor.update("account", ADA, {"name": "a" * 1_000})

    device.upload()

    assert all(len(seen.body) <= 5_000 for seen in service.requests(POST))
    assert sent(service) == [[1, 2], [3, 4], [5]]


def test_a_service_that_takes_less_than_it_said_gets_less(service, device, editor):
    for name in "ABCDE":
        editor.update("account", ADA, {"name": name})
    service.most_per_request = 2

    device.upload()

    assert [sequence for sequence, _ in taken(service)] == [1, 2, 3, 4, 5]


def test_an_edit_that_is_too_large_alone_is_rejected_and_wedges_nothing(
    service, device, editor
):
    editor.update("account", ADA, {"name": "a" * 5_000})
    editor.update("account", GRACE, {"name": "G"})

    def small_only(seen):
        if len(seen.body) > 4_000:
            return problem(413, "too_large", detail="The body may have 4000 bytes.")
        return service.accept(json.loads(seen.body))

    service.answer(POST, small_only)

    device.upload()

    assert taken(service) == [(1, "void"), (2, "update")]
    (dispute,) = editor.disputes()
    assert (dispute.edit.reason, len(editor.row("account", ADA)["name"])) == (
        "too_large",
        5_000,
    )


def test_a_mutation_that_the_service_cannot_read_wedges_nothing(
    service, device, editor
):
    for name in ("A", "unreadable", "C"):
        editor.update("account", ADA, {"name": name})

    def picky(seen):
        mutations = json.loads(seen.body)["mutations"]
        for number, mutation in enumerate(mutations):
            if mutation.get("values") == {"name": "unreadable"}:
                said = {"member": f"mutations[{number}].values", "message": "no"}
                return problem(400, "malformed", errors=[said])
        return service.accept(json.loads(seen.body))

    service.answer(POST, picky)

    device.upload()

    assert taken(service) == [(1, "update"), (2, "void"), (3, "update")]
    assert [dispute.mine for dispute in editor.disputes()] == [{"name": "unreadable"}]


def test_a_request_that_is_malformed_as_a_whole_keeps_the_edits_and_the_rows_coming(
    service, device, editor
):
    editor.update("account", ADA, {"name": "A"})
    service.put(EDSGER, name="Edsger")
    said = {"member": "device", "message": "is missing"}
    service.answer(POST, problem(400, "malformed", errors=[said]))

    with pytest.raises(MalformedRequestError):
        device.sync()

    assert (editor.pending().unsent, len(names(device.store))) == (1, 3)


def test_an_answer_that_leaves_a_mutation_out_is_no_answer(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    service.answer(POST, json_answer({"outcomes": []}))

    with pytest.raises(ProtocolError):
        device.upload()

    assert editor.pending().unsent == 1


def test_a_status_that_nobody_knows_yet_is_passed_over(service, device, editor):
    edit = editor.update("account", ADA, {"name": "A"})
    told = [
        {"id": edit.id, "sequence": 1, "status": "accepted"},
        {"id": edit.id, "sequence": 1, "status": "pondered"},
    ]
    service.answer(POST, json_answer({"outcomes": told}))

    device.upload()

    assert editor.pending().undecided == 1


def test_uploads_stay_open_when_the_user_may_not_go_offline(service, device, editor):
    editor.update("account", ADA, {"name": "A"})
    service.answer(CHANGES, problem(403, "offline_not_allowed"))

    with pytest.raises(OfflineNotAllowedError):
        device.sync()

    assert taken(service) == [(1, "update")]


def test_the_operator_hears_how_many_edits_are_unsent(service, device, editor):
    editor.edit(Create("account", {"name": "A"}), Create("account", {"name": "B"}))
    service.answer(f"POST {DEVICE}/status", Answer(status=204))

    device.report_status()

    (told,) = service.requests(f"POST {DEVICE}/status")
    assert json.loads(told.body)["pending_mutations"] == 2


def adopt(device, document) -> None:
    """Let the store have this model as if it had been downloaded."""
    device.store.advance(device.store.checkpoint, model=document)
