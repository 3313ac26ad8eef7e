"""Why a user sees a row, or which condition failed first; always as the feed has it."""

from __future__ import annotations

from typing import Any

import pytest

from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    Policy,
    ProfileItem,
    ServedRows,
)
from replication.services import looking
from replication.visibility import policy
from replication.visibility.explained import Explanation
from tests.replication.worlds import SavedWorld, World, profile
from tests.staged import guid

ACCOUNTS = ProfileItem(table="account")
RICH = FilterText(language="odata", text="revenue gt 100")


@pytest.fixture(scope="module")
def two_accounts(all_of_contoso: SavedWorld) -> SavedWorld:
    return all_of_contoso.varied("explained_accounts", add_two_accounts)


@pytest.fixture
def contoso(db: None, two_accounts: SavedWorld) -> World:
    """Ada of North owns Airport; Harbour is Grace's, in South."""
    return two_accounts.world()


def add_two_accounts(contoso: World) -> None:
    contoso.add_account("Airport", owner="Ada", unit="North", revenue=10)
    contoso.add_account("Harbour", owner="Grace", unit="South", revenue=1000)
    contoso.pull_these("account", "contact")


def why(world: World, user: str, row: str, *, table: str = "account") -> Explanation:
    return looking.explanation(
        world.id, user_id=guid(user), table=table, key=str(guid(row))
    )


def republish(world: World, *profiles: Any, **common: Any) -> None:
    conn = world.database.kept("test")
    policy.publish(conn, Policy(profiles=profiles, **common))
    world.pull("account")


def test_a_visible_row_is_told_by_role_profile_rule_key_and_rev(
    contoso: World,
) -> None:
    found = why(contoso, "Ada", "Airport")

    assert (found.outcome, found.is_visible) == ("visible", True)
    assert [(r.role, r.depth, r.opens) for r in found.rights] == [
        ("Salesperson", "user", "owner")
    ]
    assert [(w.slot, w.is_taken) for w in found.ways] == [("Field sales/account", True)]
    (entry,) = found.entries
    assert [key.name for key in entry.keys] == ["Ada"]
    assert (entry.shape, entry.rev <= found.rev) == ("base", True)
    assert (str(found.row), str(found.owner), str(found.unit)) == (
        "account Airport",
        "systemuser Ada",
        "businessunit North",
    )


# The conditions, in the order in which they are asked


@pytest.mark.parametrize(
    ("user", "row", "table", "outcome"),
    [
        pytest.param("Ada", "Airport", "nothing", "unknown_table", id="table"),
        pytest.param("Ada", "Nowhere", "account", "unknown_row", id="row"),
        pytest.param("Nobody", "Airport", "account", "unknown_user", id="user"),
        pytest.param("Ada", "Harbour", "account", "not_opened", id="rights"),
        pytest.param("Ada", "Ada", "systemuser", "not_in_profiles", id="profiles"),
    ],
)
def test_the_first_condition_that_fails_is_the_answer(
    contoso: World, user: str, row: str, table: str, outcome: str
) -> None:
    found = why(contoso, user, row, table=table)

    assert (found.outcome, found.is_visible) == (outcome, False)
    assert found.detail


def test_a_key_that_is_no_guid_is_of_no_row(contoso: World) -> None:
    found = looking.explanation(
        contoso.id, user_id=guid("Ada"), table="account", key="first"
    )

    assert found.outcome == "unknown_row"


def test_a_disabled_user_is_told_before_his_roles(contoso: World) -> None:
    contoso.source.put("systemuser", guid("Ada"), isdisabled=True)
    contoso.revoke("Ada", "Salesperson")
    contoso.pull_these("systemuser", "systemuserroles")

    assert why(contoso, "Ada", "Airport").outcome == "disabled_user"


def test_who_has_no_role_is_told_before_profiles(contoso: World) -> None:
    republish(contoso)
    contoso.revoke("Ada", "Salesperson")
    contoso.pull("systemuserroles")

    assert why(contoso, "Ada", "Airport").outcome == "no_role"


def test_who_has_no_profile_is_told_so(contoso: World) -> None:
    for_grace = Assignments(users=(guid("Grace"),))
    republish(contoso, profile(ACCOUNTS, assignments=for_grace))

    assert why(contoso, "Ada", "Airport").outcome == "no_profile"


def test_a_missing_privilege_is_named(contoso: World) -> None:
    contoso.source.delete("roleprivileges", guid("Salesperson/account"))
    contoso.pull("roleprivileges")

    found = why(contoso, "Ada", "Airport")

    assert found.outcome == "no_privilege"
    assert "prvReadAccount" in found.detail


def test_rights_that_do_not_reach_the_row_are_told_with_owner_and_unit(
    contoso: World,
) -> None:
    found = why(contoso, "Ada", "Harbour")

    assert "Grace" in found.detail
    assert "South" in found.detail


def test_the_organization_filter_is_told_before_the_items(contoso: World) -> None:
    republish(
        contoso,
        profile(ProfileItem(table="account", records="related_only")),
        served=(ServedRows(table="account", filter=RICH),),
    )

    found = why(contoso, "Ada", "Airport")

    assert found.outcome == "organization_filter"
    assert "revenue gt 100" in found.detail


@pytest.mark.parametrize(("text", "outcome"), [("Air", "visible"), ("Sea%", None)])
def test_filters_with_wildcards_are_explained(
    contoso: World, text: str, outcome: str | None
) -> None:
    part = FilterText(language="odata", text=f"contains(name,'{text}')")
    custom = ProfileItem(table="account", records="custom", filter=part)
    republish(contoso, profile(custom))
    of_the_item = why(contoso, "Ada", "Airport")
    republish(
        contoso, profile(ACCOUNTS), served=(ServedRows(table="account", filter=part),)
    )
    of_the_organization = why(contoso, "Ada", "Airport")

    assert of_the_item.outcome == (outcome or "not_taken")
    assert of_the_organization.outcome == (outcome or "organization_filter")


