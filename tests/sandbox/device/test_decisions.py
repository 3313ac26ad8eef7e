"""What failed stays in view until the user has decided, and waits in vain for nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.device.editor import Create, Editor, Update
from sandbox.device.errors import EditError
from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    checkpoint,
    complete,
    delta,
    download,
    model,
    rows,
)
from tests.sandbox.device.answers import table as described
from tests.sandbox.device.test_edits import outcome, outcomes

M1 = model("M1", described("account", name="string", city="string"))


@pytest.fixture
def store():
    with Store() as made:
        made.apply(download(M1, [ADA, "Ada", "London", "v1"]), model=M1)
        yield made


@pytest.fixture
def editor(store):
    return Editor(store)


def told(store, *said: dict[str, object], row=None) -> None:
    """The service tells what became of edits; `row` is what it has by now."""
    sent = [rows("account", row)] if row else []
    end = complete("k2", through_mutation=99)
    store.apply([delta(M1), *sent, outcomes(*said), end])


def queued(editor) -> list[dict[str, Any]]:
    return [
        json.loads(edit.mutation()) for edit in editor.edits() if not edit.has_failed
    ]


def test_a_conflict_stands_beside_the_servers_row(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})

    told(
        store, outcome(edit, "conflict", row={}), row=[ADA, "Ada King", "London", "v2"]
    )

    (dispute,) = editor.disputes()
    assert (dispute.was, dispute.mine) == ({"name": "Ada"}, {"name": "Countess"})
    assert dispute.theirs["name"] == "Ada King"
    assert editor.row("account", ADA)["name"] == "Countess"


def test_keeping_mine_sends_the_edit_again_upon_their_row(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    told(
        store, outcome(edit, "conflict", row={}), row=[ADA, "Ada King", "London", "v2"]
    )

    editor.keep_mine(edit.number)

    (sent,) = queued(editor)
    assert (sent["sequence"], sent["id"] == edit.id) == (2, False)
    assert (sent["base_version"], sent["base_values"]) == ("v2", {"name": "Ada King"})
    assert editor.row("account", ADA)["name"] == "Countess"
    assert editor.disputes() == []


def test_keeping_theirs_shows_their_row_at_once(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    told(
        store, outcome(edit, "conflict", row={}), row=[ADA, "Ada King", "London", "v2"]
    )

    editor.keep_theirs(edit.number)

    assert editor.row("account", ADA)["name"] == "Ada King"
    assert editor.edits() == []


def test_only_what_was_lost_is_in_dispute(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess", "city": "Paris"})

    lost = outcome(edit, "conflict", lost=["name"], row={})
    told(store, lost, row=[ADA, "Ada King", "Paris", "v2"])

    (dispute,) = editor.disputes()
    assert dispute.mine == {"name": "Countess"}
    told(store, row=[ADA, "Ada King", "Rome", "v3"])
    row = editor.row("account", ADA)
    assert (row["name"], row["city"]) == ("Countess", "Rome")
    editor.keep_mine(edit.number)
    assert queued(editor)[0]["values"] == {"name": "Countess"}


def test_the_row_that_a_conflict_told_helps_until_the_rows_have_come(editor, store):
    made = editor.create("account", {"name": "Grace"})
    changed = editor.update("account", str(made.key), {"city": "Arlington"})
    row = {"id": made.key, "name": "G.", "city": None, "_version": "v8"}
    conflict = outcome(changed, "conflict", row=row)

    store.apply([delta(M1), outcomes(conflict), checkpoint("k2")])
    (before,) = editor.disputes()
    store.apply([delta(M1), complete("k3", through_mutation=2)])

    # The user may not see it, or it is gone: no copy of it stays behind.
    (after,) = editor.disputes()
    assert (before.theirs, after.theirs) == (row, None)
    assert "G." not in json.dumps(after.edit.outcome)


def test_keeping_mine_of_a_row_that_is_gone_makes_it_again(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    store.apply([delta(M1), rows("account", deletes=[ADA]), complete("k2")])
    told(store, outcome(edit, "rejected", reason="not_found"))

    editor.keep_mine(edit.number)

    (sent,) = queued(editor)
    assert (sent["op"], sent["key"]) == ("create", ADA)
    assert sent["values"] == {"name": "Countess"}


def test_a_delete_of_a_row_that_is_gone_has_nothing_left_to_keep(editor, store):
    edit = editor.delete("account", ADA)
    store.apply([delta(M1), rows("account", deletes=[ADA]), complete("k2")])
    told(store, outcome(edit, "conflict", row=None))

    assert editor.keep_mine(edit.number) == []
    assert editor.edits() == []


def test_a_rejected_edit_can_be_undone(editor, store):
    edit = editor.update("account", ADA, {"name": ""})
    told(store, outcome(edit, "rejected", reason="invalid", message="Name it."))
    shown = editor.row("account", ADA)["name"]

    editor.undo(edit.number)

    assert (shown, editor.row("account", ADA)["name"]) == ("", "Ada")
    assert editor.pending().unsent == 0


def test_what_was_parked_goes_out_anew_once_its_obstacle_is_settled(editor, store):
    bad = editor.update("account", ADA, {"name": ""})
    good = editor.update("account", ADA, {"city": "Paris"})
    told(
        store,
        outcome(bad, "rejected", reason="invalid"),
        outcome(good, "parked", blocked_by=bad.id),
    )

    editor.undo(bad.number)

    (sent,) = queued(editor)
    assert (sent["values"], sent["base_version"]) == ({"city": "Paris"}, "v1")
    assert (sent["sequence"], sent["id"] == good.id) == (3, False)
    row = editor.row("account", ADA)
    assert (row["name"], row["city"]) == ("Ada", "Paris")


def test_what_was_parked_goes_out_after_the_edit_that_is_sent_again(editor, store):
    first = editor.update("account", ADA, {"name": "A"})
    second = editor.update("account", ADA, {"name": "B"})
    told(
        store,
        outcome(first, "conflict", row={}),
        outcome(second, "parked", blocked_by=first.id),
        row=[ADA, "Ada King", "London", "v2"],
    )

    editor.keep_mine(first.number)

    assert [body["values"]["name"] for body in queued(editor)] == ["A", "B"]
    assert editor.row("account", ADA)["name"] == "B"


def test_undoing_a_row_takes_along_what_was_done_to_it(editor, store):
    made = editor.create("account", {"name": "Grace"})
    changed = editor.update("account", made.key, {"city": "Arlington"})
    told(
        store,
        outcome(made, "rejected", reason="not_permitted"),
        outcome(changed, "parked", blocked_by=made.id),
    )
    waiting = editor.row("account", made.key)

    editor.undo(made.number)

    assert (waiting["name"], waiting["city"]) == ("Grace", "Arlington")
    assert editor.row("account", made.key) is None
    assert editor.edits() == []


def test_an_edit_that_was_never_sent_is_taken_back_by_a_void(editor, store):
    first = editor.update("account", ADA, {"name": "Countess"})
    editor.update("account", ADA, {"city": "Paris"})

    editor.undo(first.number)

    row = editor.row("account", ADA)
    assert (row["name"], row["city"]) == ("Ada", "Paris")
    with store.database.snapshot() as connection:
        sent = connection.execute(
            "SELECT sequence, body FROM waystation_edits ORDER BY sequence"
        ).fetchall()
    assert [(at, json.loads(body)["op"]) for at, body in sent] == [
        (1, "void"),
        (2, "update"),
    ]


def test_taking_a_new_row_back_takes_back_what_was_done_to_it(editor):
    made = editor.create("account", {"name": "Grace"})
    editor.update("account", made.key, {"city": "Arlington"})
    editor.update("account", ADA, {"city": "Paris"})

    editor.undo(made.number)

    assert [edit.key for edit in editor.edits()] == [ADA]
    assert editor.pending().unsent == 3


def test_a_group_is_taken_back_as_a_whole(editor):
    edits = editor.edit(
        Update("account", ADA, {"city": "Paris"}), Create("account", {"name": "Grace"})
    )

    editor.undo(edits[1].number)

    assert editor.edits() == []


def test_a_group_that_failed_is_kept_as_a_whole(editor, store):
    first, second = editor.edit(
        Update("account", ADA, {"city": "Paris"}), Create("account", {"name": "Grace"})
    )
    told(
        store,
        outcome(first, "conflict", row={}),
        outcome(second, "rejected", reason="other"),
        row=[ADA, "Ada", "Rome", "v2"],
    )

    editor.keep_mine(second.number)

    one, other = queued(editor)
    assert one["group"] == other["group"] != first.group
    assert one["base_version"] == "v2"


def test_what_is_on_its_way_cannot_be_taken_back(editor, store):
    edit = editor.update("account", ADA, {"city": "Paris"})
    told(store, outcome(edit, "accepted"))

    with pytest.raises(EditError, match="on its way"):
        editor.undo(edit.number)
    with pytest.raises(EditError, match="nothing to decide"):
        editor.keep_mine(edit.number)
    with pytest.raises(EditError, match="no edit 99"):
        editor.undo(99)


def test_a_value_that_was_typed_later_and_is_on_its_way_has_the_last_word(
    editor, store
):
    failed = editor.update("account", ADA, {"name": "A", "city": "Paris"})
    told(store, outcome(failed, "conflict", row={}), row=[ADA, "Ada", "Rome", "v2"])
    editor.update("account", ADA, {"name": "B"})

    editor.keep_mine(failed.number)

    assert [body["values"] for body in queued(editor)] == [
        {"name": "B"},
        {"city": "Paris"},
    ]
    assert editor.row("account", ADA)["name"] == "B"


def test_an_operator_may_carry_out_after_all_what_had_failed(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    told(store, outcome(edit, "rejected", reason="invalid"))

    told(store, outcome(edit, "applied"), row=[ADA, "Countess", "London", "v2"])

    assert editor.edits() == []
    assert editor.row("account", ADA)["name"] == "Countess"
