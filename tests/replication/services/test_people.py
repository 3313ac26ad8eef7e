"""Profiles, explanations and previews where users come from their tokens."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from provisioning.models import AuditEntry, Organization
from replication.services import looking, people, profiles
from replication.services.people import NoSuchUserError
from replication.services.profiles import InvalidProfileError
from replication.visibility import policy
from replication.visibility.explained import Outcome
from tests.replication.signed_in import (
    all_shops,
    by_filter,
    only_served,
    person,
    shops_world,
)
from tests.staged import guid

EVERYONE = {"everyone": True}
OF_REGION = by_filter("region eq @user.region")


@pytest.fixture
def shops(new_world):
    world = shops_world(new_world)
    Organization.objects.filter(pk=world.id).update(kind="odata")
    return world


def save(world, *items, **members):
    document = {"items": list(items), "assignments": EVERYONE, **members}
    profiles.save_profile(world.id, name="Field", document=document)


def refused(world, *items, **members):
    with pytest.raises(InvalidProfileError) as error:
        save(world, *items, **members)
    return {one["member"]: one for one in error.value.errors}


def shop(**members):
    return {"table": "shop", **members}


def custom(text):
    return shop(records="custom", filter={"language": "odata", "text": text})


def why(world, name, row):
    return looking.explanation(
        world.id, user_id=person(name), table="shop", key=str(guid(row))
    )


# Profiles


def test_what_needs_owners_is_refused_member_by_member(shops):
    members = {"owned_by_me": True, "owned_by_my_team": True, "can_be_followed": True}

    found = refused(shops, shop(records="filtered", **members))

    assert set(found) == {"items[0].records", *(f"items[0].{name}" for name in members)}
    assert "belong to no user" in found["items[0].records"]["message"]


def test_roles_and_teams_are_those_of_the_token(shops):
    some = [str(uuid4())]

    found = refused(shops, shop(), assignments={"roles": some, "teams": some})

    assert set(found) == {"assignments.roles", "assignments.teams"}
    assert "token_roles" in found["assignments.roles"]["message"]


def test_in_dataverse_nothing_is_assigned_to_roles_of_the_token(shops):
    Organization.objects.filter(pk=shops.id).update(kind="dataverse")

    found = refused(shops, shop(), assignments={"token_groups": ["g-1"]})

    assert set(found) == {"assignments.token_groups"}


def test_a_value_of_a_claim_has_a_length(shops):
    found = refused(shops, shop(), assignments={"token_roles": ["x" * 251, ""]})

    assert set(found) == {"assignments.token_roles"}


def test_a_filter_about_users_of_dataverse_is_refused_with_its_place(shops):
    text = "code eq 1 or Microsoft.Dynamics.CRM.EqualUserId(PropertyName='code')"

    found = refused(shops, custom(text))

    assert found["items[0].filter"]["place"] == "character 14"


def test_settings_that_only_dataverse_has_are_refused(shops):
    document = {"origin": "source", "hierarchy": {"model": "manager"}}

    with pytest.raises(InvalidProfileError) as error:
        profiles.save_settings(shops.id, document=document)

    assert {one["member"] for one in error.value.errors} == {"origin", "hierarchy"}


def test_an_organization_filter_cannot_name_claims(shops):
    text = {"language": "odata", "text": "region eq @user.region"}
    served = {"table": "shop", "filter": text}

    with pytest.raises(InvalidProfileError) as error:
        profiles.save_settings(shops.id, document={"served": [served]})

    assert "cannot depend on the user" in error.value.errors[0]["message"]


def test_what_is_published_says_where_users_come_from(shops):
    save(shops, custom("region eq @user.region"))

    profiles.publish(shops.id)
    shops.reconcile()
    shops.sign_in("Ada", region="Quito")

    conn = shops.database.kept("test")
    assert policy.effective(conn).people == "tokens"
    assert looking.effective_problems(shops.id) == ()
    assert shops.device_of("Ada").names("shop") == {"Quito"}


# Explanations


def test_a_visible_row_is_told_by_profile_and_claim(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")

    found = why(shops, "Ada", "Lima 1")

    assert (found.outcome, found.is_visible) == (Outcome.VISIBLE, True)
    assert found.user is not None
    assert (found.user.table, found.user.name) == ("user", "Ada")
    assert [right.opens for right in found.rights] == ["everything"]
    assert found.entries


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"region": "Lima"}, "not a value of the user's claim region"),
        ({}, "no claim region"),
    ],
)
def test_a_row_of_another_value_is_told_by_the_claim(shops, claims, reason):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", **claims)

    found = why(shops, "Ada", "Quito")

    assert (found.outcome, found.is_visible) == (Outcome.NOT_TAKEN, False)
    assert reason in found.ways[0].reason


def test_who_is_blocked_unknown_or_without_a_profile_is_told(shops):
    shops.put_in_effect(all_shops(token_roles=("Driver",)))
    for name, roles in (("Ada", ["Driver"]), ("Grace", [])):
        shops.sign_in(name, roles=roles)
    shops.set_blocked("Ada", is_blocked=True)

    outcomes = [why(shops, n, "Quito").outcome for n in ("Ada", "Grace", "Nobody")]

    assert outcomes == [
        Outcome.BLOCKED_USER,
        Outcome.NO_PROFILE,
        Outcome.UNKNOWN_USER,
    ]


def test_the_organization_filter_is_told(shops):
    shops.put_in_effect(all_shops(everyone=True), served=(only_served("number eq 7"),))
    shops.sign_in("Ada")

    assert why(shops, "Ada", "Quito").outcome is Outcome.ORGANIZATION_FILTER


def test_people_are_found_by_name_subject_and_id(shops):
    for name in ("Ada", "Grace"):
        shops.sign_in(name)

    for text in ("AD", "ada", str(person("Ada"))):
        assert [one.name for one in looking.people(shops.id, text=text)] == ["Ada"]


def test_a_whole_set_is_counted(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")

    taken = looking.whole_set(shops.id, user_id=person("Ada"))

    assert {one.table: one.rows for one in taken} == {"shop": 2, "visit": 1}


# Previews


def test_a_preview_tells_what_each_gains_before_it_is_published(shops):
    shops.put_in_effect(all_shops(everyone=True))
    for name, region in (("Ada", "Lima"), ("Grace", "Quito")):
        shops.sign_in(name, region=region)
    save(shops, custom("number ge 8"))

    found = looking.publish_preview(shops.id)

    assert found.is_sample
    figures = {user.user.name: user.figures for user in found.users}
    assert set(figures) == {"Ada", "Grace"}
    assert {(f.before, f.after, f.lost) for f in figures.values() if f} == {(4, 2, 2)}


def test_people_with_devices_are_previewed_by_name(shops):
    shops.put_in_effect(all_shops(everyone=True))
    for name in ("Ada", "Grace"):
        shops.sign_in(name)
    shops.execute(
        "INSERT INTO sync.device (device_id, user_id, presented_rev) VALUES (%s, %s, 1)",
        uuid4(),
        person("Ada"),
    )

    found = looking.publish_preview(shops.id)

    assert [(user.user.name, user.devices) for user in found.users] == [("Ada", 1)]


def test_a_preview_warns_of_claims_that_nobody_has_been_asked_for(shops):
    shops.put_in_effect(OF_REGION)
    save(shops, custom("region eq @user.region and name eq @user.area"))

    (caution,) = looking.publish_preview(shops.id).cautions

    assert "claims: area. " in caution.message


# Operators


def test_blocking_is_audited_and_so_is_unblocking(shops):
    shops.sign_in("Ada")

    people.block(shops.id, user=person("Ada"), actor="olga")
    was_blocked = shops.known("Ada").is_blocked
    people.unblock(shops.id, user=person("Ada"), actor="olga")

    assert was_blocked
    assert not shops.known("Ada").is_blocked
    entries = AuditEntry.objects.order_by("id").values_list("actor", "verb", "detail")
    about = {"user": str(person("Ada"))}
    assert list(entries) == [
        ("olga", "block user", about),
        ("olga", "unblock user", about),
    ]


def test_nobody_can_be_blocked_who_never_came(shops):
    with pytest.raises(NoSuchUserError):
        people.block(shops.id, user=UUID(int=7), actor="olga")

    assert not AuditEntry.objects.exists()


def test_users_are_paged_by_id(shops):
    for name in ("Ada", "Grace", "Edsger"):
        shops.sign_in(name)

    first = people.page(shops.id, after=None, most=2)
    rest = people.page(shops.id, after=first[-1].id, most=2)

    assert {one.name for one in (*first, *rest)} == {"Ada", "Grace", "Edsger"}
    assert len(rest) == 1