def test_an_item_whose_filter_refuses_the_row_says_by_which_condition(
    contoso: World,
) -> None:
    item = ProfileItem(table="account", records="custom", filter=RICH)
    republish(contoso, profile(item))

    found = why(contoso, "Ada", "Airport")

    assert found.outcome == "not_taken"
    assert "revenue gt 100" in found.ways[0].reason


def test_an_item_that_is_about_the_user_says_what_of_him_is_missing(
    contoso: World,
) -> None:
    owned = ProfileItem(table="account", records="filtered", owned_by_my_team=True)
    republish(contoso, profile(owned))

    found = why(contoso, "Ada", "Airport")

    assert found.outcome == "not_taken"
    assert found.ways[0].reason == "The owner is not a team of the user."


# Related rows


def contacts_of(item: ProfileItem) -> Any:
    brought = Association(
        table="contact", kind="one_to_many", column="parentcustomerid"
    )
    parent = ProfileItem(
        table="account",
        records=item.records,
        filter=item.filter,
        associations=(brought,),
    )
    return profile(parent, ProfileItem(table="contact", records="related_only"))


def add_contact(world: World, name: str, *, of: str | None) -> None:
    world.source.put(
        "contact",
        guid(name),
        fullname=name,
        ownerid=str(guid("Ada")),
        owningbusinessunit=str(guid("North")),
        parentcustomerid=str(guid(of)) if of else None,
    )
    world.pull("contact")


def test_a_related_row_is_told_with_the_rows_that_bring_it(contoso: World) -> None:
    rich = ProfileItem(table="account", records="custom", filter=RICH)
    republish(contoso, contacts_of(rich))
    add_contact(contoso, "Zora", of="Harbour")

    found = why(contoso, "Ada", "Zora", table="contact")

    assert found.is_visible
    assert [str(row) for row in found.ways[0].path] == ["account Harbour"]


def test_a_path_below_a_filter_with_wildcards_is_explained(contoso: World) -> None:
    part = FilterText(language="odata", text="contains(name,'Air')")
    republish(
        contoso,
        contacts_of(ProfileItem(table="account", records="custom", filter=part)),
    )
    add_contact(contoso, "Zora", of="Airport")

    found = why(contoso, "Ada", "Zora", table="contact")

    assert found.outcome == "visible"


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        pytest.param("Airport", "revenue gt 100", id="parent refused"),
        pytest.param(None, "No row of account is related", id="no parent"),
    ],
)
def test_a_related_row_that_nothing_brings_says_where_the_path_ends(
    contoso: World, parent: str | None, reason: str
) -> None:
    rich = ProfileItem(table="account", records="custom", filter=RICH)
    republish(contoso, contacts_of(rich))
    add_contact(contoso, "Zora", of=parent)

    found = why(contoso, "Ada", "Zora", table="contact")

    assert found.outcome == "not_taken"
    assert reason in found.ways[0].reason


# Suspended items, and rules that lag


def test_a_suspended_item_is_among_the_reasons(contoso: World) -> None:
    gone = FilterText(language="odata", text="colour eq 'red'")
    republish(
        contoso, profile(ProfileItem(table="account", records="custom", filter=gone))
    )

    found = why(contoso, "Ada", "Airport")

    assert found.outcome == "not_taken"
    assert found.ways[0].reason.startswith("Suspended: ")


def test_conditions_that_hold_without_an_entry_mean_that_a_rule_catches_up(
    contoso: World,
) -> None:
    contoso.execute(
        "UPDATE sync.feed SET live = false WHERE row_id = %s", guid("Airport")
    )

    found = why(contoso, "Ada", "Airport")

    assert (found.outcome, found.is_visible) == ("catching_up", False)


def test_an_entry_that_outlives_its_conditions_is_told(contoso: World) -> None:
    contoso.execute(
        "UPDATE sync.policy SET effective = jsonb_set(effective, '{served}', %s::jsonb)",
        '[{"table":"account","filter":{"language":"odata","text":"revenue gt 100"}}]',
    )

    found = why(contoso, "Ada", "Airport")

    assert (found.outcome, found.is_visible) == ("organization_filter", True)
    assert "being brought up to date" in found.detail


def test_columns_that_no_profile_chose_are_named(contoso: World) -> None:
    republish(contoso, profile(ProfileItem(table="account", columns=("name",))))

    found = why(contoso, "Ada", "Airport")

    assert "revenue" in found.not_chosen
    assert found.masked == ()


def test_the_explanation_agrees_with_what_a_device_holds(contoso: World) -> None:
    contoso.hire("Edsger", unit="South", account=2)
    device = contoso.device("Edsger")

    explained = {
        row for row in ("Airport", "Harbour") if why(contoso, "Edsger", row).is_visible
    }

    assert explained == device.names() == {"Harbour"}


# The whole set, and people


def test_a_users_whole_set_is_counted_by_table(contoso: World) -> None:
    republish(contoso, profile(ACCOUNTS, ProfileItem(table="contact")))

    taken = looking.whole_set(contoso.id, user_id=guid("Ada"))

    assert [(one.table, one.rows) for one in taken] == [("account", 1), ("contact", 0)]


@pytest.mark.parametrize("text", ["ada", "Ad", str(guid("Ada"))])
def test_people_are_found_by_name_and_by_id(contoso: World, text: str) -> None:
    (found,) = looking.people(contoso.id, text=text)

    assert (found.id, found.name, found.is_disabled) == (guid("Ada"), "Ada", False)
