"""A download that breaks off anywhere continues to the state of an unbroken one."""

from __future__ import annotations

import pytest

from sandbox.device.errors import ProtocolError, StoreError
from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    EDSGER,
    GRACE,
    checkpoint,
    complete,
    delta,
    download,
    line,
    model,
    names,
    remaining,
    reset,
    rows,
    snapshot,
    state,
    table,
)

M1 = model("M1", table("account"), table("contact"))
M2 = model("M2", table("account", name="string", city="string"), table("task"))

FIRST_DOWNLOAD = [
    snapshot(M1),
    rows("account", [ADA, "Ada", "1"], [GRACE, "Grace", "1"]),
    checkpoint("k1", rows=2),
    rows("account", [ADA, "Ada Lovelace", "2"], deletes=[GRACE]),
    rows("contact", [EDSGER, "Edsger", "1"]),
    checkpoint("k2", rows=4),
    complete("k3", rows=4),
]
AGAIN = [
    snapshot(M1, "c2"),
    rows("account", [GRACE, "Grace Hopper", "5"]),
    checkpoint("k8"),
    rows("account", deletes=[ADA]),
    rows("contact", [ADA, "Ada", "1"]),
    complete("k9"),
]
CHANGES = [
    delta(M1),
    rows("account", [EDSGER, "Edsger", "7"], deletes=[ADA, GRACE]),
    checkpoint("k8"),
    rows("contact", deletes=[EDSGER]),
    complete("k9"),
]
NEW_MODEL = [
    delta(M2),
    reset("account"),
    rows("account", [ADA, "Ada", "London", "9"]),
    checkpoint("k8"),
    rows("task", [GRACE, "Call back", "1"]),
    checkpoint("k9"),
    rows("account", [EDSGER, "Edsger", "Rotterdam", "9"]),
    complete("k10"),
]


def stored(*answers, document=None):
    """Return a store to which these answers came, the last one under `document`."""
    store = Store()
    for number, lines in enumerate(answers):
        store.apply(lines, model=M1 if number == 0 else document)
    return store


STORIES = [
    pytest.param([], FIRST_DOWNLOAD, M1, id="first download"),
    pytest.param([FIRST_DOWNLOAD], AGAIN, M1, id="a second snapshot"),
    pytest.param([FIRST_DOWNLOAD], CHANGES, M1, id="changes"),
    pytest.param([FIRST_DOWNLOAD], NEW_MODEL, M2, id="a new model"),
]


def prepared(before, lines):
    store = stored(*before)
    if lines is AGAIN:
        store.forget_checkpoint()
    return store


def cut_and_continued(store, lines, document, *, pieces):
    store.apply(pieces, model=document)
    store.apply(remaining(lines, store.checkpoint), model=document)
    return state(store)


@pytest.mark.parametrize(("before", "lines", "document"), STORIES)
def test_a_download_cut_after_any_line_resumes_to_the_exact_state(
    before, lines, document
):
    unbroken = prepared(before, lines)
    unbroken.apply(lines, model=document)

    states = [
        cut_and_continued(
            prepared(before, lines), lines, document, pieces=lines[:number]
        )
        for number in range(len(lines))
    ]

    assert states == [state(unbroken)] * len(lines)


@pytest.mark.parametrize(("before", "lines", "document"), STORIES)
def test_a_download_cut_inside_a_line_resumes_to_the_exact_state(
    before, lines, document
):
    unbroken = prepared(before, lines)
    unbroken.apply(lines, model=document)
    whole = b"".join(lines)
    positions = range(1, len(whole) - len(lines[-1]), 3)

    states = [
        cut_and_continued(
            prepared(before, lines),
            lines,
            document,
            pieces=whole[:position].splitlines(keepends=True),
        )
        for position in positions
    ]

    assert states == [state(unbroken)] * len(positions)


@pytest.mark.parametrize(("before", "lines", "document"), STORIES)
def test_nothing_is_kept_that_follows_the_last_checkpoint_line(before, lines, document):
    for number in range(1, len(lines)):
        store, exact = prepared(before, lines), prepared(before, lines)
        ends = [n for n in range(number) if b'"checkpoint",' in lines[n]]

        store.apply(lines[:number], model=document)

        if ends:
            exact.apply(lines[: ends[-1] + 1], model=document)
        assert state(store) == state(exact)


