"""Filters about the present time: rows enter and leave while nobody changes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from replication.visibility import moving, rules
from tests.replication.checks import assert_sound
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    TASKS,
    fetch,
    filtered,
    in_small_pieces,
    naming,
    profile_of,
    related,
    served,
)

RECENT = fetch("opened", "last-x-days", "10")
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def days(count):
    return timedelta(days=count)


def opened(moment):
    return {"opened": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture
def dated(offices):
    """Accounts opened 1, 5 and 9 days ago, long ago, and in 3 days."""
    for ago in (1, 5, 9, 400, -3):
        offices.add("account", f"{ago} ago", **opened(TODAY - days(ago)))
    offices.pull("account")
    return offices


def advance(world, count):
    """Let so many days pass, counted from today."""
    moving.advance(world.database.kept("test"), now=TODAY + days(count))


def test_what_is_in_the_window_is_held(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))

    assert dated.device("Ada").names() == {"1 ago", "5 ago", "9 ago"}
    assert_sound(dated)


def test_rows_leave_and_enter_as_time_passes(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    ada = dated.device("Ada")

    advance(dated, 3)
    first = ada.sync()
    after_three = ada.names()
    advance(dated, 8)
    ada.sync()

    assert (first.rows, first.deletes) == (1, 1)
    assert after_three == {"1 ago", "5 ago", "-3 ago"}
    assert ada.names() == {"1 ago", "-3 ago"}
    assert_sound(dated)


def test_nothing_is_written_when_nothing_crosses(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    rev = dated.rev

    advance(dated, 1)

    assert dated.rev == rev
    assert_sound(dated)


def test_a_window_is_due_when_its_next_day_begins(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    conn = dated.database.kept("test")

    midnight = TODAY.replace(hour=0) + days(1)

    assert not moving.is_due(conn, now=midnight - timedelta(seconds=1))
    assert moving.is_due(conn, now=midnight)
    advance(dated, 1)
    assert not moving.is_due(conn, now=midnight + timedelta(hours=12))


def test_a_rule_without_windows_is_never_due(dated):
    dated.put_in_effect(profile_of(filtered("account", "opened ne null")))

    assert not moving.is_due(dated.database.kept("test"), now=TODAY + days(4000))


def test_going_back_in_time_changes_nothing(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    advance(dated, 8)
    ada = dated.device("Ada")

    advance(dated, 2)

    assert ada.sync() is None
    assert_sound(dated)


def test_writers_between_two_ticks_are_judged_by_the_last_one(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    advance(dated, 5)
    ada = dated.device("Ada")

    dated.change("account", "400 ago", **opened(TODAY - days(4)))
    dated.change("account", "1 ago", **opened(TODAY - days(8)))
    ada.sync()

    # Ten days before the fifth day from now is the day five days ago.
    assert ada.names() == {"5 ago", "400 ago", "-3 ago"}
    assert_sound(dated)


def test_a_negated_window_moves_the_other_way(dated):
    text = (
        "not Microsoft.Dynamics.CRM.LastXDays(PropertyName='opened',PropertyValue=10)"
    )
    dated.put_in_effect(profile_of(filtered("account", text)))
    ada = dated.device("Ada")
    before = ada.names()

    advance(dated, 3)
    ada.sync()

    assert before == {"400 ago", "-3 ago"}
    assert ada.names() == {"400 ago", "9 ago"}
    assert_sound(dated)


def test_an_organization_filter_may_be_a_window(dated):
    dated.put_in_effect(
        profile_of(filtered("account", "opened ne null")), **served("account", RECENT)
    )
    ada = dated.device("Ada")

    advance(dated, 3)
    ada.sync()

    assert ada.names() == {"1 ago", "5 ago", "-3 ago"}
    assert_sound(dated)


def test_rows_related_to_what_leaves_the_window_leave_with_it(dated):
    for name, ago in (("Kay", 9), ("Lin", -3)):
        customer = naming("parentcustomerid", "account", f"{ago} ago")
        dated.add("contact", name, **customer)
        dated.add(
            "task", f"Call {name}", **naming("regardingobjectid", "contact", name)
        )
    dated.pull_these("contact", "task")
    dated.put_in_effect(
        profile_of(
            filtered("account", RECENT, CONTACTS_OF_ACCOUNTS),
            related("contact", TASKS),
            related("task"),
        )
    )
    ada = dated.device("Ada")
    before = (ada.names("contact"), ada.names("task"))

    advance(dated, 3)
    ada.sync()

    assert before == ({"Kay"}, {"Call Kay"})
    assert (ada.names("contact"), ada.names("task")) == ({"Lin"}, {"Call Lin"})
    assert_sound(dated)


def test_an_edit_takes_the_present_moment(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    ada = dated.device("Ada")

    dated.put_in_effect(
        profile_of(filtered("account", fetch("opened", "last-x-days", "6")))
    )
    ada.sync()

    assert ada.names() == {"1 ago", "5 ago"}
    assert_sound(dated)


def test_many_rows_that_cross_at_once_are_caught_up_with_in_chunks(dated, monkeypatch):
    for number in range(9):
        dated.add("account", f"Old {number}", **opened(TODAY - days(9)))
    dated.pull("account")
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    ada = dated.device("Ada")
    in_small_pieces(monkeypatch, most_at_once=3, chunk=4)

    advance(dated, 3)
    is_stale = [rule.is_stale for rule in rules.living(dated.database.kept("test"))]
    dated.reconcile()
    ada.sync()

    assert is_stale == [True]
    assert ada.names() == {"1 ago", "5 ago", "-3 ago"}
    assert_sound(dated)


def test_the_pull_of_any_table_moves_what_is_due(dated):
    dated.put_in_effect(profile_of(filtered("account", RECENT)))
    ada = dated.device("Ada")
    # As if nobody had looked since three weeks ago.
    dated.execute(
        "UPDATE sync.rule SET as_of = as_of - interval '21 days',"
        " next_tick = next_tick - interval '21 days'"
    )
    dated.change("account", "1 ago", **opened(TODAY - days(15)))
    ada.sync()

    assert ada.names() == {"5 ago", "9 ago"}
    assert_sound(dated)
