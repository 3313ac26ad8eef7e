"""What was published takes effect when its rules are built, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.domain.profiles import Assignments, ProfileItem
from replication.services.housekeeping import purge
from replication.visibility import policy, reconcile, rules
from tests.replication.checks import assert_sound
from tests.replication.hooked import HookedConnection
from tests.replication.related import (
    CONTACTS_OF_ACCOUNTS,
    PRIMARY_CONTACTS,
    about_user,
    filtered,
    mine,
    naming,
    profile_of,
    related,
    served,
)
from tests.replication.worlds import profile
from tests.staged import guid

LIMA = profile_of(filtered("account", "city eq 'Lima'"))
# Another number of key attributes: no rule can become this one.
CREATED = profile_of(filtered("account", about_user("EqualUserId", "createdby")))
STEPS = [
    "INSERT INTO sync.rule",
    'INSERT INTO "sync"."feed_',
    'ANALYZE "sync"."feed_',
    "ALTER TABLE sync.feed ATTACH",
]


@pytest.fixture
def cities(offices):
    """Lima and Quito of Ada's, of which she created Quito; Lima has the contact Kay."""
    for city in ("Lima", "Quito"):
        offices.add("account", city, city=city, owner="Ada")
    offices.source.put("account", guid("Quito"), createdby=str(guid("Ada")))
    offices.add("contact", "Kay", **naming("parentcustomerid", "account", "Lima"))
    offices.pull_these("account", "contact")
    offices.put_in_effect(LIMA)
    return offices


def reconcile_and(world, *, before, meanwhile):
    """Do something before the first statement that begins like this."""
    done: list[bool] = []

    def heard(statement):
        if statement.startswith(before) and not done:
            done.append(True)
            meanwhile()

    with world.database.connect(HookedConnection) as conn:
        conn.before = heard
        reconcile.reconcile(conn)
    assert done


def test_what_is_only_published_changes_nothing_on_devices(cities):
    ada = cities.device("Ada")

    cities.publish(CREATED)
    ada.sync()
    published = ada.names()
    cities.reconcile()
    ada.sync()

    assert (published, ada.names()) == ({"Lima"}, {"Quito"})
    assert_sound(cities)


@pytest.mark.parametrize("step", STEPS)
def test_while_rules_are_built_devices_keep_what_they_had(cities, step):
    ada, seen = cities.device("Ada"), []

    def look():
        ada.sync()
        seen.append((ada.store.tables(), ada.names()))

    cities.publish(CREATED)
    # Whoever attaches a partition holds the clock; asking needs no clock.
    reconcile_and(cities, before=step, meanwhile=look)
    ada.sync()

    assert seen == [(("account",), {"Lima"})]
    assert ada.names() == {"Quito"}
    assert_sound(cities)


# The first step is taken under the clock, where no page can be written.
@pytest.mark.parametrize("step", STEPS[1:3])
def test_rows_that_change_while_rules_are_built_reach_devices_as_before(cities, step):
    ada, seen = cities.device("Ada"), []

    def look():
        cities.change("account", "Quito", city="Lima")
        ada.sync()
        seen.append(ada.names())

    cities.publish(CREATED)
    reconcile_and(cities, before=step, meanwhile=look)
    ada.sync()

    assert seen == [{"Lima", "Quito"}]
    assert ada.names() == {"Quito"}
    assert_sound(cities)


def test_an_edit_that_needs_a_further_rule_keeps_the_table_in_the_model(cities):
    both = profile_of(
        filtered(
            "account", f"city eq 'Lima' or {about_user('EqualUserId', 'createdby')}"
        )
    )
    ada, seen = cities.device("Ada"), []

    def look():
        ada.sync()
        seen.append((ada.store.tables(), ada.names()))

    cities.publish(both)
    reconcile_and(cities, before='INSERT INTO "sync"."feed_', meanwhile=look)
    ada.sync()

    assert seen == [(("account",), {"Lima"})]
    assert ada.names() == {"Lima", "Quito"}
    assert_sound(cities)


def test_profiles_published_while_others_are_built_win(cities):
    ada = cities.device("Ada")
    cities.publish(CREATED)

    reconcile_and(
        cities,
        before='ANALYZE "sync"."feed_',
        meanwhile=lambda: cities.publish(
            profile_of(filtered("account", "city ne null"))
        ),
    )
    ada.sync()

    assert ada.names() == {"Lima", "Quito"}
    assert policy.is_in_effect(cities.database.kept("test"))
    assert_sound(cities)


def test_profiles_published_just_before_others_take_effect_win(cities):
    ada = cities.device("Ada")
    cities.publish(profile_of(filtered("account", "city eq 'Quito'")))

    # The edit of the rule is planned, and has not happened.
    reconcile_and(
        cities,
        before="SELECT rev, epoch",
        meanwhile=lambda: cities.publish(
            profile_of(filtered("account", "city ne null"))
        ),
    )
    ada.sync()

    assert ada.names() == {"Lima", "Quito"}
    assert_sound(cities)


# Between the moment when profiles take effect and the one when edited rules are caught
# up, somebody asks who has not asked before.


def seen_before_the_catch_up(world, user):
    seen = []
    reconcile_and(
        world,
        before="UPDATE sync.clock SET rules_rev",
        meanwhile=lambda: seen.append(world.device(user).names()),
    )
    assert_sound(world)
    return seen


QUITO = filtered("account", "city eq 'Quito'")
ONLY_GRACE = Assignments(users=(guid("Grace"),))


