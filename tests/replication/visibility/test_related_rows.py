"""Rows that come along with others by a lookup, and go with them."""

from __future__ import annotations

import pytest

from tests.replication.checks import assert_sound
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    CONTACTS_OF_OWN,
    PRIMARIES_OF_OWN,
    assert_holds,
    filtered,
    mine,
    naming,
    profile_of,
    related,
    served,
)
from tests.staged import guid


@pytest.fixture
def offices(db, all_two_accounts):
    """Airport is Ada's and has the contact Kay; Harbour is Grace's and has Lin."""
    return all_two_accounts.world()


# One to many


def test_contacts_come_along_with_the_accounts_that_they_name(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)

    assert offices.device("Ada").names("contact") == {"Kay"}
    assert_sound(offices)


def test_security_narrows_what_comes_along(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    grace = offices.device("Grace")
    before = grace.names("contact")

    offices.change("contact", "Lin", ownerid=str(guid("Grace")))

    assert before == set()
    assert_holds(offices, grace, {"Lin"})


def test_what_comes_along_follows_from_chosen_rows_and_not_from_readable_ones(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    offices.change("account", "Harbour", ownerid=str(guid("Ada")))

    # Ada reads every account, and chose only her own.
    assert offices.device("Ada").names("contact") == {"Kay", "Lin"}


def test_a_parent_that_changes_owner_takes_its_rows_along(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")

    offices.change("account", "Airport", ownerid=str(guid("Grace")))

    assert_holds(offices, ada, set())


def test_a_child_that_moves_to_another_parent_leaves(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")

    customer = naming("parentcustomerid", "account", "Harbour")
    offices.change("contact", "Kay", **customer)

    assert_holds(offices, ada, set())


def test_a_child_that_comes_from_another_parent_joins(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")

    customer = naming("parentcustomerid", "account", "Airport")
    offices.change("contact", "Lin", **customer)

    assert_holds(offices, ada, {"Kay", "Lin"})


def test_a_lookup_that_names_a_row_of_another_table_brings_nothing(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")

    offices.change("contact", "Kay", parentcustomerid__type="contact")

    assert_holds(offices, ada, set())


def test_rows_of_a_parent_that_is_deleted_leave(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")

    offices.remove("account", "Airport")

    assert_holds(offices, ada, set())


def test_rows_wait_for_a_parent_that_comes_later(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")
    customer = naming("parentcustomerid", "account", "Depot")
    offices.add("contact", "Mae", **customer)
    offices.pull("contact")

    offices.add("account", "Depot", owner="Ada")
    offices.pull("account")

    assert_holds(offices, ada, {"Kay", "Mae"})


def test_rows_that_a_full_load_does_not_meet_any_more_take_theirs_along(offices):
    offices.put_in_effect(CONTACTS_OF_OWN)
    ada = offices.device("Ada")
    # Nobody tells of the delete: only the sweep finds out.
    del offices.source.rows("account")[str(guid("Airport"))]
    offices.source.expire_tokens()

    offices.pull("account")

    assert_holds(offices, ada, set())


def test_only_what_the_filter_of_the_parent_accepts_brings_rows(offices):
    chosen = filtered("account", "city eq 'Lima'", CONTACTS_OF_ACCOUNTS)
    offices.put_in_effect(profile_of(chosen, related("contact")))
    ada = offices.device("Ada")
    before = ada.names("contact")

    offices.change("account", "Harbour", city="Lima")

    assert before == set()
    assert_holds(offices, ada, {"Lin"})


def test_related_rows_are_added_to_what_an_item_takes_itself(offices):
    items = (
        mine("account", CONTACTS_OF_ACCOUNTS),
        filtered("contact", "fullname eq 'Lin'"),
    )
    offices.put_in_effect(profile_of(*items))

    assert offices.device("Ada").names("contact") == {"Kay", "Lin"}
    assert_sound(offices)


def test_the_organization_filter_narrows_related_rows_too(offices):
    offices.put_in_effect(CONTACTS_OF_OWN, **served("contact", "fullname ne 'Kay'"))

    assert offices.device("Ada").names("contact") == set()
    assert_sound(offices)


# Many to one


def test_a_row_that_a_lookup_names_comes_along(offices):
    offices.put_in_effect(PRIMARIES_OF_OWN)
    ada = offices.device("Ada")
    before = ada.names("contact")

    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))

    assert before == set()
    assert_holds(offices, ada, {"Lin"})


def test_a_row_that_no_lookup_names_any_more_leaves(offices):
    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))
    offices.put_in_effect(PRIMARIES_OF_OWN)
    ada = offices.device("Ada")

    offices.change("account", "Airport", primarycontactid=str(guid("Kay")))

    assert_holds(offices, ada, {"Kay"})


def test_a_row_that_two_others_name_stays_with_the_second(offices):
    offices.add("account", "Depot", owner="Ada", primarycontactid=str(guid("Lin")))
    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))
    offices.put_in_effect(PRIMARIES_OF_OWN)
    ada = offices.device("Ada")

    offices.remove("account", "Depot")

    assert_holds(offices, ada, {"Lin"})


def test_the_row_that_a_deleted_one_named_leaves(offices):
    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))
    offices.put_in_effect(PRIMARIES_OF_OWN)
    ada = offices.device("Ada")

    offices.remove("account", "Airport")

    assert_holds(offices, ada, set())


def test_the_row_that_a_swept_one_named_leaves(offices):
    offices.change("account", "Airport", primarycontactid=str(guid("Lin")))
    offices.put_in_effect(PRIMARIES_OF_OWN)
    ada = offices.device("Ada")
    del offices.source.rows("account")[str(guid("Airport"))]
    offices.source.expire_tokens()

    offices.pull("account")

    assert_holds(offices, ada, set())
