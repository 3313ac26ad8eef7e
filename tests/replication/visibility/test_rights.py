"""What a device holds after its user's rights, or the keys of rows, change."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from replication.services.serving import OfflineNotAllowedError
from tests.replication.worlds import profile
from tests.staged import guid

USER, UNIT, PARENT_CHILD, ORGANIZATION = 1, 2, 4, 8


@pytest.fixture(scope="module")
def four_sites(all_of_contoso):
    return all_of_contoso.varied("four_sites", add_four_sites)


@pytest.fixture
def sites(db, four_sites):
    """One account in each unit, of nobody who syncs. Two are older than their rule."""
    return four_sites.world()


def add_four_sites(contoso):
    for unit in ("North", "Port", "Contoso", "South"):
        contoso.add_account(f"Site {unit}", owner="Nobody", unit=unit)
        contoso.pull("account")
        if unit == "Port":
            contoso.rebuild_rules()


def test_a_device_receives_exactly_the_rows_its_user_owns(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.add_account("Airport G", owner="Grace", unit="South")
    contoso.pull("account")

    assert contoso.device("Ada").names() == {"Airport A"}
    assert contoso.device("Grace").names() == {"Airport G"}


@pytest.mark.parametrize(
    ("depth", "seen"),
    [
        pytest.param(USER, set(), id="user"),
        pytest.param(UNIT, {"Site North"}, id="business unit"),
        pytest.param(PARENT_CHILD, {"Site North", "Site Port"}, id="parent and child"),
        pytest.param(
            ORGANIZATION,
            {"Site Contoso", "Site North", "Site South", "Site Port"},
            id="organization",
        ),
    ],
)
def test_the_depth_of_a_role_decides_which_units_a_user_reads(sites, depth, seen):
    sites.hire("Edsger", unit="North", account=depth)

    assert sites.device("Edsger").names() == seen


def test_the_deepest_of_several_roles_counts(sites):
    sites.hire("Edsger", unit="North", account=UNIT)
    sites.add_role("Director", unit="Contoso", account=PARENT_CHILD)
    sites.grant("Edsger", "Director")
    sites.pull_these("role", "roleprivileges", "systemuserroles")

    assert sites.device("Edsger").names() == {"Site North", "Site Port"}


def test_a_row_that_changes_owner_leaves_the_one_device_and_reaches_the_other(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    ada, grace = contoso.device("Ada"), contoso.device("Grace")

    contoso.hand_over("Airport A", to="Grace")
    contoso.pull("account")
    ada.sync()
    grace.sync()

    assert (ada.names(), grace.names()) == (set(), {"Airport A"})


def test_a_row_that_is_deleted_leaves_the_device(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    ada = contoso.device("Ada")

    contoso.source.delete("account", guid("Airport A"))
    contoso.pull("account")
    ada.sync()

    assert ada.names() == set()


def test_a_row_that_is_deleted_and_made_again_comes_back(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    ada = contoso.device("Ada")
    contoso.source.delete("account", guid("Airport A"))
    contoso.pull("account")

    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    ada.sync()

    assert ada.names() == {"Airport A"}


def test_a_row_that_comes_back_after_it_left_a_device_reaches_it_again(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    ada = contoso.device("Ada")
    for owner in ("Grace", "Ada"):
        contoso.hand_over("Airport A", to=owner)
        contoso.pull("account")
        ada.sync()

    assert ada.names() == {"Airport A"}


@pytest.mark.parametrize("depth", [UNIT, PARENT_CHILD])
def test_a_row_that_moves_to_another_unit_leaves_the_device(sites, depth):
    sites.hire("Edsger", unit="Port", account=depth)
    edsger = sites.device("Edsger")

    sites.move("Site Port", to_unit="South")
    sites.pull("account")
    edsger.sync()

    assert edsger.names() == set()


def test_a_row_that_moves_within_the_subtree_stays(sites):
    sites.hire("Edsger", unit="North", account=PARENT_CHILD)
    edsger = sites.device("Edsger")

    sites.move("Site Port", to_unit="North")
    sites.pull("account")
    edsger.sync()

    assert edsger.names() == {"Site North", "Site Port"}


@pytest.mark.parametrize(
    ("depth", "seen"),
    [(UNIT, {"Site South"}), (PARENT_CHILD, {"Site South"})],
)
def test_a_user_who_moves_to_another_unit_exchanges_its_rows(sites, depth, seen):
    sites.hire("Edsger", unit="North", account=depth)
    edsger = sites.device("Edsger")

    sites.source.put("systemuser", guid("Edsger"), businessunitid=str(guid("South")))
    sites.pull("systemuser")
    edsger.sync()

    assert edsger.names() == seen


def test_a_unit_that_is_hung_elsewhere_takes_its_rows_along(sites):
    sites.hire("Edsger", unit="North", account=PARENT_CHILD)
    sites.hire("Barbara", unit="South", account=PARENT_CHILD)
    edsger, barbara = sites.device("Edsger"), sites.device("Barbara")

    sites.source.put(
        "businessunit", guid("Port"), parentbusinessunitid=str(guid("South"))
    )
    sites.pull("businessunit")
    edsger.sync()
    barbara.sync()

    assert edsger.names() == {"Site North"}
    assert barbara.names() == {"Site South", "Site Port"}


def test_a_unit_that_is_deleted_takes_its_rows_from_those_above_it(sites):
    sites.hire("Edsger", unit="North", account=PARENT_CHILD)
    edsger = sites.device("Edsger")

    sites.source.delete("businessunit", guid("Port"))
    sites.pull("businessunit")
    edsger.sync()

    assert edsger.names() == {"Site North"}


def test_units_that_hang_in_a_circle_for_a_moment_do_not_stop_the_pull(sites):
    sites.hire("Edsger", unit="North", account=PARENT_CHILD)

    sites.source.put(
        "businessunit", guid("Contoso"), parentbusinessunitid=str(guid("Port"))
    )
    sites.pull("businessunit")

    assert sites.device("Edsger").names() >= {"Site North", "Site Port"}


def test_a_lowered_depth_takes_the_rows_of_the_other_units_away(sites):
    sites.hire("Edsger", unit="North", account=ORGANIZATION)
    edsger = sites.device("Edsger")

    remaining = []
    for depth in (PARENT_CHILD, UNIT, USER):
        sites.set_depth_of("Edsger", depth)
        edsger.sync()
        remaining.append(edsger.names())

    assert remaining == [{"Site North", "Site Port"}, {"Site North"}, set()]


def test_a_raised_depth_brings_rows_that_are_older_than_it(sites):
    sites.hire("Edsger", unit="North", account=USER)
    edsger = sites.device("Edsger")

    arrived = []
    for depth in (UNIT, PARENT_CHILD, ORGANIZATION):
        sites.set_depth_of("Edsger", depth)
        edsger.sync()
        arrived.append(len(edsger.names()))

    assert arrived == [1, 2, 4]


def test_a_revoked_role_takes_along_what_it_alone_opened(sites):
    sites.hire("Edsger", unit="North", account=UNIT)
    sites.add_account("Airport E", owner="Edsger", unit="South")
    sites.grant("Edsger", "Salesperson")
    sites.pull_these("account", "systemuserroles")
    edsger = sites.device("Edsger")

    sites.revoke("Edsger", "Edsger's role")
    sites.pull("systemuserroles")
    edsger.sync()

    assert edsger.names() == {"Airport E"}


def test_a_user_who_sees_a_row_by_two_ways_keeps_it_when_he_loses_one(sites):
    sites.hire("Edsger", unit="North", account=UNIT)
    edsger = sites.device("Edsger")
    sites.hand_over("Site North", to="Edsger")
    sites.pull("account")
    edsger.sync()

    sites.set_depth_of("Edsger", USER)
    edsger.sync()

    assert edsger.names() == {"Site North"}


@pytest.mark.parametrize("kept", [UNIT, PARENT_CHILD])
def test_a_row_that_never_changed_stays_while_one_way_to_it_does(sites, kept):
    sites.hire("Edsger", unit="North", account=kept)
    sites.add_team("Crew", unit="South")
    sites.join("Edsger", "Crew")
    sites.hand_over("Site North", to="Crew")
    sites.pull_these("team", "teammembership", "account")
    sites.rebuild_rules()
    edsger = sites.device("Edsger")
    before = edsger.names()

    sites.leave("Edsger", "Crew")
    sites.pull("teammembership")
    edsger.sync()

    assert "Site North" in before
    assert edsger.names() == before


def test_a_row_that_a_user_sees_by_two_ways_stays_when_it_leaves_one(sites):
    sites.hire("Edsger", unit="North", account=UNIT)
    sites.hand_over("Site North", to="Edsger")
    sites.pull("account")
    edsger = sites.device("Edsger")

    sites.move("Site North", to_unit="South")
    sites.pull("account")
    edsger.sync()

    assert edsger.names() == {"Site North"}


def test_a_row_that_two_profiles_take_stays_when_one_of_them_ends(sites):
    own = ProfileItem(table="account", records="filtered", owned_by_me=True)
    of_unit = ProfileItem(
        table="account", records="filtered", owned_by_my_business_unit=True
    )
    sites.hire("Edsger", unit="North", account=ORGANIZATION)
    sites.hand_over("Site North", to="Edsger")
    sites.publish(profile(own, name="Own"), profile(of_unit, name="Unit"))
    sites.pull("account")
    edsger = sites.device("Edsger")

    sites.publish(profile(own, name="Own"))
    sites.pull("account")
    edsger.sync()

    assert edsger.names() == {"Site North"}


def test_a_disabled_user_may_not_go_offline(contoso):
    ada = contoso.device("Ada")

    contoso.source.put("systemuser", guid("Ada"), isdisabled=True)
    contoso.pull("systemuser")

    with pytest.raises(OfflineNotAllowedError, match="disabled"):
        ada.sync()


def test_a_user_without_any_role_may_not_go_offline(contoso):
    ada = contoso.device("Ada")

    contoso.revoke("Ada", "Salesperson")
    contoso.pull("systemuserroles")

    with pytest.raises(OfflineNotAllowedError, match="no role"):
        ada.sync()


def test_a_user_who_never_was_replicated_may_not_go_offline(contoso):
    with pytest.raises(OfflineNotAllowedError, match="unknown"):
        contoso.device("Mallory")


def test_a_role_without_the_privilege_of_a_table_opens_none_of_it(sites):
    sites.hire("Edsger", unit="North", contact=ORGANIZATION)

    assert "account" not in sites.device("Edsger").store.tables()
