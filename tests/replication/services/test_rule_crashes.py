"""Workers killed by SIGKILL while published filters take effect."""

from __future__ import annotations

import signal

import pytest

from replication.visibility import reconcile, rules
from tests.replication import waiting
from tests.replication.checks import assert_sound
from tests.replication.related import filtered, profile_of

KILLED = -signal.SIGKILL
NORTH = "Microsoft.Dynamics.CRM.EqualBusinessId(PropertyName='owningbusinessunit')"


def of_both(text):
    return profile_of(filtered("account", text), filtered("task", text))


@pytest.fixture
def filtered_world(contoso):
    """Six accounts and six tasks of Ada's; devices hold the first three of each."""
    for number in range(6):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
        contoso.add_row("task", f"Call {number}", owner="Ada", unit="North")
    contoso.pull_these("account", "task")
    contoso.put_in_effect(of_both("name in ('Site 0','Site 1','Call 0','Call 1')"))
    return contoso


def settle(world):
    """What the dead worker held is free once PostgreSQL has noticed."""
    conn = world.database.kept("test")
    waiting.until(lambda: world.pull("account") and not reconcile.is_due(conn))


@pytest.mark.parametrize("point", ["rule.chunk:1", "rule.chunk:2"])
def test_a_worker_killed_between_edited_rules_loses_nothing(
    filtered_world, worker, point
):
    ada = filtered_world.device("Ada")
    filtered_world.publish(of_both("not (name in ('Site 0','Call 0'))"))

    killed = worker.pull(filtered_world, ["account"], fail=point)
    conn = filtered_world.database.kept("test")
    left = sum(rule.is_stale for rule in rules.living(conn))
    settle(filtered_world)
    ada.sync()

    assert (killed, left) == (KILLED, 2 - int(point[-1]))
    assert ada.names() == {f"Site {number}" for number in range(1, 6)}
    assert ada.names("task") == {f"Call {number}" for number in range(1, 6)}
    assert_sound(filtered_world)


@pytest.mark.parametrize(
    "point", ["rule.begun:1", "rule.built:1", "rule.begun:2", "rule.built:2"]
)
def test_until_every_rule_is_built_devices_keep_what_they_had(
    filtered_world, worker, point
):
    ada = filtered_world.device("Ada")
    filtered_world.publish(of_both(NORTH))

    killed = worker.pull(filtered_world, ["account"], fail=point)
    ada.sync()
    kept = ada.names(), ada.names("task")
    settle(filtered_world)
    ada.sync()

    assert killed == KILLED
    assert kept == ({"Site 0", "Site 1"}, {"Call 0", "Call 1"})
    assert (len(ada.names()), len(ada.names("task"))) == (6, 6)
    assert_sound(filtered_world)
