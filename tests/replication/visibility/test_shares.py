"""Rows that are shared with a user or a team, for as long as they are."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from replication.visibility import rules
from tests.replication.checks import assert_sound
from tests.replication.hooked import HookedConnection
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    filtered,
    mine,
    naming,
    profile_of,
    related,
)
from tests.staged import guid

READ, WRITE = 1, 2
EVERYTHING = profile_of(ProfileItem(table="account"))


@pytest.fixture
def sites(offices):
    """Airport and Harbour belong to nobody who asks; Grace reads only her own rows."""
    for name in ("Airport", "Harbour"):
        offices.add("account", name)
    offices.pull("account")
    offices.put_in_effect(EVERYTHING)
    return offices


def shapes(world):
    return [rule.shape for rule in rules.living(world.database.kept("test"))]


def assert_holds(world, device, names):
    device.sync()
    assert device.names() == names
    assert_sound(world)


def test_the_first_share_of_a_table_builds_what_hands_it_out(sites):
    grace = sites.device("Grace")
    before = shapes(sites)

    sites.share("account", "Airport", to="Grace")

    assert (before, shapes(sites)) == (["base"], ["base", "deep"])
    assert_holds(sites, grace, {"Airport"})
    assert_holds(sites, sites.device("Alan"), set())


def test_further_shares_reach_the_device(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.share("account", "Harbour", to="Grace", mask=READ | WRITE)

    assert_holds(sites, grace, {"Airport", "Harbour"})


def test_a_share_of_a_table_that_nobody_takes_along_changes_nobodys_access(sites):
    sites.add("lead", "Mill")
    sites.pull("lead")
    rev = sites.rev

    sites.share("lead", "Mill", to="Grace")

    assert sites.rev == rev


def test_a_share_that_is_deleted_takes_the_row_away(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.unshare("Airport", to="Grace")

    assert_holds(sites, grace, set())


@pytest.mark.parametrize("mask", [0, WRITE, None])
def test_a_mask_without_reading_shares_nothing(sites, mask):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.share("account", "Airport", to="Grace", mask=mask)

    assert_holds(sites, grace, set())


def test_what_is_inherited_counts_as_well(sites):
    sites.share("account", "Airport", to="Grace", mask=0, inherited=READ)
    grace = sites.device("Grace")
    before = grace.names()

    sites.share("account", "Airport", to="Grace", mask=0, inherited=0)

    assert before == {"Airport"}
    assert_holds(sites, grace, set())


def test_a_row_may_be_shared_before_it_arrives(sites):
    sites.share("account", "Depot", to="Grace")
    grace = sites.device("Grace")

    sites.add("account", "Depot")
    sites.pull("account")

    assert_holds(sites, grace, {"Depot"})


def test_a_shared_row_that_is_deleted_leaves(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.remove("account", "Airport")

    assert_holds(sites, grace, set())


def test_a_shared_row_that_changes_reaches_who_it_is_shared_with(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.change("account", "Airport", city="Lima")
    result = grace.sync()

    assert (result.rows, result.deletes) == (1, 0)


def test_what_is_shared_with_a_team_is_shared_with_its_members(sites):
    sites.add_team("Crew", unit="South")
    sites.pull("team")
    sites.share("account", "Airport", to="Crew")
    grace = sites.device("Grace")
    before = grace.names()

    sites.join("Grace", "Crew")
    sites.pull("teammembership")
    grace.sync()
    joined = grace.names()
    sites.leave("Grace", "Crew")
    sites.pull("teammembership")

    assert (before, joined) == (set(), {"Airport"})
    assert_holds(sites, grace, set())


def test_a_share_opens_nothing_without_a_privilege_on_the_table(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")

    sites.source.delete("roleprivileges", guid("Salesperson/account"))
    sites.pull("roleprivileges")
    grace.sync()

    assert grace.store.tables() == ()


def test_a_share_opens_a_row_and_the_profile_still_has_to_take_it(sites):
    sites.change("account", "Harbour", city="Lima")
    sites.put_in_effect(profile_of(filtered("account", "city eq 'Lima'")))
    for name in ("Airport", "Harbour"):
        sites.share("account", name, to="Grace")
    grace = sites.device("Grace")
    before = grace.names()

    sites.change("account", "Airport", city="Lima")

    assert before == {"Harbour"}
    assert_holds(sites, grace, {"Airport", "Harbour"})


def test_own_rows_only_are_not_those_of_others_that_are_shared(sites):
    sites.put_in_effect(profile_of(mine("account")))

    sites.share("account", "Airport", to="Grace")

    assert sites.device("Grace").names() == set()


def test_shared_rows_of_related_tables_come_along(sites):
    sites.add("account", "Mine", owner="Grace")
    sites.add("contact", "Kay", **naming("parentcustomerid", "account", "Mine"))
    sites.add("contact", "Lin", **naming("parentcustomerid", "account", "Airport"))
    sites.pull_these("account", "contact")
    sites.put_in_effect(
        profile_of(mine("account", CONTACTS_OF_ACCOUNTS), related("contact"))
    )
    for name in ("Kay", "Lin"):
        sites.share("contact", name, to="Grace")

    # Lin is open to Grace, and no account of hers brings it.
    assert sites.device("Grace").names("contact") == {"Kay"}
    assert_sound(sites)


def test_shares_that_a_full_load_does_not_meet_are_swept(sites):
    sites.share("account", "Airport", to="Grace")
    grace = sites.device("Grace")
    sites.source.rows("principalobjectaccess").clear()
    sites.source.expire_tokens()

    sites.pull("principalobjectaccess")

    assert_holds(sites, grace, set())


def test_a_row_shared_with_two_stays_with_the_second(sites):
    for name in ("Grace", "Alan"):
        sites.share("account", "Airport", to=name)
    grace, alan = sites.device("Grace"), sites.device("Alan")

    sites.unshare("Airport", to="Grace")

    assert_holds(sites, grace, set())
    assert_holds(sites, alan, {"Airport"})


@pytest.mark.parametrize("depth", [2, 4])
def test_sharing_goes_together_with_reading_by_units(sites, depth):
    sites.add("account", "Quay")
    sites.change("account", "Quay", owningbusinessunit=str(guid("Port")))
    sites.change("account", "Harbour", owningbusinessunit=str(guid("South")))
    sites.hire("Edsger", unit="North", account=depth)
    edsger = sites.device("Edsger")
    before = edsger.names()

    sites.share("account", "Harbour", to="Edsger")

    assert before == ({"Airport"} if depth == 2 else {"Airport", "Quay"})
    assert_holds(sites, edsger, before | {"Harbour"})


@pytest.mark.parametrize("at", ["ANALYZE", "DELETE FROM touched", "UPDATE sync.clock"])
def test_a_shallower_right_takes_nothing_away_where_rows_are_shared(sites, at):
    """The rule of shared rows has to open units as well, and does not do so at once."""
    sites.share("account", "Airport", to="Grace")
    sites.change("account", "Harbour", owningbusinessunit=str(guid("Port")))
    sites.hire("Edsger", unit="North", account=8)
    edsger, held = sites.device("Edsger"), []

    def before(statement):
        if statement.startswith(at):
            edsger.sync()
            held.append(edsger.names())

    sites.set_depth("Edsger's role", "account", 4)
    with sites.database.connect(HookedConnection) as conn:
        conn.before = before
        sites.pull_on(conn, "roleprivileges")

    assert held
    assert all(names == {"Airport", "Harbour"} for names in held)
    assert_holds(sites, edsger, {"Airport", "Harbour"})
