"""Workers killed by SIGKILL at each failpoint: the next pull makes up for all of it."""

from __future__ import annotations

import signal

import pytest

from replication.domain.profiles import ProfileItem
from replication.visibility import reconcile
from tests.fake_dataverse import plain, table_def
from tests.replication import waiting
from tests.replication.checks import assert_equals_source, assert_sound
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

KILLED = -signal.SIGKILL

SITE = table_def("site", plain("name"))
EACH_PAGE = [
    f"page.{point}:{nth}"
    for point in ("merged", "locked", "derived", "stored", "committed")
    for nth in (1, 2)
]
FIRST_LOAD = [point for point in EACH_PAGE if point != "page.locked:2"]


@pytest.fixture
def changed(contoso):
    """Ten accounts are loaded and half of them have changed, in pages of two."""
    for number in range(10):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.pull("account")
    contoso.page_size = 2
    for number in range(3):
        contoso.source.put("account", guid(f"Site {number}"), revenue=number)
    contoso.hand_over("Site 3", to="Grace")
    contoso.source.delete("account", guid("Site 4"))
    contoso.add_account("Depot", owner="Grace", unit="South")
    return contoso


def names_of(world, owner, table="account"):
    return {
        row["name"]
        for row in world.source.rows(table).values()
        if row["ownerid"] == str(guid(owner))
    }


def test_an_order_that_nothing_kills_is_carried_out(changed, worker):
    assert worker.pull(changed, ["account"], fail="nowhere:1") == 0

    assert_equals_source(changed)


@pytest.mark.parametrize("point", EACH_PAGE)
def test_a_worker_killed_in_a_delta_loses_nothing(changed, worker, point):
    ada, grace = changed.device("Ada"), changed.device("Grace")

    killed = worker.pull(changed, ["account"], fail=point)
    ada.sync()
    changed.pull("account")
    ada.sync()
    grace.sync()

    assert killed == KILLED
    assert_equals_source(changed)
    assert ada.names() == names_of(changed, "Ada")
    assert grace.names() == names_of(changed, "Grace")


@pytest.mark.parametrize("point", EACH_PAGE)
def test_a_worker_killed_in_a_full_load_loses_nothing(changed, worker, point):
    changed.source.expire_tokens()
    # Pages without news do not touch the clock.
    for number in range(5, 10):
        changed.source.put("account", guid(f"Site {number}"), revenue=number)
    ada = changed.device("Ada")

    killed = worker.pull(changed, ["account"], fail=point)
    ada.sync()
    changed.pull("account")
    ada.sync()

    assert killed == KILLED
    assert_equals_source(changed)
    assert ada.names() == names_of(changed, "Ada")


@pytest.mark.parametrize("point", FIRST_LOAD)
def test_a_worker_killed_in_a_first_load_loses_nothing(contoso, worker, point):
    contoso.add_table(SITE)
    contoso.add_role("Reader", unit="Contoso", site=1)
    contoso.grant("Ada", "Reader")
    contoso.pull_these("role", "privilege", "roleprivileges", "systemuserroles")
    contoso.publish(ALL_ACCOUNTS, profile(ProfileItem(table="site"), name="Sites"))
    for number in range(5):
        contoso.add_row("site", f"Site {number}", owner="Ada", unit="North")
    contoso.page_size = 2
    ada = contoso.device("Ada")

    killed = worker.pull(contoso, ["site"], fail=point)
    ada.sync()
    contoso.pull("site")
    ada.sync()

    assert killed == KILLED
    assert_equals_source(contoso)
    assert ada.names("site") == names_of(contoso, "Ada", "site")


@pytest.mark.parametrize(
    "point", ["rule.begun:1", "rule.begun:2", "rule.built:1", "rule.built:2"]
)
def test_a_worker_killed_while_it_builds_rules_leaves_none_half_built(
    contoso, worker, point
):
    for table in ("task", "lead"):
        for number in range(5):
            contoso.add_row(table, f"{table} {number}", owner="Ada", unit="North")
        contoso.pull(table)
    ada = contoso.device("Ada")
    contoso.publish(
        ALL_ACCOUNTS,
        profile(ProfileItem(table="task"), ProfileItem(table="lead"), name="More"),
    )

    killed = worker.pull(contoso, ["account"], fail=point)
    # Writers that come before the next attempt leave their rows to be caught up.
    contoso.source.delete("task", guid("task task 0"))
    contoso.add_row("lead", "lead 9", owner="Ada", unit="North")
    ada.sync()
    contoso.pull_these("lead", "task")
    # What the dead worker held is free once PostgreSQL has noticed.
    waiting.until(lambda: contoso.pull("account") and rules_are_settled(contoso))
    ada.sync()

    assert killed == KILLED
    assert_sound(contoso)
    assert ada.names("task") == names_of(contoso, "Ada", "task")
    assert ada.names("lead") == names_of(contoso, "Ada", "lead")


def rules_are_settled(world):
    return not reconcile.is_due(world.database.kept("test"))


def test_a_worker_killed_again_and_again_still_gets_there(changed, worker):
    points = [point for point in EACH_PAGE if point.endswith(":1")]

    killed = [worker.pull(changed, ["account"], fail=point) for point in points]
    changed.pull("account")

    assert killed == [KILLED] * len(points)
    assert_equals_source(changed)
    assert changed.device("Ada").names() == names_of(changed, "Ada")
