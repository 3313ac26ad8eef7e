"""Rows that a user follows come along, for as long as he follows them."""

from __future__ import annotations

import pytest

from tests.replication.checks import assert_sound
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    mine,
    naming,
    profile_of,
    related,
)
from tests.staged import guid

FOLLOWED = profile_of(
    related("account", CONTACTS_OF_ACCOUNTS, can_be_followed=True), related("contact")
)


@pytest.fixture
def followed(offices):
    """Ada follows Airport; Harbour is Grace's, and nobody follows it."""
    for name in ("Airport", "Harbour"):
        offices.add("account", name, owner="Grace")
    offices.add("contact", "Kay", **naming("parentcustomerid", "account", "Airport"))
    offices.follow("Ada", "account", "Airport")
    offices.pull_these("account", "contact", "postfollow")
    offices.put_in_effect(FOLLOWED)
    return offices


def test_only_who_follows_a_row_takes_it_along(followed):
    assert followed.device("Ada").names() == {"Airport"}
    assert followed.device("Grace").names() == set()
    assert_sound(followed)


def test_a_row_that_is_followed_brings_its_own(followed):
    assert followed.device("Ada").names("contact") == {"Kay"}


def test_following_and_unfollowing_reach_the_device(followed):
    ada = followed.device("Ada")

    followed.follow("Ada", "account", "Harbour")
    followed.pull("postfollow")
    ada.sync()
    both = ada.names()
    followed.remove("postfollow", "Ada follows Airport")
    ada.sync()

    assert both == {"Airport", "Harbour"}
    assert ada.names() == {"Harbour"}
    assert ada.names("contact") == set()
    assert_sound(followed)


def test_two_followers_do_not_disturb_each_other(followed):
    followed.follow("Grace", "account", "Airport")
    followed.pull("postfollow")
    ada, grace = followed.device("Ada"), followed.device("Grace")

    followed.remove("postfollow", "Ada follows Airport")
    ada.sync()
    grace.sync()

    assert (ada.names(), grace.names()) == (set(), {"Airport"})
    assert_sound(followed)


def test_following_opens_nothing_that_security_closes(followed):
    followed.follow("Alan", "account", "Airport")
    followed.pull("postfollow")

    assert followed.device("Alan").names() == set()


def test_a_follow_of_a_row_of_another_table_brings_nothing(followed):
    values = naming("regardingobjectid", "contact", "Harbour")
    followed.source.put("postfollow", guid("odd"), ownerid=str(guid("Ada")), **values)
    followed.pull("postfollow")

    assert followed.device("Ada").names() == {"Airport"}
    assert_sound(followed)


def test_without_a_table_of_follows_the_other_rows_come_all_the_same(contoso):
    contoso.add_account("Airport", owner="Ada", unit="North")
    contoso.pull("account")

    contoso.put_in_effect(profile_of(mine("account", can_be_followed=True)))

    assert contoso.device("Ada").names() == {"Airport"}
