"""Edits lie over the synced rows from the moment they are made until they are settled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.device.editor import Create, Delete, Editor, Link, Update
from sandbox.device.errors import EditError
from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    EDSGER,
    GRACE,
    complete,
    delta,
    download,
    line,
    model,
    names,
    rows,
    snapshot,
    table,
)

M1 = model(
    "M1",
    table(
        "account",
        name="string",
        city="string",
        seats="int",
        owner="guid",
        owner__type="string",
    ),
    table("region", key=("country", "code"), country="string", code="int"),
)
ADAS_ROW = [ADA, "Ada", "London", 1, None, None, "v1"]


@pytest.fixture
def store():
    with Store() as made:
        made.apply(download(M1, ADAS_ROW), model=M1)
        yield made


@pytest.fixture
def editor(store):
    return Editor(store)


def outcomes(*told: dict[str, object]) -> bytes:
    return line({"type": "outcomes", "outcomes": list(told)})


def outcome(edit, status, **more) -> dict[str, object]:
    return {"id": edit.id, "sequence": edit.sequence, "status": status, **more}


def seen(editor, table="account") -> dict[str, object]:
    return {key: row["name"] for key, row in editor.rows(table).items()}


def bodies(editor) -> list[dict[str, Any]]:
    return [json.loads(edit.mutation()) for edit in editor.edits()]


def test_an_edit_shows_at_once_and_leaves_the_synced_row_alone(editor, store):
    digest = store.digest("account")

    editor.update("account", ADA, {"name": "Ada King"})

    assert seen(editor) == {ADA: "Ada King"}
    assert (names(store), store.digest("account")) == ({ADA: "Ada"}, digest)


def test_an_update_tells_the_version_and_the_values_that_the_user_saw(editor):
    editor.update("account", ADA, {"name": "Countess"})
    editor.update("account", ADA, {"name": "Lovelace"})

    first, second = bodies(editor)
    assert (first["base_version"], first["base_values"]) == ("v1", {"name": "Ada"})
    assert (second["base_version"], second["base_values"]) == (
        "v1",
        {"name": "Countess"},
    )


def test_sequences_have_no_gaps_and_begin_where_the_service_says(editor, store):
    store.start_sequences_at(7)

    edits = [editor.update("account", ADA, {"seats": seats}) for seats in (2, 3)]
    edits += editor.edit(Create("account", {"name": "Grace"}), Delete("account", ADA))

    assert [edit.sequence for edit in edits] == [7, 8, 9, 10]
    assert edits[2].group == edits[3].group is not None
    assert edits[0].group is None


def test_a_sequence_that_the_service_told_late_never_goes_back(editor, store):
    editor.update("account", ADA, {"seats": 2})

    store.start_sequences_at(1)

    assert editor.update("account", ADA, {"seats": 3}).sequence == 2


def test_a_new_row_gets_a_key_and_has_no_base_version_while_it_is_ours(editor):
    made = editor.create("account", {"name": "Grace"})
    editor.update("account", made.key, {"city": "Arlington"})

    created, updated = bodies(editor)
    assert created == {
        "id": made.id,
        "sequence": 1,
        "op": "create",
        "table": "account",
        "key": made.key,
        "values": {"name": "Grace"},
    }
    assert updated.keys().isdisjoint({"base_version", "base_values"})
    assert editor.row("account", made.key)["city"] == "Arlington"


def test_a_composite_key_is_one_string(editor):
    made = editor.create("region", {"country": "NL", "code": 5})

    assert made.key == '["NL",5]'
    assert editor.rows("region") == {
        '["NL",5]': {"country": "NL", "code": 5, "_version": None}
    }


def test_a_deleted_row_is_gone_at_once(editor):
    editor.delete("account", ADA)

    assert editor.rows("account") == {}
    assert bodies(editor)[0]["base_version"] == "v1"


def test_rows_with_edits_are_found_by_what_the_user_sees(editor):
    editor.update("account", ADA, {"name": "Countess"})
    editor.create("account", {"name": "Grace"})

    found = editor.rows("account", where="name IN ('Ada', 'Countess')")

    assert [row["name"] for row in found.values()] == ["Countess"]


def test_two_rows_are_linked_by_both_their_keys(editor):
    editor.edit(Link("account", ADA, "account_region", '["NL",5]'))
    editor.edit(Link("account", ADA, "account_region", '["NL",5]', is_removed=True))

    linked, unlinked = bodies(editor)
    assert (linked["op"], unlinked["op"]) == ("associate", "disassociate")
    assert (linked["key"], linked["other_key"]) == (ADA, '["NL",5]')
    assert seen(editor) == {ADA: "Ada"}


def test_a_lookup_to_several_tables_is_written_as_both_columns(editor):
    editor.update("account", ADA, {"owner": GRACE, "owner__type": "systemuser"})
    editor.update("account", ADA, {"owner": EDSGER})
    editor.update("account", ADA, {"owner": None})

    assert [body["values"] for body in bodies(editor)] == [
        {"owner": GRACE, "owner__type": "systemuser"},
        {"owner": EDSGER, "owner__type": "systemuser"},
        {"owner": None, "owner__type": None},
    ]


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(Update("account", GRACE, {"name": "G"}), id="no such row"),
        pytest.param(Update("account", ADA, {"seats": "two"}), id="another type"),
        pytest.param(Update("account", ADA, {"nick": "A"}), id="no such column"),
        pytest.param(Update("account", ADA, {"id": GRACE}), id="the key"),
        pytest.param(Update("account", ADA, {"_version": "9"}), id="the version"),
        pytest.param(Update("account", ADA, {}), id="nothing"),
        pytest.param(Update("account", ADA, {"owner": GRACE}), id="half a lookup"),
        pytest.param(Update("account", ADA, {"name": "\ud800"}), id="no Unicode"),
        pytest.param(Update("account", ADA, {"name": "a" * 2**23}), id="too large"),
        pytest.param(Create("account", {}, key=ADA), id="a row that is there"),
        pytest.param(Create("region", {"country": "NL"}), id="half a key"),
        pytest.param(Create("planet", {}), id="no such table"),
        pytest.param(Delete("account", GRACE), id="nothing to delete"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_takes_no_sequence(editor, wish):
    with pytest.raises(EditError):
        editor.edit(Update("account", ADA, {"city": "Paris"}), wish)

    assert editor.edits() == []
    assert editor.update("account", ADA, {"city": "Rome"}).sequence == 1


def test_an_applied_edit_stays_until_its_row_has_come(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})

    store.apply([delta(M1), outcomes(outcome(edit, "applied")), complete("k2")])
    before = seen(editor)
    row = [ADA, "COUNTESS", *ADAS_ROW[2:-1], "v2"]
    store.apply([delta(M1), rows("account", row), complete("k3", through_mutation=1)])

    assert (before, seen(editor)) == ({ADA: "Countess"}, {ADA: "COUNTESS"})
    assert editor.edits() == []


def test_an_outcome_among_the_rows_counts_when_nothing_more_is_to_come(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    store.apply([delta(M1), outcomes(outcome(edit, "applied")), complete("k2")])

    store.advance("k3")

    assert editor.edits() == []


def test_an_edit_waits_for_its_row_when_only_the_upload_told_of_it(editor, store):
    edit = editor.update("account", ADA, {"name": "Countess"})
    with store.database.transaction() as connection:
        connection.execute(
            "UPDATE waystation_edits SET status = 'applied' WHERE number = ?",
            [edit.number],
        )

    store.advance("k2")

    assert seen(editor) == {ADA: "Countess"}


def test_an_own_row_that_is_never_taken_along_stays_until_its_fate_is_known(
    editor, store
):
    made = editor.create("account", {"name": "Grace"})
    store.apply([delta(M1), complete("k2", through_mutation=0)])
    waiting = seen(editor)

    settled = outcomes(outcome(made, "applied", version="v5"))
    store.apply([delta(M1), settled, complete("k3", through_mutation=1)])

    assert waiting == {ADA: "Ada", made.key: "Grace"}
    assert seen(editor) == {ADA: "Ada"}


def test_edits_survive_a_download_from_scratch_that_takes_their_row_away(editor, store):
    editor.update("account", ADA, {"name": "Countess"})
    store.forget_checkpoint()

    store.apply([snapshot(M1, "c2"), complete("k9")])

    assert names(store) == {}
    row = editor.row("account", ADA)
    assert (row["id"], row["name"], row["city"]) == (ADA, "Countess", None)


def test_edits_survive_a_model_without_their_column_or_table(editor, store):
    editor.update("account", ADA, {"name": "Countess", "city": "Paris"})
    editor.create("region", {"country": "NL", "code": 5})
    sent = [edit.mutation() for edit in editor.edits()]
    smaller = model("M2", table("account", city="string"))

    store.apply([delta(smaller), complete("k2")], model=smaller)

    assert editor.row("account", ADA) == {"id": ADA, "city": "Paris", "_version": "v1"}
    assert [edit.mutation() for edit in editor.edits()] == sent
    editor.update("account", ADA, {"city": "Rome"})
    assert editor.row("account", ADA)["city"] == "Rome"


def test_a_value_whose_column_changed_its_type_stays_in_its_edit(editor, store):
    editor.update("account", ADA, {"seats": 5})
    changed = model("M2", table("account", name="string", seats="string"))

    store.apply([delta(changed), complete("k2")], model=changed)

    assert editor.row("account", ADA)["seats"] is None
    assert bodies(editor)[0]["values"] == {"seats": 5}


def test_a_wipe_takes_edits_and_files_along(editor, store, tmp_path):
    editor.update("account", ADA, {"name": "Countess"})

    store.wipe()

    assert editor.edits() == []
    assert editor.pending().unsent == 0
