"""What publishing would do, told before it is done: equal to what it then does."""

from __future__ import annotations

from typing import Any

import pytest

from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    Hierarchy,
    Policy,
    ProfileItem,
    ServedRows,
)
from replication.staging import connections
from replication.visibility import policy, preview
from replication.visibility.counting import Figures
from replication.visibility.preview import PublishPreview
from tests.replication.worlds import ALL_ACCOUNTS, SavedWorld, World, profile
from tests.staged import guid

ACCOUNTS = ProfileItem(table="account")
RICH = FilterText(language="odata", text="revenue gt 100")


@pytest.fixture(scope="module")
def three_accounts(all_of_contoso: SavedWorld) -> SavedWorld:
    return all_of_contoso.varied("previewed_accounts", add_three_accounts)


@pytest.fixture
def contoso(db: None, three_accounts: SavedWorld) -> World:
    """Edsger reads all three accounts, Ada reads Airport; both have devices."""
    return three_accounts.world()


def add_three_accounts(contoso: World) -> None:
    contoso.hire("Edsger", unit="North", account=8, contact=8)
    contoso.add_account("Airport", owner="Ada", unit="North", revenue=10)
    contoso.add_account("Harbour", owner="Grace", unit="South", revenue=1000)
    contoso.add_account("Station", owner="Grace", unit="South", revenue=2000)
    contoso.pull_these("account", "contact")
    for user in ("Ada", "Edsger"):
        present(contoso, user)


def present(world: World, user: str) -> None:
    world.execute(
        "INSERT INTO sync.device (device_id, user_id, presented_rev) VALUES (%s, %s, 1)",
        guid(f"{user}'s phone"),
        guid(user),
    )


def previewed(
    world: World, *profiles: Any, budget: float = 30, **common: Any
) -> PublishPreview:
    draft = Policy(profiles=profiles, **common)
    with connections.reading(world.id) as conn, connections.snapshot(conn):
        return preview.preview(conn, draft, budget=budget)


def of_user(found: PublishPreview, name: str) -> Figures | None:
    return next(u.figures for u in found.users if u.user.name == name)


def custom(text: str) -> ProfileItem:
    chosen = FilterText(language="odata", text=text)
    return ProfileItem(table="account", records="custom", filter=chosen)


def test_profiles_of_the_source_that_are_not_read_yet_are_a_caution(
    contoso: World,
) -> None:
    before = previewed(contoso, ALL_ACCOUNTS, origin="source")
    after = previewed(contoso, ALL_ACCOUNTS, origin="source", translated_from="them")

    assert ["not read yet" in caution.message for caution in before.cautions] == [True]
    assert after.cautions == ()


def test_the_same_again_changes_nothing(contoso: World) -> None:
    found = previewed(contoso, ALL_ACCOUNTS)

    assert found.tables == ()
    assert of_user(found, "Edsger") == Figures(before=3, after=3)
    assert of_user(found, "Ada") == Figures(before=1, after=1)
    assert (found.devices_that_gain, found.devices_that_lose) == (0, 0)


def test_a_filter_takes_rows_away_from_profile_and_users(contoso: World) -> None:
    found = previewed(contoso, profile(custom("revenue gt 100")))

    (change,) = found.tables
    assert (change.profile, change.table) == ("Field sales", "account")
    assert change.figures == Figures(before=3, after=2, lost=1)
    assert of_user(found, "Edsger") == Figures(before=3, after=2, lost=1)
    assert of_user(found, "Ada") == Figures(before=1, after=0, lost=1)
    assert (found.devices_that_gain, found.devices_that_lose) == (0, 2)


def test_an_edited_filter_is_compared_with_the_one_before(contoso: World) -> None:
    publish(contoso, profile(custom("revenue gt 1500")))

    found = previewed(contoso, profile(custom("revenue lt 1500")))

    assert found.tables[0].figures == Figures(before=1, after=2, gained=2, lost=1)
    assert of_user(found, "Ada") == Figures(before=0, after=1, gained=1)


def test_the_organization_filter_counts(contoso: World) -> None:
    found = previewed(
        contoso, ALL_ACCOUNTS, served=(ServedRows(table="account", filter=RICH),)
    )

    assert found.tables[0].figures == Figures(before=3, after=2, lost=1)
    assert of_user(found, "Ada") == Figures(before=1, after=0, lost=1)