def test_what_follows_a_complete_line_is_not_read():
    lines = download(M1, [ADA, "Ada", "1"])

    store = stored(
        [*lines, rows("account", deletes=[ADA]), checkpoint("k2"), b"<html>"]
    )

    assert (names(store), store.checkpoint) == ({ADA: "Ada"}, "k1")


def test_a_row_that_comes_again_has_its_last_value():
    store = stored(
        [
            snapshot(M1),
            rows("account", [ADA, "Ada", "1"]),
            rows("account", [ADA, "Ada Lovelace", "2"]),
            complete("k1"),
        ]
    )

    assert names(store) == {ADA: "Ada Lovelace"}


def test_deleting_an_unknown_row_is_no_error():
    store = stored(download(M1, [ADA, "Ada", "1"]))

    result = store.apply([delta(M1), rows("account", deletes=[GRACE]), complete("k2")])

    assert (names(store), result.deletes) == ({ADA: "Ada"}, 0)


def test_unknown_messages_members_and_columns_are_ignored():
    begin = {
        "type": "begin",
        "kind": "snapshot",
        "snapshot": "c1",
        "model": "M1",
        "weather": "fine",
        "columns": {"account": ["id", "mood", "name", "_version"]},
    }
    store = Store()

    store.apply(
        [
            line({"type": "advertisement", "text": "Buy!"}),
            line(begin),
            line({"type": "advertisement", "text": "Buy!"}),
            rows("account", [ADA, "glad", "Ada", "1"]),
            line({"type": "outcomes", "outcomes": [{"id": ADA, "status": "odd"}]}),
            b"\n",
            complete("k1", colour="green"),
        ],
        model=M1,
    )

    assert (names(store), store.checkpoint) == ({ADA: "Ada"}, "k1")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([b"<html>\n"], id="not JSON"),
        pytest.param([b"[]\n"], id="no message"),
        pytest.param([snapshot(M1)], id="a second begin"),
        pytest.param([rows("lead", [ADA, "Ada", "1"])], id="a table never announced"),
        pytest.param([rows("account", [ADA, "Ada"])], id="a row too short"),
        pytest.param([rows("account", [ADA, 5, "1"])], id="a number as a string"),
        pytest.param([rows("account", [ADA, "Ada", None])], id="no version"),
        pytest.param([rows("account", [None, "Ada", "1"])], id="no key"),
        pytest.param([rows("account", [ADA, "\ud800", "1"])], id="half a character"),
        pytest.param(
            [rows("account", [ADA, "Ada", "1"], deletes=[ADA])], id="a key twice"
        ),
        pytest.param([line({"type": "checkpoint"})], id="a checkpoint without a name"),
    ],
)
def test_an_answer_that_breaks_the_protocol_keeps_only_its_good_chunks(wrong):
    store = Store()
    good = [snapshot(M1), rows("account", [GRACE, "Grace", "1"]), checkpoint("k1")]

    with pytest.raises(ProtocolError):
        store.apply([*good, *wrong, complete("k2")], model=M1)

    assert (names(store), store.checkpoint) == ({GRACE: "Grace"}, "k1")


def test_an_answer_without_a_begin_line_is_refused():
    with pytest.raises(ProtocolError):
        Store().apply([rows("account", [ADA, "Ada", "1"]), complete("k1")], model=M1)


def test_a_first_download_must_be_a_snapshot():
    with pytest.raises(ProtocolError):
        Store().apply([delta(M1), complete("k1")], model=M1)


def test_an_answer_for_another_model_is_refused():
    with pytest.raises(ProtocolError):
        Store().apply(download(M2), model=M1)


def test_an_answer_to_an_older_checkpoint_is_refused():
    store = stored(download(M1, [ADA, "Ada", "1"]))
    asked = store.next_request()
    store.apply([delta(M1), rows("account", deletes=[ADA]), complete("k2")])

    with pytest.raises(StoreError, match="another sync"):
        store.apply(
            [delta(M1), rows("account", [ADA, "Ada", "1"]), complete("k3")],
            asked=asked,
        )

    assert (names(store), store.checkpoint) == ({}, "k2")
