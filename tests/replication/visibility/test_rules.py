"""Rules come and go while writers write and devices ask."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.domain.profiles import ProfileItem
from replication.visibility import rules
from tests.fake_dataverse import plain, table_def
from tests.replication.checks import assert_sound
from tests.replication.hooked import HookedConnection
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

# Statements of a build: before and after them a writer may come.
WHILE_BUILDING = [
    pytest.param("INSERT INTO {feed}", id="before the rows are read"),
    pytest.param("ANALYZE {feed}", id="after the rows were read"),
]
TASKS = profile(ProfileItem(table="task"), name="Tasks")


@pytest.fixture
def tasks(contoso):
    """Four tasks of Ada's are loaded, and not yet published."""
    for number in range(4):
        contoso.add_row("task", f"Call {number}", owner="Ada", unit="North")
    contoso.pull("task")
    return contoso


def build(world, *, at, meanwhile, pulling="account"):
    """Build what is missing, in a pull; do something before this statement of it."""
    begins = at.replace("{feed}", '"sync"."feed_')
    done: list[bool] = []

    def before(statement):
        if statement.startswith(begins) and not done:
            done.append(True)
            meanwhile()

    with world.database.connect(HookedConnection) as conn:
        conn.before = before
        world.pull_on(conn, pulling)
    assert done


def change_tasks(world):
    world.source.put("task", guid("task Call 0"), ownerid=str(guid("Grace")))
    world.source.delete("task", guid("task Call 1"))
    world.source.put("task", guid("task Call 2"), name="Renamed")
    world.add_row("task", "Call 9", owner="Ada", unit="North")
    world.pull("task")


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_rows_that_change_while_a_rule_is_built_are_caught_up(tasks, at):
    tasks.publish(ALL_ACCOUNTS, TASKS)

    build(tasks, at=at, meanwhile=lambda: change_tasks(tasks))

    assert_sound(tasks)
    assert tasks.device("Ada").names("task") == {"Renamed", "Call 3", "Call 9"}
    assert tasks.device("Grace").names("task") == {"Call 0"}


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_what_is_caught_up_reaches_a_device_that_had_the_table(tasks, at):
    tasks.publish(ALL_ACCOUNTS, TASKS)
    tasks.pull("account")
    ada = tasks.device("Ada")
    tasks.publish(ALL_ACCOUNTS)
    tasks.pull("account")
    tasks.publish(ALL_ACCOUNTS, TASKS)

    build(tasks, at=at, meanwhile=lambda: change_tasks(tasks))
    ada.sync()

    assert ada.names("task") == {"Renamed", "Call 3", "Call 9"}


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_a_unit_that_moves_while_a_rule_is_built_is_caught_up(contoso, at):
    contoso.add_account("Site Port", owner="Nobody", unit="Port")
    contoso.pull("account")
    contoso.add_role("Head", unit="Contoso", account=4)
    contoso.add_user("Edsger", unit="North", roles=["Head"])
    contoso.add_user("Barbara", unit="South", roles=["Head"])
    contoso.pull_these("role", "systemuser", "systemuserroles")
    contoso.source.put(
        "businessunit", guid("Port"), parentbusinessunitid=str(guid("South"))
    )

    build(
        contoso,
        at=at,
        meanwhile=lambda: contoso.pull("businessunit"),
        pulling="roleprivileges",
    )

    assert_sound(contoso)
    assert contoso.device("Edsger").names() == set()
    assert contoso.device("Barbara").names() == {"Site Port"}


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_a_table_whose_rule_is_being_built_is_not_in_the_model_yet(tasks, at):
    tasks.publish(ALL_ACCOUNTS, TASKS)
    seen = []

    build(tasks, at=at, meanwhile=lambda: seen.append(tasks.device("Ada")))

    (ada,) = seen
    assert ada.store.tables() == ("account",)
    ada.sync()
    assert len(ada.names("task")) == 4


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_a_deeper_right_takes_nothing_away_while_its_rule_is_built(contoso, at):
    contoso.hire("Edsger", unit="North", account=2)
    contoso.add_account("Site North", owner="Nobody", unit="North")
    contoso.add_account("Site Port", owner="Nobody", unit="Port")
    contoso.pull("account")
    edsger, held = contoso.device("Edsger"), []

    def sync():
        edsger.sync()
        held.append(edsger.names())

    contoso.set_depth("Edsger's role", "account", 4)
    build(contoso, at=at, meanwhile=sync, pulling="roleprivileges")
    edsger.sync()

    assert "Site North" in held[0]
    assert edsger.names() == {"Site North", "Site Port"}


