"""Rows that a full send does not bring again go when it is complete, not before."""

from __future__ import annotations

import pytest

from sandbox.device.errors import ProtocolError
from sandbox.device.store import Store
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
    table,
)

M1 = model("M1", table("account"), table("contact"))
MODEL_WITH_PAIRS = model("M1", table("account", key=("a", "b"), name="string"))
ADA_ROW = [ADA, "Ada", "1"]
GRACE_ROW = [GRACE, "Grace", "1"]
EDSGER_ROW = [EDSGER, "Edsger", "1"]


@pytest.fixture
def store() -> Store:
    """A device that holds Ada and Grace as accounts, and Edsger as a contact."""
    store = Store()
    store.apply(
        [
            snapshot(M1, "c1"),
            rows("account", ADA_ROW, GRACE_ROW),
            rows("contact", EDSGER_ROW),
            complete("k1"),
        ],
        model=M1,
    )
    return store


def test_rows_that_a_new_snapshot_does_not_bring_go_when_it_is_complete(store):
    store.forget_checkpoint()

    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])
    meanwhile = names(store)
    store.apply([snapshot(M1, "c2"), complete("k3")])

    assert meanwhile == {ADA: "Ada", GRACE: "Grace"}
    assert (names(store), names(store, "contact")) == ({ADA: "Ada"}, {})


def test_a_continued_snapshot_keeps_its_marks(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])

    store.apply([snapshot(M1, "c2"), rows("account", EDSGER_ROW), complete("k3")])

    assert names(store) == {ADA: "Ada", EDSGER: "Edsger"}


def test_a_snapshot_of_another_name_starts_its_marks_anew(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])

    store.apply([snapshot(M1, "c3"), rows("account", GRACE_ROW), complete("k3")])

    assert names(store) == {GRACE: "Grace"}


def test_starting_again_starts_the_marks_anew_even_under_the_same_name(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])
    store.forget_checkpoint()

    store.apply([snapshot(M1, "c2"), rows("account", GRACE_ROW), complete("k3")])

    assert names(store) == {GRACE: "Grace"}


def test_marks_of_a_snapshot_cut_before_its_first_checkpoint_never_began(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", EDSGER_ROW)])

    assert (names(store), store.snapshot) == ({ADA: "Ada", GRACE: "Grace"}, None)


def test_a_row_deleted_and_not_sent_again_stays_away(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])

    store.apply([snapshot(M1, "c2"), rows("account", deletes=[ADA]), complete("k3")])

    assert names(store) == {}


def test_changes_after_a_complete_snapshot_remove_nothing_else(store):
    store.apply([delta(M1), rows("account", EDSGER_ROW), complete("k2")])

    assert names(store) == {ADA: "Ada", GRACE: "Grace", EDSGER: "Edsger"}


def test_a_device_is_not_complete_while_changes_are_on_their_way(store):
    store.apply([delta(M1), rows("account", EDSGER_ROW), checkpoint("k2")])
    meanwhile = store.is_complete

    store.apply([delta(M1), complete("k3")])

    assert (meanwhile, store.is_complete) == (False, True)


def test_a_reset_removes_what_it_did_not_bring_again_in_its_table_alone(store):
    store.want_reset(["account"])

    store.apply([delta(M1), reset("account"), rows("account", ADA_ROW), complete("k2")])

    assert names(store) == {ADA: "Ada"}
    assert names(store, "contact") == {EDSGER: "Edsger"}


def test_rows_received_before_the_reset_do_not_count_as_sent_again(store):
    store.apply(
        [
            delta(M1),
            rows("account", EDSGER_ROW),
            reset("account"),
            rows("account", ADA_ROW),
            complete("k2"),
        ]
    )

    assert names(store) == {ADA: "Ada"}


def test_a_reset_is_asked_for_until_its_first_checkpoint_is_stored(store):
    store.want_reset(["account"])
    store.apply([delta(M1), reset("account"), rows("account", ADA_ROW)])
    asked_after_a_cut = store.next_request().resets

    store.apply(
        [delta(M1), reset("account"), rows("account", ADA_ROW), checkpoint("k")]
    )

    assert (asked_after_a_cut, store.next_request().resets) == (("account",), ())


def test_a_reset_goes_on_over_several_answers(store):
    store.want_reset(["account"])
    store.apply(
        [delta(M1), reset("account"), rows("account", ADA_ROW), checkpoint("k")]
    )
    meanwhile = names(store)

    store.apply([delta(M1), rows("account", EDSGER_ROW), complete("k2")])

    assert meanwhile == {ADA: "Ada", GRACE: "Grace"}
    assert names(store) == {ADA: "Ada", EDSGER: "Edsger"}


def test_a_checkpoint_before_the_reset_message_does_not_begin_it(store):
    store.want_reset(["account"])

    store.apply(
        [
            delta(M1),
            rows("account", EDSGER_ROW),
            checkpoint("k2"),
            reset("account"),
            rows("account", ADA_ROW),
        ]
    )
    store.apply([delta(M1), complete("k3")])

    assert names(store) == {ADA: "Ada", GRACE: "Grace", EDSGER: "Edsger"}
    assert store.next_request().resets == ("account",)


def test_a_reset_inside_a_snapshot_drops_the_marks_of_its_table(store):
    store.forget_checkpoint()
    store.apply(
        [
            snapshot(M1, "c2"),
            rows("account", ADA_ROW),
            rows("contact", EDSGER_ROW),
            checkpoint("k2"),
        ]
    )

    store.apply(
        [
            snapshot(M1, "c2"),
            reset("account"),
            rows("account", GRACE_ROW),
            complete("k"),
        ]
    )

    assert names(store) == {GRACE: "Grace"}
    assert names(store, "contact") == {EDSGER: "Edsger"}


def test_a_new_snapshot_makes_a_wanted_reset_needless(store):
    store.want_reset(["account"])
    store.forget_checkpoint()

    store.apply([snapshot(M1, "c2"), checkpoint("k2")])

    assert store.next_request().resets == ()


def test_a_reset_of_an_unknown_table_is_ignored(store):
    store.apply([delta(M1), reset("lead"), complete("k2")])

    assert names(store) == {ADA: "Ada", GRACE: "Grace"}


def test_nothing_new_moves_the_checkpoint(store):
    store.advance("k2")

    assert (store.checkpoint, store.is_complete) == ("k2", True)


def test_nothing_new_ends_the_marks_because_nothing_is_missing(store):
    store.forget_checkpoint()
    store.apply([snapshot(M1, "c2"), rows("account", ADA_ROW), checkpoint("k2")])

    swept = store.advance("k3")

    assert (names(store), swept, store.snapshot) == ({ADA: "Ada"}, 2, None)


def test_nothing_new_is_no_answer_to_a_first_download(store):
    store.forget_checkpoint()

    with pytest.raises(ProtocolError):
        store.advance("k2")

    assert names(store) == {ADA: "Ada", GRACE: "Grace"}


def test_rows_with_several_key_columns_are_deleted_by_their_key():
    store = Store()
    upserts = [[ADA, GRACE, "both", "1"], [GRACE, ADA, "turned", "1"]]
    store.apply(download(MODEL_WITH_PAIRS, *upserts), model=MODEL_WITH_PAIRS)

    key = f'["{ADA}","{GRACE}"]'
    store.apply(
        [delta(MODEL_WITH_PAIRS), rows("account", deletes=[key]), complete("k")]
    )

    assert names(store) == {f'["{GRACE}","{ADA}"]': "turned"}