def test_conditions_about_the_user_are_counted_by_his_keys(contoso: World) -> None:
    mine = "Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')"

    found = previewed(contoso, profile(custom(mine)))

    assert of_user(found, "Edsger") == Figures(before=3, after=0, lost=3)
    assert of_user(found, "Ada") == Figures(before=1, after=1)


def test_related_rows_are_counted(contoso: World) -> None:
    contoso.source.put(
        "contact",
        guid("Zora"),
        fullname="Zora",
        ownerid=str(guid("Ada")),
        owningbusinessunit=str(guid("North")),
        parentcustomerid=str(guid("Airport")),
    )
    contoso.pull("contact")
    brought = Association(
        table="contact", kind="one_to_many", column="parentcustomerid"
    )

    found = previewed(
        contoso,
        profile(
            ProfileItem(table="account", associations=(brought,)),
            ProfileItem(table="contact", records="related_only"),
        ),
    )

    (contacts,) = found.tables
    assert contacts.table == "contact"
    assert contacts.figures == Figures(before=0, after=1, gained=1)
    assert of_user(found, "Ada") == Figures(before=1, after=2, gained=1)


def test_who_loses_his_profile_loses_everything_and_is_told_why(
    contoso: World,
) -> None:
    for_ada = Assignments(users=(guid("Ada"),))

    found = previewed(contoso, profile(ACCOUNTS, assignments=for_ada))

    edsger = next(u for u in found.users if u.user.name == "Edsger")
    assert edsger.figures == Figures(before=3, after=0, lost=3)
    assert "No published profile" in edsger.refused


def test_the_preview_says_what_publishing_then_does(contoso: World) -> None:
    device = contoso.device("Edsger")
    before = device.names()
    draft = profile(custom("revenue lt 1500 and name ne 'Airport'"))
    figures = of_user(previewed(contoso, draft), "Edsger")

    publish(contoso, draft)
    device.sync()

    assert figures is not None
    assert figures.lost == len(before - device.names()) == 2
    assert figures.after == len(device.names())


def test_without_devices_some_users_stand_for_all(contoso: World) -> None:
    contoso.execute("DELETE FROM sync.device")

    found = previewed(contoso, ALL_ACCOUNTS)

    assert found.is_sample
    assert {user.user.name for user in found.users} == {"Ada", "Grace", "Edsger"}
    assert {user.devices for user in found.users} == {0}


def test_nothing_is_written(contoso: World) -> None:
    before = contoso.content()

    previewed(contoso, profile(custom("revenue gt 100")))

    assert contoso.content() == before


def test_what_there_is_no_time_for_has_no_figures(contoso: World) -> None:
    found = previewed(contoso, profile(custom("revenue gt 100")), budget=0)

    assert found.tables[0].figures is None
    assert of_user(found, "Ada") is None


def test_without_time_not_even_the_rights_of_users_are_looked_at(
    contoso: World,
) -> None:
    nobody = profile(ACCOUNTS, assignments=Assignments())

    found = previewed(contoso, nobody, budget=0)

    assert {(u.figures, u.refused) for u in found.users} == {(None, "")}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        pytest.param(custom("colour eq 'red'"), "colour", id="suspended"),
        pytest.param(custom("contains(name,'port')"), "wildcard", id="wildcard"),
        pytest.param(
            custom(" or ".join(f"revenue eq {n}" for n in range(12))),
            "more than 10 alternatives",
            id="many ors",
        ),
        pytest.param(
            ProfileItem(table="account", records="filtered"), "0x80071138", id="filter"
        ),
    ],
)
def test_what_should_be_meant_is_a_caution(
    contoso: World, item: ProfileItem, words: str
) -> None:
    (caution,) = previewed(contoso, profile(item)).cautions

    assert caution.profile == "Field sales"
    assert words in caution.message


def test_a_changed_hierarchy_is_not_among_the_figures_and_says_so(
    contoso: World,
) -> None:
    found = previewed(contoso, ALL_ACCOUNTS, hierarchy=Hierarchy(model="manager"))

    assert ["hierarchy" in caution.message for caution in found.cautions] == [True]


def publish(world: World, *profiles: Any) -> None:
    policy.publish(world.database.kept("test"), Policy(profiles=profiles))
    world.pull("account")