@pytest.mark.parametrize("at", WHILE_BUILDING)
def test_a_shallower_right_takes_no_more_than_it_should_while_its_rule_is_built(
    contoso, at
):
    contoso.hire("Edsger", unit="North", account=8)
    for unit in ("North", "Port", "South"):
        contoso.add_account(f"Site {unit}", owner="Nobody", unit=unit)
    contoso.pull("account")
    edsger, held = contoso.device("Edsger"), []

    def sync():
        edsger.sync()
        held.append(edsger.names())

    contoso.set_depth("Edsger's role", "account", 4)
    build(contoso, at=at, meanwhile=sync, pulling="roleprivileges")
    edsger.sync()

    assert held == [{"Site North", "Site Port"}]
    assert edsger.names() == {"Site North", "Site Port"}


def living_shapes(world):
    return [rule.shape for rule in rules.living(world.database.kept("test"))]


def test_a_rule_by_ancestors_exists_only_while_a_role_reads_that_deep(contoso):
    contoso.hire("Edsger", unit="North", account=4)
    with_deep = living_shapes(contoso)

    contoso.set_depth_of("Edsger", 2)

    assert (with_deep, living_shapes(contoso)) == (["base", "deep"], ["base"])


def test_a_table_that_nobody_publishes_has_no_rule(contoso):
    contoso.publish()
    contoso.pull("account")

    assert living_shapes(contoso) == []


def test_a_retired_rule_leaves_tombstones_and_not_nothing(contoso):
    contoso.add_account("Site", owner="Ada", unit="North")
    contoso.pull("account")
    rev = contoso.rev

    contoso.publish()
    contoso.pull("account")

    ((row, live, at),) = contoso.fetch("SELECT row_id, live, rev FROM sync.feed")
    assert (row, live) == (guid("Site"), False)
    assert rev < at <= contoso.rev


def test_a_table_published_again_gets_a_new_rule(contoso):
    contoso.add_account("Site", owner="Ada", unit="North")
    contoso.pull("account")
    ada = contoso.device("Ada")
    contoso.publish(TASKS)
    contoso.pull("account")

    contoso.publish(ALL_ACCOUNTS)
    contoso.pull("account")
    contoso.source.delete("account", guid("Site"))
    contoso.pull("account")
    ada.sync()

    assert ada.names() == set()
    assert_sound(contoso)


def test_a_table_is_not_published_before_its_first_load_is_complete(contoso):
    site = table_def("site", plain("name"))
    contoso.add_table(site)
    contoso.add_role("Reader", unit="Contoso", site=1)
    contoso.grant("Ada", "Reader")
    contoso.pull_these("role", "privilege", "roleprivileges", "systemuserroles")
    contoso.publish(ALL_ACCOUNTS, profile(ProfileItem(table="site"), name="Sites"))
    for number in range(4):
        contoso.add_row("site", f"Site {number}", owner="Ada", unit="North")
    contoso.page_size = 2
    ada = contoso.device("Ada")

    tables = []
    for _ in range(2):
        contoso.pull("site", time_slice=timedelta(0))
        ada.sync()
        tables.append(ada.store.tables())

    assert tables == [("account",), ("account", "site")]
    assert len(ada.names("site")) == 4


def test_a_first_load_takes_no_revs_for_its_rows(contoso):
    contoso.add_table(table_def("site", plain("name")))
    contoso.publish(ALL_ACCOUNTS, profile(ProfileItem(table="site"), name="Sites"))
    for number in range(9):
        contoso.add_row("site", f"Site {number}", owner="Ada", unit="North")
    before = contoso.rev

    contoso.pull("site")

    # For the table that became complete, for its rule, for the profiles' taking effect.
    assert contoso.rev == before + 3
    assert contoso.values("SELECT DISTINCT rev FROM sync.feed") == [0]
