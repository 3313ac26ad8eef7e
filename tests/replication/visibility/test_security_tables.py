"""Roles that have copies, tables that nobody owns, and privileges by any spelling."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Assignments, ProfileItem
from replication.services.serving import OfflineNotAllowedError
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

PEOPLE = profile(ProfileItem(table="systemuser"))
UNITS = profile(ProfileItem(table="businessunit"))


def publish(world, *profiles):
    world.publish(*profiles)
    world.pull("account")


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        (2, {"Ada", "Edsger"}),
        (4, {"Ada", "Edsger", "Barbara"}),
        (8, {"Ada", "Edsger", "Barbara", "Grace"}),
    ],
)
def test_rows_of_a_business_unit_without_owner_are_read_by_unit(contoso, depth, names):
    contoso.add_user("Barbara", unit="Port")
    contoso.hire("Edsger", unit="North", systemuser=depth)
    publish(contoso, PEOPLE)

    rows = contoso.device("Edsger").store.rows("systemuser").values()

    assert {row["fullname"] for row in rows} == names


def test_rows_without_owner_are_nobodys_own(contoso):
    contoso.hire("Edsger", unit="North", systemuser=1)
    publish(contoso, PEOPLE)

    assert contoso.device("Edsger").store.count("systemuser") == 0


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_table_of_the_organization_is_read_at_that_depth_only(contoso, depth):
    contoso.hire("Edsger", unit="North", businessunit=depth)
    publish(contoso, UNITS)
    edsger = contoso.device("Edsger")
    before = edsger.store.tables()

    contoso.set_depth_of("Edsger", 8, table="businessunit")
    edsger.sync()

    assert before == ()
    assert edsger.names("businessunit") == {"Contoso", "North", "South", "Port"}


def test_a_copy_of_a_role_has_the_privileges_of_its_root(contoso):
    contoso.add_account("Site", owner="Edsger", unit="North")
    contoso.add_role("Copy in North", unit="North")
    contoso.source.put(
        "role", guid("Copy in North"), parentrootroleid=str(guid("Salesperson"))
    )
    contoso.add_user("Edsger", unit="North", roles=["Copy in North"])
    contoso.pull_these("account", "role", "systemuser", "systemuserroles")

    assert contoso.device("Edsger").names() == {"Site"}


def test_a_profile_of_a_role_reaches_who_has_a_copy_of_it(contoso):
    contoso.add_role("Copy in North", unit="North")
    contoso.source.put(
        "role", guid("Copy in North"), parentrootroleid=str(guid("Salesperson"))
    )
    contoso.add_user("Edsger", unit="North", roles=["Copy in North"])
    contoso.pull_these("role", "systemuser", "systemuserroles")
    by_role = Assignments(roles=(guid("Salesperson"),))
    publish(contoso, profile(ProfileItem(table="account"), assignments=by_role))

    assert contoso.device("Edsger").store.tables() == ("account",)


def test_privileges_are_found_however_they_are_spelled(contoso):
    contoso.add_account("Site", owner="Ada", unit="North")
    contoso.source.put("privilege", guid("prvReadaccount"), name="PRVREADACCOUNT")
    contoso.pull_these("privilege", "account")

    assert contoso.device("Ada").names() == {"Site"}


def test_a_privilege_without_depth_opens_nothing(contoso):
    contoso.add_account("Site", owner="Ada", unit="North")
    contoso.pull("account")
    ada = contoso.device("Ada")

    contoso.set_depth("Salesperson", "account", 0)
    contoso.pull("roleprivileges")
    ada.sync()

    assert ada.store.tables() == ()


def test_security_that_is_not_replicated_lets_nobody_go_offline(new_world):
    world = new_world()
    world.publish(ALL_ACCOUNTS)

    with pytest.raises(OfflineNotAllowedError, match="security"):
        world.device("Ada")


def test_a_user_whose_unit_comes_later_gets_its_rows_then(contoso):
    contoso.hire("Edsger", unit="Harbour", account=2)
    contoso.add_account("Site", owner="Nobody", unit="Harbour")
    contoso.pull("account")
    edsger = contoso.device("Edsger")

    contoso.add_unit("Harbour", parent="Contoso")
    contoso.pull("businessunit")
    edsger.sync()

    assert edsger.names() == {"Site"}
