"""A sync asks until nothing is missing, whatever the service has to say."""

from __future__ import annotations

import pytest

from sandbox.device.downloads import Progress
from sandbox.device.errors import ProtocolError
from tests.sandbox.device.answers import (
    ADA,
    EDSGER,
    GRACE,
    checkpoint,
    complete,
    delta,
    download,
    model,
    names,
    reset,
    rows,
    snapshot,
    state,
    table,
)
from tests.sandbox.device.conftest import DEVICE_ID
from tests.sandbox.device.scripted import (
    ENCODERS,
    Answer,
    Download,
    ScriptedService,
    json_answer,
    ndjson,
    nothing_new,
    problem,
)

MODEL = "GET /sync/v1/orgs/contoso/model"
CHANGES = "GET /sync/v1/orgs/contoso/changes"
M1 = model("M1", table("account"), table("contact"))
M2 = model("M2", table("account", name="string", city="string"))
LINES = [
    snapshot(M1),
    rows("account", [ADA, "Ada", "1"], [GRACE, "Grace", "1"]),
    checkpoint("k1", rows=2, expected_rows=3),
    rows("contact", [EDSGER, "Edsger", "1"]),
    rows("account", deletes=[GRACE]),
    complete("k2", rows=3, expected_rows=3),
]


@pytest.fixture
def service():
    with ScriptedService() as running:
        running.answer(MODEL, json_answer(M1))
        running.answer(CHANGES, Download(LINES))
        yield running


def test_a_first_sync_brings_the_model_and_all_rows(service, device):
    result = device.sync(digest=False)

    assert (names(device.store), device.store.checkpoint) == ({ADA: "Ada"}, "k2")
    assert (result.rows, result.deletes, result.answers) == (3, 1, 1)
    assert (result.complete, result.digest_equal) == (True, None)
    (asked,) = service.requests(CHANGES)
    assert asked.query == {"device": DEVICE_ID, "model": "M1"}
    assert asked.headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_an_answer_may_come_in_each_encoding(service, device, encoding):
    service.answer(MODEL, json_answer(M1, encoding=encoding))
    service.answer(CHANGES, Download(LINES, encoding=encoding))

    result = device.sync()

    assert names(device.store) == {ADA: "Ada"}
    assert result.bytes > 0


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_answer_may_be_joined_from_several(service, device, encoding):
    body = b"".join(map(ENCODERS[encoding], LINES))
    service.answer(CHANGES, Answer(body=body, headers={"Content-Encoding": encoding}))

    device.sync()

    assert (names(device.store), device.store.checkpoint) == ({ADA: "Ada"}, "k2")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_row_that_compresses_extremely_arrives_whole(service, device, encoding):
    text = "a" * 3_000_000
    lines = download(M1, [ADA, text, "1"])
    service.answer(CHANGES, ndjson(lines, encoding=encoding))

    device.sync()

    assert names(device.store) == {ADA: text}


def test_an_encoding_that_nobody_asked_for_is_refused(service, device):
    service.answer(CHANGES, Answer(body=b"?", headers={"Content-Encoding": "br"}))

    with pytest.raises(ProtocolError, match="br"):
        device.sync()


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_a_connection_cut_at_any_byte_resumes_to_the_exact_state(
    service, make_device, encoding
):
    whole = make_device()
    size = whole.sync().bytes
    service.answer(CHANGES, Download(LINES, encoding=encoding))

    for position in range(0, size, 19):
        service.answer(CHANGES, Download(LINES, cuts=[position], encoding=encoding))
        device = make_device()

        device.sync()

        assert state(device.store) == state(whole.store)


def test_a_connection_cut_again_and_again_still_arrives_with_waits(
    service, device, waits
):
    service.answer(CHANGES, Download(LINES, cuts=[700, 100, 300, 0]))

    device.sync()

    assert names(device.store) == {ADA: "Ada"}
    assert (len(service.requests(CHANGES)), len(waits)) == (5, 4)


