"""Saving and publishing profiles: what is refused, by member, and what takes effect."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from provisioning.models import Organization
from replication.models import Profile
from replication.services import profiles
from replication.services.profiles import InvalidProfileError
from replication.visibility import policy
from tests.provisioning import factories
from tests.staged import guid

EVERYONE = {"assignments": {"everyone": True}}
ACCOUNTS = {"items": [{"table": "account"}]} | EVERYONE


def save(world, document, *, name="Field sales"):
    return profiles.save_profile(world.id, name=name, document=document)


def published_names(world):
    conn = world.database.kept("test")
    return [profile.name for profile in policy.published(conn).profiles]


def item(**members):
    return {"items": [{"table": "account"} | members]}


@pytest.mark.parametrize(
    ("document", "members"),
    [
        pytest.param({}, {"profile"}, id="nothing"),
        pytest.param({"items": {}}, {"items"}, id="no list"),
        pytest.param({"items": [{}]}, {"items[0]"}, id="no table"),
        pytest.param(item(table=7), {"items[0].table"}, id="no text"),
        pytest.param(item(colour="red"), {"items[0]"}, id="unknown member"),
        pytest.param(item(records="some"), {"items[0].records"}, id="records"),
        pytest.param(item(writable="yes"), {"items[0].writable"}, id="no boolean"),
        pytest.param(item(conflicts="mine"), {"items[0].conflicts"}, id="conflicts"),
        pytest.param(
            item(table="nothing"), {"items[0].table"}, id="table not replicated"
        ),
        pytest.param(
            item(columns=["name", "nom", "nome"]), {"items[0].columns"}, id="columns"
        ),
        pytest.param(
            item(sync_interval_minutes=4),
            {"items[0].sync_interval_minutes"},
            id="often",
        ),
        pytest.param(
            item(sync_interval_minutes=1441),
            {"items[0].sync_interval_minutes"},
            id="seldom",
        ),
        pytest.param(
            {"items": [{"table": "account"}, {"table": "account"}]},
            {"items[0].table", "items[1].table"},
            id="a table twice",
        ),
        pytest.param(
            {"items": [{"table": "nothing"}, {"table": "contact", "columns": ["x"]}]},
            {"items[0].table", "items[1].columns"},
            id="two errors",
        ),
        pytest.param(
            ACCOUNTS | {"assignments": {"users": ["Ada"]}},
            {"assignments.users[0]"},
            id="no GUID",
        ),
        pytest.param(
            ACCOUNTS | {"assignments": {"groups": []}}, {"assignments"}, id="groups"
        ),
        pytest.param(ACCOUNTS | {"colour": "red"}, {"profile"}, id="more members"),
    ],
)
def test_members_that_are_wrong_are_named_and_nothing_is_saved(
    contoso, document, members
):
    with pytest.raises(InvalidProfileError) as refused:
        save(contoso, document)

    assert {error["member"] for error in refused.value.errors} == members
    assert all(error["message"] for error in refused.value.errors)
    assert not Profile.objects.exists()


@pytest.mark.parametrize("minutes", [5, 1440])
def test_the_shortest_and_the_longest_interval_are_allowed(contoso, minutes):
    saved = save(contoso, item(sync_interval_minutes=minutes))

    assert saved.document["items"][0]["sync_interval_minutes"] == minutes


def test_a_saved_profile_has_no_effect_until_it_is_published(contoso):
    save(contoso, item(records="filtered") | EVERYONE)
    contoso.add_account("Airport", owner="Ada", unit="North")
    contoso.pull("account")

    assert contoso.device("Ada").names() == {"Airport"}


def test_publishing_replaces_what_was_published(contoso):
    save(contoso, {"items": [{"table": "contact"}]} | EVERYONE, name="Contacts")

    profiles.publish(contoso.id)
    contoso.pull("account")

    assert published_names(contoso) == ["Contacts"]
    assert contoso.device("Ada").store.tables() == ("contact",)


def test_publishing_is_repeatable(contoso):
    save(contoso, ACCOUNTS)
    profiles.publish(contoso.id)
    rev = contoso.rev

    profiles.publish(contoso.id)

    assert contoso.rev == rev
    assert published_names(contoso) == ["Field sales"]


def test_publishing_says_when(contoso):
    saved = save(contoso, ACCOUNTS)
    before = saved.published_at

    profiles.publish(contoso.id)
    saved.refresh_from_db()

    assert before is None
    assert saved.published_at >= saved.changed_at


def test_saving_again_replaces_and_is_not_yet_published(contoso):
    save(contoso, ACCOUNTS)
    profiles.publish(contoso.id)

    saved = save(contoso, item(writable=True))
    saved.refresh_from_db()

    assert Profile.objects.count() == 1
    assert saved.changed_at > saved.published_at


def test_a_deleted_profile_is_gone_once_that_is_published(contoso):
    save(contoso, ACCOUNTS)
    save(contoso, {"items": [{"table": "contact"}]} | EVERYONE, name="Contacts")
    profiles.publish(contoso.id)

    deleted = profiles.delete_profile(contoso.id, name="Contacts")
    still = published_names(contoso)
    profiles.publish(contoso.id)

    assert (deleted, still) == (True, ["Contacts", "Field sales"])
    assert published_names(contoso) == ["Field sales"]


def test_a_profile_that_never_was_cannot_be_deleted(contoso):
    assert not profiles.delete_profile(contoso.id, name="Nothing")


def test_another_organizations_profiles_are_left_alone(contoso):
    other = factories.organization(unique_name="fabrikam")
    Profile.objects.create(
        organization=other,
        name="Theirs",
        document={"name": "Theirs", "items": []},
        changed_at=factories.NOON,
    )
    save(contoso, ACCOUNTS)

    profiles.publish(contoso.id)

    assert published_names(contoso) == ["Field sales"]
    assert not profiles.delete_profile(contoso.id, name="Theirs")


def test_names_are_unique_within_an_organization(contoso):
    save(contoso, ACCOUNTS)
    organization = Organization.objects.get(pk=contoso.id)

    with pytest.raises(IntegrityError), transaction.atomic():
        Profile.objects.create(
            organization=organization,
            name="Field sales",
            document={},
            changed_at=factories.NOON,
        )


def test_assignments_reach_whom_they_name(contoso):
    for_grace = {"assignments": {"users": [str(guid("Grace"))]}}
    save(contoso, {"items": [{"table": "contact"}]} | for_grace, name="Grace's")
    save(contoso, ACCOUNTS)
    profiles.publish(contoso.id)
    contoso.pull("account")

    assert contoso.device("Ada").store.tables() == ("account",)
    assert contoso.device("Grace").store.tables() == ("account", "contact")
