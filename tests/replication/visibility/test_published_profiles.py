"""What published profiles give to devices, and take from them when they change."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Assignments, ProfileItem
from replication.services.serving import OfflineNotAllowedError
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

ACCOUNTS = ProfileItem(table="account")
CONTACTS = ProfileItem(table="contact")


@pytest.fixture(scope="module")
def four_accounts(all_of_contoso):
    return all_of_contoso.varied("four_accounts", add_four_accounts)


@pytest.fixture
def contoso(db, four_accounts):
    return four_accounts.world()


@pytest.fixture
def edsger(contoso):
    """A device whose user may read every account; four of them differ in owner.

    Edsger works in North and is in the team Crew.
    """
    return contoso.device("Edsger")


def add_four_accounts(contoso):
    contoso.hire("Edsger", unit="North", account=8, contact=8)
    contoso.add_team("Crew", unit="South")
    contoso.join("Edsger", "Crew")
    contoso.add_account("His", owner="Edsger", unit="South", revenue=10)
    contoso.add_account("Of his team", owner="Crew", unit="South")
    contoso.add_account("Of his unit", owner="Nobody", unit="North")
    contoso.add_account("Of others", owner="Nobody", unit="South")
    contoso.pull_these("team", "teammembership", "account", "contact")


def republish(world, *profiles):
    """Publish, and build what that needs, as the next pull does."""
    world.publish(*profiles)
    world.pull("account")


def filtered(**owned):
    return ProfileItem(table="account", records="filtered", **owned)


@pytest.mark.parametrize(
    ("item", "seen"),
    [
        pytest.param(
            ACCOUNTS, {"His", "Of his team", "Of his unit", "Of others"}, id="all"
        ),
        pytest.param(filtered(owned_by_me=True), {"His"}, id="own"),
        pytest.param(filtered(owned_by_my_team=True), {"Of his team"}, id="team's"),
        pytest.param(
            filtered(owned_by_my_business_unit=True), {"Of his unit"}, id="unit's"
        ),
        pytest.param(
            filtered(owned_by_me=True, owned_by_my_business_unit=True),
            {"His", "Of his unit"},
            id="own or unit's",
        ),
        pytest.param(filtered(), set(), id="none of them"),
    ],
)
def test_an_item_takes_the_rows_that_it_names(contoso, edsger, item, seen):
    republish(contoso, profile(item))
    edsger.sync()

    assert edsger.names() == seen


def test_several_profiles_add_up(contoso, edsger):
    republish(
        contoso,
        profile(filtered(owned_by_me=True), name="Own"),
        profile(filtered(owned_by_my_team=True), name="Team"),
    )
    edsger.sync()

    assert edsger.names() == {"His", "Of his team"}


def test_a_profile_never_gives_more_than_security_does(contoso, edsger):
    contoso.set_depth_of("Edsger", 1)
    republish(contoso, profile(filtered(owned_by_my_business_unit=True)))
    edsger.sync()

    assert edsger.names() == set()


def test_the_unit_of_a_profile_and_the_subtree_of_a_role_meet(contoso, edsger):
    contoso.add_account("Pier", owner="Nobody", unit="Port")
    contoso.set_depth_of("Edsger", 4)
    republish(contoso, profile(filtered(owned_by_my_business_unit=True)))
    edsger.sync()

    assert edsger.names() == {"Of his unit"}


def test_a_profile_that_takes_fewer_rows_removes_the_others(contoso, edsger):
    republish(contoso, profile(filtered(owned_by_me=True)))
    edsger.sync()

    assert edsger.names() == {"His"}


def test_a_profile_that_takes_more_rows_brings_older_ones(contoso, edsger):
    republish(contoso, profile(filtered(owned_by_me=True)))
    edsger.sync()

    republish(contoso, ALL_ACCOUNTS)
    edsger.sync()

    assert len(edsger.names()) == 4


@pytest.mark.parametrize(
    "who",
    [
        pytest.param({"users": (guid("Edsger"),)}, id="the user"),
        pytest.param({"teams": (guid("Crew"),)}, id="a team of his"),
        pytest.param({"roles": (guid("Edsger's role"),)}, id="a role of his"),
    ],
)
def test_a_profile_reaches_whom_it_is_assigned_to(contoso, edsger, who):
    republish(contoso, profile(ACCOUNTS, assignments=Assignments(**who)))

    assert len(contoso.device("Edsger").names()) == 4
    with pytest.raises(OfflineNotAllowedError, match="No published profile"):
        contoso.device("Grace")


def test_who_has_no_profile_any_more_may_not_go_offline(contoso, edsger):
    for_grace = Assignments(users=(guid("Grace"),))
    republish(contoso, profile(ACCOUNTS, assignments=for_grace))

    with pytest.raises(OfflineNotAllowedError, match="No published profile"):
        edsger.sync()


def test_who_leaves_the_team_of_a_profile_loses_its_table(contoso, edsger):
    by_team = Assignments(teams=(guid("Crew"),))
    republish(
        contoso,
        profile(ACCOUNTS, name="Crew", assignments=by_team),
        profile(CONTACTS, name="All"),
    )
    edsger.sync()
    before = edsger.store.tables()

    contoso.leave("Edsger", "Crew")
    contoso.pull("teammembership")
    edsger.sync()

    assert (before, edsger.store.tables()) == (("account", "contact"), ("contact",))


def test_a_table_that_is_added_to_the_profile_comes_with_all_its_rows(contoso, edsger):
    contoso.source.put("contact", guid("Jo"), fullname="Jo", ownerid=str(guid("Ada")))
    contoso.pull("contact")
    republish(contoso, profile(ACCOUNTS, CONTACTS))
    edsger.sync()

    assert (len(edsger.names()), edsger.names("contact")) == (4, {"Jo"})


def test_a_table_that_is_removed_from_the_profile_leaves_the_device(contoso, edsger):
    republish(contoso, profile(CONTACTS))
    edsger.sync()

    assert edsger.store.tables() == ("contact",)


def test_a_table_that_leaves_and_returns_is_whole_again(contoso, edsger):
    republish(contoso, profile(CONTACTS))
    edsger.sync()
    contoso.source.delete("account", guid("Of others"))
    republish(contoso, ALL_ACCOUNTS)
    edsger.sync()

    assert edsger.names() == {"His", "Of his team", "Of his unit"}


def test_a_table_is_unknown_until_its_rule_is_built(contoso, edsger):
    contoso.publish(profile(ACCOUNTS, CONTACTS))

    assert [table["name"] for table in contoso.model("Edsger")] == ["account"]


def test_columns_that_a_profile_leaves_out_are_not_sent(contoso, edsger):
    republish(contoso, profile(ProfileItem(table="account", columns=("name",))))
    edsger.sync()

    (his,) = [r for r in edsger.store.rows("account").values() if r["name"] == "His"]
    assert set(his) == {"accountid", "ownerid", "name", "_version"}


def test_columns_that_come_back_come_with_their_values(contoso, edsger):
    republish(contoso, profile(ProfileItem(table="account", columns=("name",))))
    edsger.sync()

    republish(contoso, ALL_ACCOUNTS)
    edsger.sync()

    revenues = {r["name"]: r["revenue"] for r in edsger.store.rows("account").values()}
    assert revenues["His"] == "10"


def test_widened_columns_reset_only_their_table(contoso, edsger):
    narrow = ProfileItem(table="account", columns=("name",))
    contoso.source.put("contact", guid("Jo"), fullname="Jo", ownerid=str(guid("Ada")))
    contoso.pull("contact")
    republish(contoso, profile(narrow, CONTACTS))
    edsger.sync()

    republish(contoso, profile(ACCOUNTS, CONTACTS))
    result = edsger.sync()

    assert result.rows == 4


def test_a_reset_that_was_cut_off_begins_again(contoso, edsger):
    republish(contoso, profile(ProfileItem(table="account", columns=("name",))))
    edsger.sync()
    republish(contoso, ALL_ACCOUNTS)

    # The begin line and the reset itself arrive, and nothing more.
    edsger.sync(cut_after=2)
    edsger.sync()

    assert {r["name"] for r in edsger.store.rows("account").values() if r["revenue"]}
    assert len(edsger.names()) == 4


def test_a_model_that_went_and_came_back_between_two_syncs_sends_nothing(
    contoso, edsger
):
    republish(contoso, profile(ProfileItem(table="account", columns=("name",))))
    republish(contoso, ALL_ACCOUNTS)

    assert edsger.sync() is None
    assert len(edsger.names()) == 4


def test_a_table_never_published_is_in_no_model(contoso, edsger):
    republish(contoso, profile(ACCOUNTS, ProfileItem(table="nothing_of_the_kind")))

    assert edsger.store.tables() == ("account",)


def test_the_model_names_the_strictest_policy_and_the_shortest_interval(
    contoso, edsger
):
    generous = ProfileItem(
        table="account",
        writable=True,
        conflicts="client_wins",
        sync_interval_minutes=60,
    )
    republish(contoso, profile(generous, name="A"), profile(ACCOUNTS, name="B"))

    (table,) = contoso.model("Edsger")
    assert [table[m] for m in ("writable", "conflicts", "sync_interval_minutes")] == [
        True,
        "server_wins",
        5,
    ]


def test_publishing_the_same_again_takes_no_rev(contoso):
    contoso.publish(ALL_ACCOUNTS)
    before = contoso.rev

    contoso.publish(ALL_ACCOUNTS)

    assert contoso.rev == before