def test_who_is_newly_assigned_never_gets_rows_of_the_former_filter(cities):
    cities.put_in_effect(
        profile_of(filtered("account", "city eq 'Lima'"), assignments=ONLY_GRACE)
    )

    cities.publish(profile_of(QUITO))

    assert seen_before_the_catch_up(cities, "Ada") == [{"Quito"}]


def test_nor_does_who_falls_to_the_default_profile(cities):
    default = {"name": "Standard", "is_default": True, "assignments": Assignments()}
    for_ada = profile_of(
        mine("account"), name="Hers", assignments=Assignments(users=(guid("Ada"),))
    )
    lima = profile_of(filtered("account", "city eq 'Lima'"), **default)
    cities.put_in_effect(lima, for_ada)

    cities.publish(profile_of(QUITO, **default))

    assert seen_before_the_catch_up(cities, "Ada") == [{"Quito"}]


def test_nor_does_who_has_another_profile_that_comes_to_the_same_rows(cities):
    lima, hers = filtered("account", "city eq 'Lima'"), mine("account")
    for_ada = {"name": "A", "assignments": Assignments(users=(guid("Ada"),))}
    for_grace = {"name": "B", "assignments": ONLY_GRACE}
    cities.put_in_effect(profile_of(hers, **for_ada), profile_of(lima, **for_grace))

    cities.publish(profile_of(QUITO, **for_ada), profile_of(QUITO, **for_grace))

    assert seen_before_the_catch_up(cities, "Ada") == [{"Quito"}]


def test_nor_does_who_is_compared_in_another_way(cities):
    by_teams = about_user("EqualUserTeams", "createdby")
    by_user = f"{about_user('EqualUserId', 'createdby')} and city eq 'Lima'"
    cities.put_in_effect(profile_of(filtered("account", by_teams)))

    cities.publish(profile_of(filtered("account", by_user)))

    assert seen_before_the_catch_up(cities, "Ada") == [set()]


def test_what_a_tightened_organization_filter_forbids_is_gone_with_its_effect(cities):
    everything = profile_of(ProfileItem(table="account"))
    cities.put_in_effect(everything)

    cities.publish(everything, **served("account", "city eq 'Quito'"))

    assert seen_before_the_catch_up(cities, "Ada") == [{"Quito"}]


def test_an_organization_filter_that_comes_back_meanwhile_stays(cities):
    everything = profile_of(ProfileItem(table="account"))
    lima = served("account", "city eq 'Lima'")
    cities.put_in_effect(everything, **lima)
    cities.publish(everything, **served("account", "city eq 'Quito'"))

    reconcile_and(
        cities,
        before='ANALYZE "sync"."feed_',
        meanwhile=lambda: cities.publish(everything, **lima),
    )

    assert cities.device("Ada").names() == {"Lima"}
    assert_sound(cities)


def test_associations_that_change_bring_other_rows(cities):
    cities.put_in_effect(
        profile_of(mine("account", CONTACTS_OF_ACCOUNTS), related("contact"))
    )
    ada = cities.device("Ada")
    before = ada.names("contact")

    cities.put_in_effect(
        profile_of(mine("account", PRIMARY_CONTACTS), related("contact"))
    )
    ada.sync()

    assert (before, ada.names("contact")) == ({"Kay"}, set())
    assert_sound(cities)


def test_rules_that_nobody_needs_any_more_are_retired(cities):
    cities.put_in_effect(CREATED)
    cities.put_in_effect(profile(ProfileItem(table="contact")))

    conn = cities.database.kept("test")
    living = {rule.source_id for rule in rules.living(conn)}
    contacts = cities.values("SELECT id FROM sync.source WHERE name = 'contact'")

    assert living == set(contacts)
    assert cities.values("SELECT count(*) FROM sync.feed WHERE live AND k4 > 0") == [0]
    assert cities.device("Ada").store.tables() == ("contact",)


def test_a_device_that_was_away_for_several_publishings_ends_as_others(cities):
    away = cities.device("Ada")

    for published in (CREATED, LIMA, profile(ProfileItem(table="contact")), CREATED):
        cities.put_in_effect(published)
        cities.change("account", "Lima", createdby=str(guid("Ada")))
    away.sync()

    assert away.names() == cities.device("Ada").names() == {"Lima", "Quito"}
    assert away.names("contact") == set()
    assert_sound(cities)


def test_rules_of_three_attributes_are_forgotten_when_nobody_can_need_them(cities):
    text = " and ".join(
        about_user("NotEqualUserId", column)
        for column in ("createdby", "primarycontactid", "ownerid")
    )
    cities.change("account", "Lima", ownerid=str(guid("Grace")))
    cities.put_in_effect(profile_of(filtered("account", text)))
    ada = cities.device("Ada")
    held = ada.names()
    cities.put_in_effect(profile(ProfileItem(table="contact")))
    ada.sync()
    conn = cities.database.kept("test")
    cities.execute(
        "INSERT INTO sync.rev_sample (rev, sampled_at)"
        " SELECT rev, now() - interval '99 days' FROM sync.clock"
    )

    purge(conn, retention=timedelta(days=30))
    ada.sync()

    assert held == {"Lima"}
    assert cities.values("SELECT count(*) FROM sync.rule WHERE state = 'retired'") == [
        0
    ]
    assert cities.values("SELECT count(*) FROM sync.feed WHERE k6 IS NOT NULL") == [0]
    assert ada.store.tables() == ("contact",)
    assert_sound(cities)