def test_an_answer_that_ends_incomplete_is_continued_at_once(service, device, waits):
    service.answer(CHANGES, ndjson(LINES[:3]), Download(LINES))

    result = device.sync()

    assert [seen.query.get("checkpoint") for seen in service.requests(CHANGES)] == [
        None,
        "k1",
    ]
    assert (names(device.store), result.answers, waits) == ({ADA: "Ada"}, 2, [])


def test_nothing_new_moves_the_checkpoint_and_ends_the_sync(service, device):
    device.sync()
    service.answer(CHANGES, nothing_new("k3"))

    result = device.sync()

    assert (device.store.checkpoint, result.complete) == ("k3", True)
    assert service.requests(CHANGES)[-1].query["checkpoint"] == "k2"


def test_progress_is_told_at_every_checkpoint(device):
    told: list[Progress] = []

    device.sync(progress=told.append)

    assert [(now.rows, now.downloaded_rows, now.expected_rows) for now in told] == [
        (2, 2, 3),
        (3, 3, 3),
    ]


def test_a_new_model_is_fetched_and_adopted(service, device):
    device.sync()
    service.answer(MODEL, json_answer(M2))
    changed = [
        delta(M2),
        reset("account"),
        rows("account", [ADA, "Ada", "London", "2"]),
        complete("k3"),
    ]
    service.answer(CHANGES, problem(409, "model_changed"), ndjson(changed))

    device.sync()

    assert device.store.tables() == ("account",)
    assert device.store.rows("account")[ADA]["city"] == "London"
    last = service.requests(CHANGES)[-1].query
    assert (last["model"], last["checkpoint"]) == ("M2", "k2")


def test_a_model_that_changes_back_before_a_checkpoint_loses_nothing(service, device):
    device.sync()
    service.answer(MODEL, json_answer(M2), json_answer(M1))
    service.answer(
        CHANGES,
        problem(409, "model_changed"),
        ndjson([delta(M2), reset("account"), complete("k9")], cut=150),
        problem(409, "model_changed"),
        ndjson([delta(M1), complete("k3")]),
    )

    device.sync()

    assert names(device.store) == {ADA: "Ada"}
    assert names(device.store, "contact") == {EDSGER: "Edsger"}


def test_a_model_that_never_stands_still_is_reported(service, device):
    service.answer(CHANGES, problem(409, "model_changed"))

    with pytest.raises(ProtocolError, match="circles"):
        device.sync()


def test_a_checkpoint_that_is_too_old_starts_again_and_keeps_the_data(service, device):
    device.sync()
    again = [
        snapshot(M1, "c2"),
        rows("account", [GRACE, "Grace", "9"]),
        checkpoint("k8"),
        complete("k9"),
    ]
    service.answer(CHANGES, problem(410, "resync_required"), ndjson(again))
    held = []

    device.sync(progress=lambda _progress: held.append(names(device.store)))

    assert held == [{ADA: "Ada", GRACE: "Grace"}, {GRACE: "Grace"}]
    assert "checkpoint" not in service.requests(CHANGES)[-1].query


def test_a_table_whose_digest_differs_is_asked_for_in_full_once(service, device):
    right = {"account": [0, "0" * 16], "contact": [0, "0" * 16]}
    service.answer(
        CHANGES,
        ndjson(
            [
                snapshot(M1),
                rows("account", [ADA, "Ada", "1"]),
                complete("k1", digest=right),
            ]
        ),
        ndjson([delta(M1), reset("account"), complete("k2", digest=right)]),
    )

    result = device.sync()

    assert (result.digest_equal, result.differed) == (True, ("account",))
    assert names(device.store) == {}
    first, second = service.requests(CHANGES)
    assert (first.query["digest"], first.query.get("reset")) == ("1", None)
    assert second.query["reset"] == "account"


def test_a_digest_that_differs_even_after_a_reset_is_reported(service, device):
    wrong = {"account": [7, "0" * 16]}
    service.answer(
        CHANGES,
        ndjson([snapshot(M1), complete("k1", digest=wrong)]),
        ndjson([delta(M1), reset("account"), complete("k2", digest=wrong)]),
    )

    result = device.sync()

    assert (result.digest_equal, len(service.requests(CHANGES))) == (False, 2)
