"""Rows that come along over several steps, and rows that change on both ends at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from replication.domain.choices import BASE, Choice, Hop, RuleSpec
from replication.domain.profiles import Association
from replication.domain.tables import ColumnDef, ColumnType
from tests.fake_dataverse import plain, table_def
from tests.replication import waiting
from tests.replication.checks import assert_sound
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    CONTACTS_OF_OWN,
    LEADS,
    NOTES,
    PRIMARIES_OF_OWN,
    TASKS,
    assert_holds,
    filtered,
    mine,
    naming,
    profile_of,
    related,
)
from tests.replication.worlds import ALL_ACCOUNTS
from tests.staged import guid

LISTED = profile_of(mine("account", LEADS), related("lead"))
REGION = replace(
    table_def("region", plain("name"), ownership="organization"),
    columns=(
        ColumnDef(
            name="regionid",
            type=ColumnType.STRING,
            source_name="regionid",
            required=True,
        ),
        plain("name"),
        plain("versionnumber", ColumnType.BIGINT),
    ),
)
THREE_LEVELS = profile_of(
    mine("account", CONTACTS_OF_ACCOUNTS),
    related("contact", TASKS),
    related("task", NOTES),
    related("annotation"),
)


@pytest.fixture
def offices(db, all_two_accounts):
    """Airport is Ada's and has the contact Kay; Harbour is Grace's and has Lin."""
    return all_two_accounts.world()


# Many to many


@pytest.fixture
def listed(offices):
    """The lead Mill is linked with Airport, and Farm with nothing."""
    for name in ("Mill", "Farm"):
        offices.add("lead", name)
    offices.link("Airport", "Mill")
    offices.pull_these("lead", "accountleads")
    offices.put_in_effect(LISTED)
    return offices


def test_rows_that_are_linked_come_along(listed):
    assert listed.device("Ada").names("lead") == {"Mill"}
    assert listed.device("Grace").names("lead") == set()
    assert_sound(listed)


def test_a_link_that_is_made_brings_a_row(listed):
    ada = listed.device("Ada")

    listed.link("Airport", "Farm")
    listed.pull("accountleads")

    assert_holds(listed, ada, {"Mill", "Farm"}, "lead")


def test_a_link_that_is_gone_takes_its_row_away(listed):
    ada = listed.device("Ada")

    listed.remove("accountleads", "Airport/Mill")

    assert_holds(listed, ada, set(), "lead")


def test_rows_linked_with_a_parent_that_changes_owner_leave(listed):
    ada = listed.device("Ada")

    listed.change("account", "Airport", ownerid=str(guid("Grace")))

    assert_holds(listed, ada, set(), "lead")


def test_a_link_that_comes_before_what_it_links_works_when_that_comes(listed):
    ada = listed.device("Ada")
    listed.link("Depot", "Dock")
    listed.pull("accountleads")
    listed.add("lead", "Dock")
    listed.pull("lead")

    listed.add("account", "Depot", owner="Ada")
    listed.pull("account")

    assert_holds(listed, ada, {"Mill", "Dock"}, "lead")


# Several levels


@pytest.fixture
def deep(offices):
    """Kay of Airport has the task Call, and that the note Minutes."""
    offices.add("task", "Call", **naming("regardingobjectid", "contact", "Kay"))
    offices.add("annotation", "Minutes", **naming("objectid", "task", "Call"))
    offices.pull_these("task", "annotation")
    offices.put_in_effect(THREE_LEVELS)
    return offices


def assert_levels(world, device, contacts, tasks, notes):
    device.sync()
    assert device.names("contact") == contacts
    assert device.names("task") == tasks
    assert device.names("annotation") == notes
    assert_sound(world)


def test_rows_come_along_over_three_levels(deep):
    ada = deep.device("Ada")

    assert_levels(deep, ada, {"Kay"}, {"Call"}, {"Minutes"})


def test_a_head_row_that_changes_owner_takes_three_levels_along(deep):
    ada = deep.device("Ada")

    deep.change("account", "Airport", ownerid=str(guid("Grace")))

    assert_levels(deep, ada, set(), set(), set())


def test_a_row_in_the_middle_that_moves_takes_those_behind_it_along(deep):
    ada = deep.device("Ada")

    deep.change("contact", "Kay", **naming("parentcustomerid", "account", "Harbour"))
    ada.sync()
    gone = ada.names("annotation")
    deep.change("contact", "Kay", **naming("parentcustomerid", "account", "Airport"))

    assert gone == set()
    assert_levels(deep, ada, {"Kay"}, {"Call"}, {"Minutes"})


def test_a_row_in_the_middle_that_is_deleted_ends_the_path(deep):
    ada = deep.device("Ada")

    deep.remove("contact", "Kay")

    assert_levels(deep, ada, set(), set(), set())


def test_a_row_in_the_middle_that_is_deleted_and_made_again_restores_the_path(deep):
    ada = deep.device("Ada")
    deep.remove("task", "Call")
    ada.sync()

    deep.add("task", "Call", **naming("regardingobjectid", "contact", "Kay"))
    deep.pull("task")

    assert_levels(deep, ada, {"Kay"}, {"Call"}, {"Minutes"})


def test_the_last_row_of_a_path_may_move_to_another_one(deep):
    ada = deep.device("Ada")
    deep.add("task", "Letter")
    deep.pull("task")

    deep.change("annotation", "Minutes", **naming("objectid", "task", "Letter"))

    assert_levels(deep, ada, {"Kay"}, {"Call"}, set())


# Writers at the same time


@pytest.mark.parametrize("first", ["account", "contact"])
def test_parent_and_child_that_change_at_the_same_time_meet_at_the_clock(
    offices, in_background, first
):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")
    # The one leaves Ada's accounts, the other goes to it.
    offices.source.put("account", guid("Airport"), ownerid=str(guid("Grace")))
    offices.source.put(
        "contact", guid("Lin"), **naming("parentcustomerid", "account", "Airport")
    )
    second = "contact" if first == "account" else "account"

    with (
        offices.staging() as holder,
        offices.staging() as one,
        offices.staging() as two,
    ):
        with holder.transaction():
            holder.execute("SELECT FROM sync.clock FOR UPDATE")
            pulls = []
            for conn, table in ((one, first), (two, second)):
                pulls.append(in_background(offices.pull_on, conn, table))
                waiting.until_blocked(conn, seen_by=offices.database.kept("test"))
        for pull in pulls:
            pull.result(timeout=20)

    assert_holds(offices, ada, set())
    assert offices.device("Ada").names("contact") == set()


def test_a_rule_begun_after_the_merge_learns_of_former_values(offices, in_background):
    """The page is merged before anybody watches the column, and derived after."""
    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))
    offices.put_in_effect(ALL_ACCOUNTS)
    offices.source.put("account", guid("Airport"), primarycontactid=str(guid("Kay")))

    with offices.staging() as holder, offices.staging() as conn:
        with holder.transaction():
            holder.execute("SELECT FROM sync.clock FOR UPDATE")
            pull = in_background(offices.pull_on, conn, "account")
            waiting.until_blocked(conn, seen_by=offices.database.kept("test"))
            # Rules are begun by whoever has the clock: this transaction.
            begin_rule(holder)
        pull.result(timeout=20)

    noted = offices.values("SELECT row_id FROM sync.catchup")
    assert {guid("Lin"), guid("Kay")} <= set(noted)
    offices.put_in_effect(PRIMARIES_OF_OWN)
    assert_holds(offices, offices.device("Ada"), {"Kay"})


def begin_rule(conn):
    """What `building` writes under the clock for primary contacts."""
    hop = Hop(table="account", near="contactid", far="primarycontactid")
    spec = RuleSpec(shape=BASE, choice=Choice(hops=(hop,)))
    conn.execute(
        "INSERT INTO sync.rule (source_id, shape, spec) SELECT id, 'base', %s"
        " FROM sync.source WHERE name = 'contact'",
        (spec.text,),
    )


def test_pages_of_one_row_each_come_to_the_same(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")
    offices.page_size = 1
    for name in ("Airport", "Harbour"):
        offices.source.put("account", guid(name), city="Lima")
    offices.source.put("account", guid("Harbour"), ownerid=str(guid("Ada")))

    while not offices.pull("account", time_slice=timedelta(0)).is_finished:
        pass

    assert_holds(offices, ada, {"Kay", "Lin"})


# Keys that are no GUIDs


@pytest.fixture
def coded(offices):
    """Regions have a code for a key, and sites name it."""
    offices.add_table(REGION)
    offices.add_table(table_def("site", plain("name"), plain("region")))
    offices.set_depth("Reader", "region", 8)
    offices.set_depth("Reader", "site", 8)
    offices.source.put("region", "N", name="Northern", regionid="N")
    offices.add("site", "Depot", region="N")
    offices.pull_these("privilege", "roleprivileges", "region", "site")
    sites = Association(table="site", kind="one_to_many", column="region")
    offices.put_in_effect(
        profile_of(filtered("region", "name ne 'Closed'", sites), related("site"))
    )
    return offices


def test_rows_come_along_with_a_parent_whose_key_is_a_code(coded):
    ada = coded.device("Ada")
    before = ada.names("site")

    coded.source.put("region", "N", name="Closed")
    coded.pull("region")

    assert before == {"Depot"}
    assert_holds(coded, ada, set(), "site")


def test_rows_of_a_deleted_parent_whose_key_is_a_code_leave(coded):
    ada = coded.device("Ada")

    coded.source.delete("region", "N")
    coded.pull("region")

    assert_holds(coded, ada, set(), "site")
