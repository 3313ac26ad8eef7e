"""Workers killed while a table takes another form: the next one makes up for it."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from tests.fake_dataverse import ACCOUNT, plain
from tests.replication.checks import assert_sound
from tests.staged import guid

KILLED = -signal.SIGKILL

WITH_PHONE = replace(ACCOUNT, columns=(*ACCOUNT.columns, plain("phone")))
WORDS = replace(
    ACCOUNT,
    columns=tuple(plain(c.name) if c.name == "revenue" else c for c in ACCOUNT.columns),
)
FORMS = {"a column more": WITH_PHONE, "a column of another type": WORDS}

FOLLOWING = ("schema.planned:1", "schema.stored:1", "schema.applied:1")
LOADING = (
    *(f"page.{p}:{n}" for p in ("merged", "stored", "committed") for n in (1, 2, 3)),
    "schema.adopted:1",
    "page.derived:3",
)


@pytest.fixture
def world(contoso):
    """Five accounts in pages of two; all have a phone at the source."""
    for number in range(5):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North", revenue="1")
    contoso.pull("account")
    contoso.page_size = 2
    for row in contoso.source.rows("account").values():
        row["phone"] = "555"
    return contoso


def assert_whole(world, device, form):
    column = "phone" if form is WITH_PHONE else "revenue"
    value = "555" if form is WITH_PHONE else "1"
    rows = device.store.rows("account").values()
    assert {r["name"]: r[column] for r in rows} == {
        f"Site {number}": value for number in (0, 1, 3, 4)
    }
    assert device.store.rows("account") == world.device("Ada").store.rows("account")
    assert_sound(world)


def assert_nothing_is_left(world):
    (relation,) = world.values("SELECT relation FROM sync.source WHERE name='account'")
    retired = world.values("SELECT relation FROM sync.retired_relation")
    found = world.values(
        "SELECT tablename FROM pg_tables"
        " WHERE schemaname = 'data' AND tablename LIKE 'account%%'"
    )
    assert set(found) == {relation, *retired}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("point", FOLLOWING)
def test_a_worker_killed_while_it_changes_a_table_leaves_it_whole(
    world, worker, point, form
):
    ada = world.device("Ada")
    world.change_source(form)

    killed = worker.follow(world, fail=point)
    world.source.delete("account", guid("Site 2"))
    world.pull("account")
    ada.sync()
    world.read_metadata()
    world.pull("account")
    ada.sync()

    assert killed == KILLED
    assert_whole(world, ada, form)
    assert_nothing_is_left(world)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("point", LOADING)
def test_a_worker_killed_while_the_new_form_is_loaded_loses_nothing(
    world, worker, point, form
):
    ada = world.device("Ada")
    world.redefine(form)
    world.source.delete("account", guid("Site 2"))
    # All pages have news, so that each of them reaches the feed.
    for number in (0, 1, 3, 4):
        world.source.put("account", guid(f"Site {number}"))
    world.source.put("account", guid("Site 5"), name="Site 5", ownerid=None)

    killed = worker.pull(world, ["account"], fail=point)
    ada.sync()
    world.pull("account")
    ada.sync()

    assert killed == KILLED
    assert_whole(world, ada, form)
    assert_nothing_is_left(world)


def test_a_worker_killed_while_it_withdraws_a_table_leaves_it_there(world, worker):
    ada = world.device("Ada")
    world.tables = tuple(t for t in world.tables if t.name != "account")
    world.read_metadata()

    killed = worker.follow(world, fail="schema.withdrawn:1")
    ada.sync()
    before = len(ada.names())
    world.read_metadata()
    ada.sync()

    assert (killed, before) == (KILLED, 5)
    assert "account" not in ada.store.tables()
