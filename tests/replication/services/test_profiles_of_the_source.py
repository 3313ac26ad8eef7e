"""Profiles that are written at the source take effect as their rows arrive."""

from __future__ import annotations

from typing import Any

import pytest

from replication.domain.source_profiles import PROFILE_TABLES, Relationship
from replication.domain.tables import ColumnType
from replication.odata.client import ODataSource
from replication.services import profiles
from replication.visibility import policy
from replication.visibility.access import OfflineNotAllowedError
from tests.fake_dataverse import ENDPOINT, lookup, plain, table_def
from tests.replication.worlds import SavedWorld, World
from tests.staged import guid

BOOL, INT = ColumnType.BOOL, ColumnType.INT
TABLES = (
    table_def(
        "mobileofflineprofile",
        plain("name"),
        plain("componentstate", INT),
        ownership="organization",
    ),
    table_def(
        "mobileofflineprofileitem",
        plain("name"),
        lookup("regardingobjectid"),
        plain("selectedentitytypecode"),
        plain("recorddistributioncriteria", INT),
        plain("recordsownedbyme", BOOL),
        plain("profileitementityfilter"),
        plain("selectedcolumns"),
        plain("componentstate", INT),
        ownership="organization",
    ),
    table_def(
        "mobileofflineprofileitemassociation",
        plain("name"),
        lookup("mobileofflineprofileitemid"),
        plain("relationshipname"),
        plain("componentstate", INT),
        ownership="organization",
    ),
    table_def(
        "usermobileofflineprofilemembership",
        lookup("mobileofflineprofileid"),
        lookup("systemuserid"),
        ownership="organization",
    ),
    table_def(
        "teammobileofflineprofilemembership",
        lookup("mobileofflineprofileid"),
        lookup("teamid"),
        ownership="organization",
    ),
    table_def(
        "organization",
        lookup("defaultmobileofflineprofileid"),
        ownership="organization",
        tracked=False,
    ),
)
CONTACTS = Relationship(
    name="contact_customer_accounts",
    one="account",
    many="contact",
    column="parentcustomerid",
)


class Source(ODataSource):
    """The world's source, which tells its relationships and counts the questions."""

    def __init__(self, world: World) -> None:
        super().__init__(world.source, endpoint=ENDPOINT, kind="dataverse")
        self.asked: list[tuple[str, ...]] = []

    def load_relationships(self, tables: tuple[str, ...]) -> tuple[Relationship, ...]:
        self.asked.append(tables)
        return (CONTACTS,)


@pytest.fixture(scope="module")
def with_profiles(all_of_contoso: SavedWorld) -> SavedWorld:
    return all_of_contoso.varied("profiles_of_the_source", add_profiles)


@pytest.fixture
def contoso(db: None, with_profiles: SavedWorld) -> World:
    """The source has a profile for Ada: her accounts, with their contacts."""
    return with_profiles.world()


def add_profiles(world: World) -> None:
    for table in TABLES:
        world.add_table(table)
    put = world.source.put
    put("mobileofflineprofile", guid("Field"), name="Field", componentstate=0)
    put_item(world, "account", recorddistributioncriteria=2, recordsownedbyme=True)
    put_item(world, "contact", recorddistributioncriteria=0)
    put(
        "mobileofflineprofileitemassociation",
        guid("contacts"),
        mobileofflineprofileitemid=str(guid("item account")),
        relationshipname=CONTACTS.name,
    )
    put(
        "usermobileofflineprofilemembership",
        guid("Ada's"),
        mobileofflineprofileid=str(guid("Field")),
        systemuserid=str(guid("Ada")),
    )
    world.add_account("Airport", owner="Ada", unit="North")
    world.source.put(
        "contact",
        guid("Zora"),
        fullname="Zora",
        ownerid=str(guid("Ada")),
        owningbusinessunit=str(guid("North")),
        parentcustomerid=str(guid("Airport")),
    )
    world.pull_these("account", "contact")


def put_item(world: World, table: str, **members: Any) -> None:
    world.source.put(
        "mobileofflineprofileitem",
        guid(f"item {table}"),
        regardingobjectid=str(guid("Field")),
        selectedentitytypecode=table,
        componentstate=0,
        **members,
    )


def pull_profiles(world: World) -> Source:
    source = Source(world)
    for table in PROFILE_TABLES:
        world.pull(table, source=source)
    return source


def choose(world: World, origin: str) -> None:
    profiles.save_settings(world.id, document={"origin": origin})
    profiles.publish(world.id)


def published_names(world: World) -> list[str]:
    found = policy.published(world.database.kept("test"))
    return [profile.name for profile in found.profiles]


def test_profiles_of_the_source_mean_nothing_until_they_are_chosen(
    contoso: World,
) -> None:
    source = pull_profiles(contoso)

    assert published_names(contoso) == ["Field sales"]
    assert source.asked == []


def test_once_chosen_they_reach_devices_with_their_relationships(
    contoso: World,
) -> None:
    choose(contoso, "source")

    source = pull_profiles(contoso)

    device = contoso.device("Ada")
    assert published_names(contoso) == ["Field"]
    assert source.asked == [("account", "contact")]
    assert (device.names(), device.names("contact")) == ({"Airport"}, {"Zora"})


def test_the_default_profile_of_the_source_is_for_whoever_has_no_other(
    contoso: World,
) -> None:
    choose(contoso, "source")
    pull_profiles(contoso)
    with pytest.raises(OfflineNotAllowedError):
        contoso.device("Grace")

    contoso.source.put(
        "organization",
        guid("Contoso Ltd"),
        defaultmobileofflineprofileid=str(guid("Field")),
    )
    contoso.pull("organization", source=Source(contoso))

    assert contoso.device("Grace").names() == set()


def test_until_they_are_read_devices_keep_what_they_have(contoso: World) -> None:
    device = contoso.device("Ada")
    choose(contoso, "source")
    contoso.pull("account")

    device.sync()

    assert published_names(contoso) == ["Field sales"]
    assert device.names() == {"Airport"}


def test_a_change_at_the_source_reaches_devices(contoso: World) -> None:
    choose(contoso, "source")
    pull_profiles(contoso)
    device = contoso.device("Ada")

    text = "<filter><condition attribute='name' operator='eq' value='Port'/></filter>"
    put_item(
        contoso,
        "account",
        recorddistributioncriteria=3,
        profileitementityfilter=text,
    )
    pull_profiles(contoso)
    device.sync()

    assert (device.names(), device.names("contact")) == (set(), set())


def test_relationships_are_asked_for_only_when_something_changed(
    contoso: World,
) -> None:
    choose(contoso, "source")
    pull_profiles(contoso)

    source = pull_profiles(contoso)

    assert source.asked == []


def test_publishing_again_keeps_what_was_translated(contoso: World) -> None:
    choose(contoso, "source")
    pull_profiles(contoso)

    choose(contoso, "source")

    assert published_names(contoso) == ["Field"]


def test_profiles_authored_here_come_back_when_they_are_chosen_again(
    contoso: World,
) -> None:
    everyone = {"assignments": {"everyone": True}}
    profiles.save_profile(
        contoso.id, name="Ours", document={"items": [{"table": "account"}], **everyone}
    )
    choose(contoso, "source")
    pull_profiles(contoso)

    choose(contoso, "authored")

    assert published_names(contoso) == ["Ours"]
