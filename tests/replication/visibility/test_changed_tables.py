"""Columns come and go at the source while devices hold rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from replication.domain.tables import ColumnType
from replication.services.serving import ModelChangedError
from replication.staging import schema_changes
from tests.fake_dataverse import ACCOUNT, plain
from tests.replication.forms import (
    REVENUE,
    WITH_PHONE,
    columns_of,
    fill_in,
    held,
    is_consistent,
    physical,
    rich,
    with_column,
    without_column,
)
from tests.staged import guid


@pytest.fixture
def world(contoso):
    """Ada holds three accounts; no other table has rows."""
    for name in ("Airport", "Bakery", "Castle"):
        contoso.add_account(name, owner="Ada", unit="North", revenue="1.50")
    contoso.pull("account")
    return contoso


# Columns that come


def test_a_new_column_reaches_devices_with_the_values_of_all_rows(world):
    ada = world.device("Ada")
    fill_in(world, phone="555")
    world.redefine(WITH_PHONE)
    world.pull("account")

    ada.sync()

    assert held(ada, "phone") == dict.fromkeys(("Airport", "Bakery", "Castle"), "555")
    assert is_consistent(world, ada)


def test_devices_keep_the_former_model_while_a_new_column_is_loaded(world):
    ada = world.device("Ada")
    before = world.model("Ada")
    fill_in(world, phone="555")

    world.redefine(WITH_PHONE)

    assert world.model("Ada") == before
    assert ada.sync() is None


def test_a_row_that_changes_while_a_column_is_loaded_travels_at_once(world):
    ada = world.device("Ada")
    world.page_size = 1
    world.redefine(WITH_PHONE)
    world.source.put("account", guid("Airport"), revenue="9.00")
    world.source.put("account", guid("Castle"))
    for _ in range(2):
        world.pull("account", time_slice=timedelta(0))

    ada.sync()

    assert "phone" not in columns_of(world)
    assert held(ada, REVENUE)["Airport"] == "9"


def test_rows_that_only_get_a_new_column_take_no_rev(world):
    world.redefine(WITH_PHONE)
    before = world.rev

    world.pull("account")

    # The new model takes one.
    assert world.rev == before + 1


def test_a_device_on_the_old_model_is_told_so(world):
    ada = world.device("Ada")
    world.redefine(WITH_PHONE)
    world.pull("account")
    model = ada.checkpoint.model

    with pytest.raises(ModelChangedError):
        ada.ask(model=model)


def test_a_row_deleted_while_a_column_is_loaded_leaves_the_device(world):
    ada = world.device("Ada")
    world.redefine(WITH_PHONE)
    world.source.delete("account", guid("Castle"))
    world.pull("account")

    ada.sync()

    assert ada.names() == {"Airport", "Bakery"}


def test_a_change_that_is_taken_back_leaves_the_table_as_it_was(world):
    ada = world.device("Ada")
    world.redefine(WITH_PHONE)
    world.redefine(ACCOUNT)
    world.pull("account")
    world.source.put("account", guid("Airport"), revenue="3")
    world.pull("account")

    ada.sync()

    assert held(ada, REVENUE)["Airport"] == "3"
    assert columns_of(world) == [c.name for c in ACCOUNT.columns]


ODD_NAMES = (
    "x" * 80,
    "x" * 79 + "y",
    "select",
    "größe_überall",
    "_version",
    "ctid",
    "Name",
    "日本語の列" * 8,
)


def test_odd_long_and_reserved_names_are_columns_like_any_other(world):
    ada = world.device("Ada")
    added = [plain(f"{name}") for name in ODD_NAMES if name not in ("_version", "Name")]
    fill_in(world, **{c.name: c.name for c in added})
    world.redefine(replace(ACCOUNT, columns=(*ACCOUNT.columns, *added)))
    world.pull("account")

    ada.sync()

    for column in added:
        assert set(held(ada, column.name).values()) == {column.name}


# Columns that go


def test_a_column_that_is_gone_leaves_devices_at_once(world):
    ada = world.device("Ada")

    world.redefine(without_column(REVENUE))
    ada.sync()

    assert REVENUE not in columns_of(world)
    assert set(held(ada, REVENUE).values()) == {None}
    assert ada.names() == {"Airport", "Bakery", "Castle"}


def test_pulls_go_on_without_the_column_that_is_gone(world):
    ada = world.device("Ada")
    world.redefine(without_column(REVENUE))
    world.add_account("Dairy", owner="Ada", unit="North")
    world.pull("account")

    ada.sync()

    assert "Dairy" in ada.names()
    assert is_consistent(world, ada)


def test_a_rule_that_names_a_column_which_is_gone_breaks_no_page(world):
    world.put_in_effect(rich())
    world.redefine_without_rules(without_column(REVENUE))
    world.add_account("Dairy", owner="Ada", unit="North")

    world.pull("account")

    assert "Dairy" in world.staged_names()


def test_rows_that_only_such_a_rule_gave_leave_the_device(world):
    world.put_in_effect(rich())
    ada = world.device("Ada")
    before = ada.names()

    world.redefine(without_column(REVENUE))
    world.pull("account")
    ada.sync()

    assert before == {"Airport", "Bakery", "Castle"}
    assert ada.names() == set()


def test_a_column_is_dropped_once_no_checkpoint_can_name_it(world):
    world.redefine(without_column(REVENUE))
    kept = REVENUE in physical(world)
    world.execute("UPDATE sync.retired_column SET retired_at = now() - interval '9 d'")
    with world.staging() as conn:
        schema_changes.tidy(conn, retention=world.days(8))

    assert kept
    assert REVENUE not in physical(world)
    world.add_account("Dairy", owner="Ada", unit="North")
    world.pull("account")
    assert "Dairy" in world.device("Ada").names()


def test_a_column_stays_while_a_rule_may_name_it(world):
    world.put_in_effect(rich())
    world.redefine_without_rules(without_column(REVENUE))
    world.execute("UPDATE sync.retired_column SET retired_at = now() - interval '9 d'")

    with world.staging() as conn:
        schema_changes.tidy(conn, retention=world.days(8))

    assert REVENUE in physical(world)


def test_a_column_that_comes_back_brings_its_present_values(world):
    ada = world.device("Ada")
    world.redefine(without_column(REVENUE))
    fill_in(world, revenue="7")
    world.redefine(ACCOUNT)
    world.pull("account")

    ada.sync()

    assert set(held(ada, REVENUE).values()) == {"7"}


def test_a_column_made_again_under_the_same_name_is_sent_again(world):
    first = with_column(replace(plain(REVENUE, ColumnType.DECIMAL), source_id="1"))
    world.redefine(first)
    world.pull("account")
    ada = world.device("Ada")
    fill_in(world, revenue=None)
    world.redefine(with_column(replace(first.column(REVENUE), source_id="2")))
    world.pull("account")

    ada.sync()

    assert set(held(ada, REVENUE).values()) == {None}
