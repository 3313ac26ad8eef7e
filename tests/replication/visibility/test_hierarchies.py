"""Superiors read what belongs to those below them, where an organization wants that."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Hierarchy, ProfileItem
from tests.replication.checks import assert_sound
from tests.replication.related import profile_of
from tests.staged import guid

EVERYTHING = profile_of(ProfileItem(table="account"))
MANAGERS, POSITIONS = Hierarchy(model="manager"), Hierarchy(model="position")


@pytest.fixture(scope="module")
def three_of_port(all_related):
    def add(offices):
        for name in ("Alan", "Joan", "Barbara"):
            if name == "Barbara":
                offices.add_user(name, unit="Port", roles=["Salesperson"])
            offices.add("account", f"Of {name}", owner=name)
        offices.pull_these("systemuser", "systemuserroles", "account")

    return all_related.varied("three_of_port", add)


@pytest.fixture
def port(db, three_of_port):
    """Alan, Joan and Barbara of Port own an account each."""
    return three_of_port.world()


def reports(world, name, *, to):
    above = str(guid(to)) if to else None
    world.change("systemuser", name, parentsystemuserid=above)


def sits(world, name, position):
    world.change("systemuser", name, positionid=str(guid(position)))


def assert_holds(world, device, names):
    device.sync()
    assert device.names() == names
    assert_sound(world)


# Managers


def test_without_a_hierarchy_a_manager_reads_his_own(port):
    reports(port, "Joan", to="Alan")
    port.put_in_effect(EVERYTHING)

    assert port.device("Alan").names() == {"Of Alan"}


def test_a_manager_reads_what_belongs_to_his_reports_and_to_theirs(port):
    reports(port, "Joan", to="Alan")
    reports(port, "Barbara", to="Joan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert_holds(port, port.device("Alan"), {"Of Alan", "Of Joan", "Of Barbara"})
    assert_holds(port, port.device("Joan"), {"Of Joan", "Of Barbara"})
    assert_holds(port, port.device("Barbara"), {"Of Barbara"})


def test_it_ends_at_the_depth(port):
    reports(port, "Joan", to="Alan")
    reports(port, "Barbara", to="Joan")
    port.put_in_effect(EVERYTHING, hierarchy=Hierarchy(model="manager", depth=1))

    assert_holds(port, port.device("Alan"), {"Of Alan", "Of Joan"})


def test_another_depth_takes_effect_on_devices(port):
    reports(port, "Joan", to="Alan")
    reports(port, "Barbara", to="Joan")
    port.put_in_effect(EVERYTHING, hierarchy=Hierarchy(model="manager", depth=1))
    alan = port.device("Alan")

    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert_holds(port, alan, {"Of Alan", "Of Joan", "Of Barbara"})


def test_who_reports_to_another_takes_his_rows_along(port):
    reports(port, "Barbara", to="Alan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan, joan = port.device("Alan"), port.device("Joan")

    reports(port, "Barbara", to="Joan")

    assert_holds(port, alan, {"Of Alan"})
    assert_holds(port, joan, {"Of Joan", "Of Barbara"})


def test_a_row_that_changes_hands_reaches_the_new_owners_manager(port):
    reports(port, "Joan", to="Alan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan = port.device("Alan")

    port.change("account", "Of Barbara", ownerid=str(guid("Joan")))
    port.change("account", "Of Joan", ownerid=str(guid("Barbara")))

    assert_holds(port, alan, {"Of Alan", "Of Barbara"})


@pytest.mark.parametrize(
    ("unit", "reads"),
    [("Port", True), ("North", True), ("Contoso", True), ("South", False)],
)
def test_a_manager_counts_in_his_reports_unit_or_above_it(port, unit, reads):
    reports(port, "Joan", to="Grace")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    grace = port.device("Grace")
    before = grace.names()

    port.change("systemuser", "Grace", businessunitid=str(guid(unit)))

    assert before == set()
    assert_holds(port, grace, {"Of Joan"} if reads else set())


def test_a_unit_that_is_hung_elsewhere_changes_who_counts(port):
    reports(port, "Joan", to="Grace")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    grace = port.device("Grace")

    port.change("businessunit", "Port", parentbusinessunitid=str(guid("South")))

    assert_holds(port, grace, {"Of Joan"})


def test_managers_in_a_circle_read_each_others_rows_and_no_more(port):
    reports(port, "Joan", to="Alan")
    reports(port, "Alan", to="Joan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert_holds(port, port.device("Alan"), {"Of Alan", "Of Joan"})


def test_an_excluded_table_is_closed_to_superiors(port):
    reports(port, "Joan", to="Alan")
    excluded = Hierarchy(model="manager", excluded_tables=("account",))
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan = port.device("Alan")

    port.put_in_effect(EVERYTHING, hierarchy=excluded)

    assert_holds(port, alan, {"Of Alan"})


def test_taking_the_hierarchy_away_takes_its_rows_away(port):
    reports(port, "Joan", to="Alan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan = port.device("Alan")

    port.put_in_effect(EVERYTHING)

    assert_holds(port, alan, {"Of Alan"})


@pytest.mark.parametrize("hierarchy", [None, MANAGERS])
def test_a_team_of_a_report_counts_as_the_report(port, hierarchy):
    port.add_team("Crew", unit="Port")
    port.add("account", "Of the crew", owner="Crew")
    port.pull_these("team", "account")
    reports(port, "Joan", to="Alan")
    port.put_in_effect(EVERYTHING, hierarchy=hierarchy)
    alan = port.device("Alan")
    own = {"Of Alan", "Of Joan"} if hierarchy else {"Of Alan"}

    port.join("Joan", "Crew")
    port.pull("teammembership")
    alan.sync()
    joined = alan.names()
    port.leave("Joan", "Crew")
    port.pull("teammembership")

    assert joined == (own | {"Of the crew"} if hierarchy else own)
    assert_holds(port, alan, own)


def test_what_is_shared_with_a_report_is_open_to_his_manager(port):
    reports(port, "Joan", to="Alan")
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan = port.device("Alan")

    port.share("account", "Of Barbara", to="Joan")
    alan.sync()
    shared = alan.names()
    port.unshare("Of Barbara", to="Joan")

    assert shared == {"Of Alan", "Of Joan", "Of Barbara"}
    assert_holds(port, alan, {"Of Alan", "Of Joan"})


def test_a_new_report_comes_with_his_rows(port):
    port.put_in_effect(EVERYTHING, hierarchy=MANAGERS)
    alan = port.device("Alan")

    port.add("account", "Of Edsger", owner="Edsger")
    port.pull("account")
    port.add_user("Edsger", unit="Port")
    reports(port, "Edsger", to="Alan")

    assert_holds(port, alan, {"Of Alan", "Of Edsger"})


# Positions


@pytest.fixture
def ranks(port):
    """Alan is captain, Joan mate below him, Barbara sailor below her."""
    above = None
    for rank in ("Captain", "Mate", "Sailor"):
        port.source.put(
            "position", guid(rank), parentpositionid=str(guid(above)) if above else None
        )
        above = rank
    port.pull("position")
    for name, rank in (("Alan", "Captain"), ("Joan", "Mate"), ("Barbara", "Sailor")):
        sits(port, name, rank)
    port.put_in_effect(EVERYTHING, hierarchy=POSITIONS)
    return port


def test_higher_positions_read_what_belongs_to_lower_ones(ranks):
    assert_holds(ranks, ranks.device("Alan"), {"Of Alan", "Of Joan", "Of Barbara"})
    assert_holds(ranks, ranks.device("Joan"), {"Of Joan", "Of Barbara"})


def test_positions_count_in_whatever_unit(ranks):
    sits(ranks, "Grace", "Captain")

    assert_holds(ranks, ranks.device("Grace"), {"Of Joan", "Of Barbara"})


def test_who_takes_another_position_reads_otherwise(ranks):
    joan = ranks.device("Joan")

    sits(ranks, "Joan", "Sailor")

    assert_holds(ranks, joan, {"Of Joan"})


def test_a_position_that_moves_takes_those_below_it_along(ranks):
    alan = ranks.device("Alan")

    ranks.change("position", "Mate", parentpositionid=None)

    assert_holds(ranks, alan, {"Of Alan"})


def test_a_position_that_is_deleted_ends_the_line(ranks):
    alan = ranks.device("Alan")

    ranks.remove("position", "Mate")

    assert_holds(ranks, alan, {"Of Alan"})


def test_the_other_model_takes_effect_on_devices(ranks):
    reports(ranks, "Alan", to="Joan")
    alan, joan = ranks.device("Alan"), ranks.device("Joan")

    ranks.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert_holds(ranks, alan, {"Of Alan"})
    assert_holds(ranks, joan, {"Of Joan", "Of Alan"})


def test_a_hierarchy_where_the_source_knows_none_opens_nothing(contoso):
    contoso.add_account("Airport", owner="Grace", unit="South")
    contoso.pull("account")

    contoso.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert contoso.device("Ada").names() == set()
    assert contoso.device("Grace").names() == {"Airport"}
    assert_sound(contoso)


def test_an_organization_without_users_may_publish_one_all_the_same(accounts):
    accounts.add_account("Airport", owner="Grace", unit="South")
    accounts.pull("account")

    accounts.put_in_effect(EVERYTHING, hierarchy=MANAGERS)

    assert_sound(accounts)
