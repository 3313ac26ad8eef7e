"""A new client model is adopted together with the first checkpoint under it."""

from __future__ import annotations

import sqlite3

import pytest

from sandbox.device.errors import ProtocolError, StoreError
from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    GRACE,
    checkpoint,
    complete,
    delta,
    download,
    line,
    model,
    names,
    reset,
    rows,
    snapshot,
    state,
    table,
)

M1 = model("M1", table("account"), table("contact"))
WITHOUT_CONTACTS = model("M2", table("account"))
WITH_CITY = model("M2", table("account", name="string", city="string"))
NAME_AS_NUMBER = model("M2", table("account", name="int"))


@pytest.fixture
def store() -> Store:
    store = Store()
    store.apply(
        [
            snapshot(M1),
            rows("account", [ADA, "Ada", "1"]),
            rows("contact", [GRACE, "Grace", "1"]),
            complete("k1"),
        ],
        model=M1,
    )
    return store


def local_tables(store) -> set[str]:
    query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    return {
        name
        for (name,) in store.connection.execute(query)
        if not name.startswith(("waystation_", "sqlite_"))
    }


def test_a_table_that_left_the_model_goes_with_the_first_checkpoint(store):
    store.apply([delta(WITHOUT_CONTACTS)], model=WITHOUT_CONTACTS)
    before = local_tables(store)

    store.apply([delta(WITHOUT_CONTACTS), checkpoint("k2")], model=WITHOUT_CONTACTS)

    assert (before, local_tables(store)) == ({"account", "contact"}, {"account"})
    assert store.tables() == ("account",)


def test_nothing_new_under_a_new_model_adopts_it_too(store):
    store.advance("k2", model=WITHOUT_CONTACTS)

    assert local_tables(store) == {"account"}
    assert store.next_request().model == "M2"


def test_a_model_that_comes_and_goes_between_two_checkpoints_loses_nothing(store):
    before = state(store)

    store.apply(
        [delta(WITHOUT_CONTACTS), reset("account"), rows("account", [ADA, "?", "2"])],
        model=WITHOUT_CONTACTS,
    )
    after_the_cut = state(store)
    store.apply([delta(M1), complete("k2")], model=M1)

    assert after_the_cut == before
    assert state(store) == {**before, "checkpoint": "k2"}


def test_a_table_that_left_and_came_back_starts_empty(store):
    store.apply([delta(WITHOUT_CONTACTS), complete("k2")], model=WITHOUT_CONTACTS)

    store.apply(
        [delta(M1), rows("contact", [ADA, "Ada", "1"]), complete("k3")], model=M1
    )

    assert names(store, "contact") == {ADA: "Ada"}


def test_a_new_column_is_empty_until_the_rows_are_sent_again(store):
    store.apply([delta(WITH_CITY), reset("account"), checkpoint("k2")], model=WITH_CITY)
    meanwhile = store.rows("account")

    store.apply(
        [
            delta(WITH_CITY),
            rows("account", [ADA, "Ada", "London", "1"]),
            complete("k3"),
        ]
    )

    row = {"id": ADA, "name": "Ada", "_version": "1"}
    assert meanwhile == {ADA: {**row, "city": None}}
    assert store.rows("account") == {ADA: {**row, "city": "London"}}


def test_a_column_that_left_the_model_goes(store):
    store.advance("k2", model=WITH_CITY)

    store.advance("k3", model=WITHOUT_CONTACTS)

    assert list(store.rows("account")[ADA]) == ["id", "name", "_version"]


def test_a_column_of_another_type_starts_empty(store):
    store.advance("k2", model=NAME_AS_NUMBER)

    assert names(store) == {ADA: None}


def test_a_table_with_another_key_starts_empty(store):
    other_key = model("M2", table("account", key=("name",), id="string"))

    store.advance("k2", model=other_key)

    assert store.rows("account") == {}


def test_the_model_survives_closing_and_opening(tmp_path):
    with Store(tmp_path / "ada.sqlite") as store:
        store.apply(download(M1, [ADA, "Ada", "1"]), model=M1)
        before = state(store)

    with Store(tmp_path / "ada.sqlite") as store:
        assert state(store) == before


def test_names_that_differ_in_case_only_stay_apart():
    document = model("M1", table("Account", name="string"), table("account"))
    store = Store()

    store.apply(
        [
            snapshot(document),
            rows("Account", [ADA, "Ada", "1"]),
            rows("account", [GRACE, "Grace", "1"]),
            complete("k1"),
        ],
        model=document,
    )

    assert names(store, "Account") == {ADA: "Ada"}
    assert names(store, "account") == {GRACE: "Grace"}


def test_a_newcomer_never_takes_the_local_name_of_a_column_that_stays():
    only_upper = model("M1", table("account", Name="string"))
    both = model("M2", table("account", name="string", Name="string"))
    store = Store()
    store.apply(download(only_upper, [ADA, "Ada", "1"]), model=only_upper)

    store.advance("k2", model=both)

    row = {"id": ADA, "name": None, "Name": "Ada", "_version": "1"}
    assert store.rows("account") == {ADA: row}


@pytest.mark.parametrize(
    "name",
    ["order", 'quo"te', "sqlite_stat1", "waystation_meta", "täble", "a b", "'", "x]"],
)
def test_any_name_may_be_that_of_a_table_or_column(name):
    document = model("M1", table(name, **{name: "string", "_mark": "int"}))
    store = Store()

    store.apply(
        [snapshot(document), rows(name, [ADA, "Ada", 7, "1"]), complete("k1")],
        model=document,
    )

    row = {"id": ADA, name: "Ada", "_mark": 7, "_version": "1"}
    assert store.rows(name) == {ADA: row}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="empty"),
        pytest.param({"version": "M1", "tables": [{}]}, id="a table without a name"),
        pytest.param(model("M1", table("account", key=())), id="no key"),
        pytest.param({"version": "M1", "tables": 5}, id="no list of tables"),
        pytest.param(
            {
                "version": "M1",
                "tables": [{"name": "a", "primary_key": ["id"], "columns": []}],
            },
            id="a key that is no column",
        ),
    ],
)
def test_a_model_that_cannot_be_read_is_refused(document):
    with pytest.raises(ProtocolError):
        Store().apply([line({"type": "begin"})], model=document)


def test_without_a_model_there_is_nothing_to_ask_for():
    with pytest.raises(StoreError):
        Store().next_request()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada, " * 1000)

    with pytest.raises(StoreError, match="not a database"):
        Store(path)


def test_a_table_keeps_only_values_of_its_types(store):
    with pytest.raises(sqlite3.IntegrityError):
        store.connection.execute("UPDATE account SET _mark = 'many'")
