"""Tables take another form, go and come back while devices hold their rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replication.domain.tables import ColumnType
from replication.services.commit import commit_page
from replication.staging import registry, schema_changes
from replication.staging.registry import DefinitionMovedError
from replication.staging.sweep import BRAKE_ROWS, SweepBrakeError
from tests.fake_dataverse import ACCOUNT, plain
from tests.replication.forms import (
    PHONE,
    REVENUE,
    WITH_PHONE,
    columns_of,
    fill_in,
    held,
    is_consistent,
    physical,
    rich,
    with_column,
)
from tests.staged import guid


@pytest.fixture
def world(contoso):
    """Ada holds three accounts; no other table has rows."""
    for name in ("Airport", "Bakery", "Castle"):
        contoso.add_account(name, owner="Ada", unit="North", revenue="1.50")
    contoso.pull("account")
    return contoso


# Columns of another type, other names, other keys

WORDS = with_column(plain(REVENUE))


def test_a_column_of_another_type_is_loaded_aside_and_swapped(world):
    ada = world.device("Ada")
    fill_in(world, revenue="a lot")
    world.redefine(WORDS)
    while_loading = held(ada, REVENUE), ada.sync()
    world.pull("account")

    ada.sync()

    assert set(while_loading[0].values()) == {"1.5"}
    assert set(held(ada, REVENUE).values()) == {"a lot"}
    assert is_consistent(world, ada)


def test_what_changed_while_the_other_form_was_loaded_is_in_it(world):
    ada = world.device("Ada")
    world.redefine(WORDS)
    world.source.delete("account", guid("Castle"))
    world.source.put("account", guid("Bakery"), ownerid=str(guid("Grace")))
    world.add_account("Dairy", owner="Ada", unit="North")
    world.pull("account")

    ada.sync()

    assert ada.names() == {"Airport", "Dairy"}
    assert world.device("Grace").names() == {"Bakery"}
    (rows,) = world.values("SELECT row_count FROM sync.source WHERE name = 'account'")
    assert rows == 3


def test_a_form_that_comes_with_far_fewer_rows_waits_for_an_operator(world):
    for number in range(BRAKE_ROWS):
        world.add_account(f"Site {number}", owner="Ada", unit="North")
    world.pull("account")
    world.redefine(WORDS)
    for key in list(world.source.rows("account"))[1:]:
        world.source.delete("account", key)

    with pytest.raises(SweepBrakeError):
        world.pull("account")
    world.pull("account", accepts_sweep=True)

    assert len(world.device("Ada").names()) == 1


def test_deltas_go_on_after_a_swap(world):
    ada = world.device("Ada")
    world.redefine(WORDS)
    world.pull("account")
    world.source.put("account", guid("Airport"), revenue="news")
    world.source.delete("account", guid("Castle"))
    world.pull("account")

    ada.sync()

    assert held(ada, REVENUE) == {"Airport": "news", "Bakery": "1.50"}


def test_a_rule_over_a_column_of_another_type_is_built_anew(world):
    world.put_in_effect(rich())
    wide = with_column(plain(REVENUE, ColumnType.DOUBLE))
    fill_in(world, revenue=2.5)
    world.redefine(wide)
    world.source.put("account", guid("Castle"), revenue=0.5)
    world.pull("account")

    assert world.device("Ada").names() == {"Airport", "Bakery"}


def test_an_index_that_rules_need_is_there_after_a_swap(world):
    world.execute("CREATE INDEX ON data.account (ownerid)")
    world.redefine(WORDS)
    world.pull("account")

    (relation,) = world.values("SELECT relation FROM sync.source WHERE name='account'")
    indexes = world.values(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s", relation
    )
    assert any("(ownerid)" in text for text in indexes)


def test_the_former_relation_goes_when_no_reader_may_name_it(world):
    world.redefine(WORDS)
    world.pull("account")
    kept = physical(world)
    world.execute("UPDATE sync.retired_relation SET retired_at = '2001-01-01'")

    with world.staging() as conn:
        schema_changes.tidy(conn, retention=world.days(8))

    assert kept
    assert not physical(world)


def test_a_renamed_column_keeps_its_values(world):
    known = with_column(replace(plain(REVENUE, ColumnType.DECIMAL), source_id="1"))
    world.redefine(known)
    ada = world.device("Ada")
    fill_in(world, turnover="1.50")
    renamed = replace(known.column(REVENUE), name="turnover", source_name="turnover")
    columns = [c for c in known.columns if c.name != REVENUE]
    world.redefine(replace(known, columns=(*columns, renamed)))
    world.pull("account")

    ada.sync()

    assert set(held(ada, "turnover").values()) == {"1.5"}
    assert REVENUE not in columns_of(world)


def test_a_table_with_another_key_is_loaded_from_nothing(world):
    code = plain("code")
    coded = replace(ACCOUNT, columns=(*ACCOUNT.columns, code))
    for number, row in enumerate(world.source.rows("account").values()):
        row["code"] = f"C{number}"
    world.redefine(coded)
    world.pull("account")
    ada = world.device("Ada")
    world.redefine(replace(coded, key=("code",), tracked=False))
    world.pull("account")

    ada.sync()

    assert set(ada.store.rows("account")) == {"C0", "C1", "C2"}


def test_more_digits_are_written_to_every_row(world):
    ada = world.device("Ada")
    wide = replace(plain(REVENUE, ColumnType.DECIMAL), scale=4)

    world.redefine(with_column(wide))
    ada.sync()

    assert set(held(ada, REVENUE).values()) == {"1.5000"}


# Tables that go and come


def remove_accounts(world):
    world.tables = tuple(t for t in world.tables if t.name != "account")
    world.read_metadata()
    return world.read_metadata()


def test_a_table_that_is_gone_leaves_devices(world):
    ada = world.device("Ada")

    followed = remove_accounts(world)
    ada.sync()

    assert followed.withdrawn == ("account",)
    assert "account" not in ada.store.tables()


def test_a_table_that_is_missing_once_stays(world):
    world.tables = tuple(t for t in world.tables if t.name != "account")

    followed = world.read_metadata()

    assert not followed.withdrawn
    assert world.device("Ada").names() == {"Airport", "Bakery", "Castle"}


def test_a_table_that_comes_back_is_loaded_from_nothing(world):
    ada = world.device("Ada")
    remove_accounts(world)
    ada.sync()
    world.source.delete("account", guid("Castle"))
    world.tables = (*world.tables, ACCOUNT)
    world.read_metadata()
    world.pull("account")

    ada.sync()

    assert ada.names() == {"Airport", "Bakery"}


# Pulls in mid-page


def test_a_page_that_was_read_by_a_former_definition_is_refused(world):
    with world.staging() as conn:
        order = world.order("account")
        registry.fence(conn, "account", epoch=order.epoch)
        staged = registry.table(conn, "account")
        assert staged is not None
        source = world.source.source()
        page = source.fetch_page(staged.definition, staged.cursor)
        world.redefine(WITH_PHONE)

        with pytest.raises(DefinitionMovedError):
            commit_page(conn, staged, page, source.codec(ACCOUNT), epoch=order.epoch)


def test_a_pull_begins_anew_when_the_definition_changes_under_it(world):
    ada = world.device("Ada")
    world.page_size = 1
    fill_in(world, phone="555")
    pages = []

    def change_after_the_first_page():
        pages.append(1)
        if len(pages) == 1:
            world.redefine(WITH_PHONE)

    world.pull("account", wants_resync=True, renew=change_after_the_first_page)
    ada.sync()

    assert set(held(ada, "phone").values()) == {"555"}
    assert world.status("account").loaded


def test_the_first_load_of_a_table_that_changes_begins_anew(contoso):
    contoso.page_size = 1
    for name in ("One", "Two"):
        contoso.add_row("task", name, owner="Ada", unit="North")
    task = next(t for t in contoso.tables if t.name == "task")
    contoso.execute(
        "UPDATE sync.source SET is_complete = false, loading = 'first',"
        " cursor_kind = NULL, cursor_link = NULL WHERE name = 'task'"
    )
    changed = with_column(
        plain("name", ColumnType.STRING), replace(task, columns=(*task.columns, PHONE))
    )

    contoso.redefine(changed)
    contoso.pull("task")

    (relation,) = contoso.values("SELECT relation FROM sync.source WHERE name='task'")
    assert "phone" in physical(contoso, relation)
    assert contoso.status("task").rows == 2
