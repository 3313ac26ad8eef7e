"""Profile items that name what is not there are suspended; the others go on."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Association, ProfileItem
from replication.visibility import compiled, planning, policy
from tests.fake_dataverse import plain, table_def
from tests.replication.checks import assert_sound
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    filtered,
    mine,
    naming,
    profile_of,
    related,
)
from tests.staged import guid

BACK = Association(table="account", kind="one_to_many", column="primarycontactid")


@pytest.fixture
def airport(offices):
    offices.add("account", "Airport", owner="Ada", city="Lima")
    offices.add("contact", "Kay", **naming("parentcustomerid", "account", "Airport"))
    offices.pull_these("account", "contact")
    return offices


def problems(world):
    """Codes of what is suspended, by table."""
    conn = world.database.kept("test")
    tables = planning.definitions(conn)
    found = compiled.compiled(
        policy.published(conn), {n: t.definition for n, t in tables.items()}
    )
    return {(problem.table, problem.code) for problem in found.problems}


GOOD = ProfileItem(table="account")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (ProfileItem(table="gone"), ("gone", "unknown_table")),
        (filtered("contact", "gone eq 1"), ("contact", "unusable_filter")),
        (filtered("contact", "fullname eq"), ("contact", "unusable_filter")),
        (ProfileItem(table="contact", records="custom"), ("contact", "no_filter")),
        (related("contact"), ("contact", "no_relationship")),
        (
            ProfileItem(
                table="contact",
                associations=(
                    Association(table="gone", kind="one_to_many", column="x"),
                ),
            ),
            ("contact", "unusable_association"),
        ),
    ],
)
def test_an_item_that_cannot_be_used_does_not_stop_the_others(airport, item, problem):
    airport.put_in_effect(profile_of(GOOD, item))

    assert airport.device("Ada").names() == {"Airport"}
    assert problem in problems(airport) or problem[1] == "no_filter"
    assert_sound(airport)


@pytest.mark.parametrize(
    "association",
    [
        Association(table="contact", kind="one_to_many", column="gone"),
        Association(
            table="contact",
            kind="many_to_many",
            column="accountid",
            intersect="gone",
            other_column="contactid",
        ),
        Association(
            table="contact",
            kind="many_to_many",
            column="accountid",
            intersect="accountleads",
        ),
    ],
)
def test_an_association_that_cannot_be_used_brings_nothing(airport, association):
    items = (
        mine("account", association),
        filtered("contact", "fullname eq 'Kay'"),
    )
    airport.put_in_effect(profile_of(*items))
    ada = airport.device("Ada")

    assert (ada.names(), ada.names("contact")) == ({"Airport"}, {"Kay"})
    assert ("account", "unusable_association") in problems(airport)


def test_associations_in_a_circle_bring_nothing_and_the_items_stay(airport):
    items = (
        mine("account", CONTACTS_OF_ACCOUNTS),
        filtered("contact", "fullname eq 'Kay'", BACK),
    )
    airport.put_in_effect(profile_of(*items))
    ada = airport.device("Ada")

    assert (ada.names(), ada.names("contact")) == ({"Airport"}, {"Kay"})
    assert {code for _, code in problems(airport)} == {"circular"}
    assert_sound(airport)


def test_an_item_works_once_its_table_is_replicated(airport):
    site = table_def("site", plain("name"))
    airport.put_in_effect(profile_of(GOOD, ProfileItem(table="site")))
    ada = airport.device("Ada")
    before = ada.store.tables()

    airport.add_table(site)
    airport.set_depth("Reader", "site", 8)
    airport.add("site", "Depot")
    airport.pull_these("privilege", "roleprivileges", "site")
    ada.sync()

    assert before == ("account",)
    assert ada.names("site") == {"Depot"}
    assert_sound(airport)


def test_a_profile_of_which_nothing_is_left_leaves_nothing_on_the_device(airport):
    airport.put_in_effect(profile_of(GOOD))
    ada = airport.device("Ada")

    airport.put_in_effect(profile_of(ProfileItem(table="gone")))
    ada.sync()

    assert ada.names() == set()


def test_follows_without_the_columns_they_need_are_passed_over(contoso):
    contoso.add_table(table_def("postfollow", plain("name")))
    contoso.pull("postfollow")
    contoso.add_account("Airport", owner="Ada", unit="North")
    contoso.pull("account")

    item = ProfileItem(table="account", can_be_followed=True, records="filtered")
    contoso.put_in_effect(
        profile_of(item, name="A"), profile_of(mine("account"), name="B")
    )

    assert contoso.device("Ada").names() == {"Airport"}
    assert ("account", "unusable_association") in problems(contoso)
    assert guid("Airport") in contoso.values("SELECT row_id FROM sync.feed WHERE live")
