"""Users of a source that has none, as the protocol and the admin API show them."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from provisioning.models import AuditEntry, Organization
from replication.services import heads, signing_in
from syncapi.identity import Trust, UnauthenticatedError, Verifier
from syncapi.models import Device
from syncapi.signing_keys import KeyRings
from tests.replication.conftest import (  # noqa: F401  fixtures
    _empty_database,
    new_world,
)
from tests.replication.signed_in import by_filter, shops_world
from tests.syncapi.authority import ADA
from tests.syncapi.conftest import bearer

DEVICE = "aaaaaaaa-1111-4111-8111-bbbbbbbbbbbb"
OF_REGION = by_filter("region eq @user.region")


@pytest.fixture
def shops(new_world, authority):  # noqa: F811  the fixture
    """Shops by region are published, and the organization takes these tokens."""
    world = shops_world(new_world)
    heads.forget()
    signing_in.forget()
    Organization.objects.filter(pk=world.id).update(
        kind="odata", identity=authority.identity(), state="active"
    )
    world.organization.refresh_from_db()
    world.put_in_effect(OF_REGION)
    return world


@pytest.fixture
def org(shops):
    return f"/sync/v1/orgs/{shops.organization.unique_name}"


@pytest.fixture
def admin_api(shops):
    return f"/admin-api/v1/organizations/{shops.organization.unique_name}"


def register(client, org, device=DEVICE):
    return client.put(
        f"{org}/devices/{device}", {"name": "x"}, content_type="application/json"
    )


def model_of(client, org):
    return client.get(f"{org}/model")


def changes(client, org, device=DEVICE, checkpoint=""):
    model = model_of(client, org).json()["version"]
    query = f"device={device}&model={model}" + (
        f"&checkpoint={checkpoint}" if checkpoint else ""
    )
    answer = client.get(f"{org}/changes?{query}")
    return answer, b"".join(answer) if answer.streaming else answer.content


def stored(world):
    return world.fetch("SELECT id, xmin::text FROM sync.token_user ORDER BY id")


def known_of(world):
    return world.fetch("SELECT name, claims, is_blocked FROM sync.token_user")


# Signing in


def test_who_signs_in_first_becomes_a_user(shops, org, authority):
    client = bearer(authority.token(name="Ada", region="Lima", email="a@b.example"))

    answer = register(client, org)

    assert answer.status_code == 201
    assert answer.json()["user"]["name"] == "Ada"
    assert known_of(shops) == [("Ada", {"region": ["Lima"]}, False)]
    assert str(Device.objects.get().user_id) == answer.json()["user"]["id"]


def test_no_token_is_stored_anywhere(shops, org, authority):
    token = authority.token(name="Ada", region="Lima")
    register(bearer(token), org)

    everything = str(shops.content())

    assert token not in everything
    assert token.split(".")[1] not in everything


def test_a_device_gets_the_rows_that_the_claim_names(shops, org, authority):
    client = bearer(authority.token(name="Ada", region="Lima"))
    register(client, org)

    answer, body = changes(client, org)

    assert answer.status_code == 200
    assert b"Lima 1" in body
    assert b"Lima 2" in body
    assert b"Quito" not in body


def test_requests_with_the_same_token_write_nothing(shops, org, authority):
    client = bearer(authority.token(name="Ada", region="Lima"))
    register(client, org)
    before = stored(shops), shops.rev

    for _ in range(3):
        changes(client, org)

    assert (stored(shops), shops.rev) == before


def test_a_poll_that_finds_nothing_is_answered_without_a_look_at_users(
    shops, org, authority
):
    client = bearer(authority.token(name="Ada", region="Lima"))
    register(client, org)
    answer, body = changes(client, org)
    checkpoint = body.rsplit(b'"checkpoint":"', 1)[1].split(b'"')[0].decode()
    version = model_of(client, org).json()["version"]

    shops.execute("ALTER TABLE sync.token_user RENAME TO out_of_reach")
    answer = client.get(
        f"{org}/changes?device={DEVICE}&model={version}&checkpoint={checkpoint}"
    )

    assert answer.status_code == 204


def test_a_newer_token_changes_what_a_waiting_device_gets(shops, org, authority):
    old = authority.claims()["iat"] - 100
    client = bearer(authority.token(name="Ada", region="Lima", iat=old))
    register(client, org)
    _, body = changes(client, org)
    checkpoint = body.rsplit(b'"checkpoint":"', 1)[1].split(b'"')[0].decode()

    newer = bearer(authority.token(name="Ada", region="Quito", iat=old + 1))
    _, body = changes(newer, org, checkpoint=checkpoint)
    _, again = changes(client, org)

    assert b"Quito" in body
    # The older token of another device does not turn it back.
    assert b"Quito" in again
    assert b"Lima" not in again


def test_a_claim_that_is_too_large_is_refused_by_name(shops, org, authority):
    client = bearer(authority.token(region=[f"r{n}" for n in range(300)]))

    answer = register(client, org)

    assert answer.status_code == 403
    assert answer.json()["code"] == "offline_not_allowed"
    assert "region" in answer.json()["detail"]


def test_without_a_profile_nobody_goes_offline(shops, org, authority):
    shops.put_in_effect()
    client = bearer(authority.token(name="Ada", region="Lima"))
    register(client, org)

    answer = model_of(client, org)

    assert answer.status_code == 403
    assert answer.json()["code"] == "offline_not_allowed"


def test_a_device_is_its_users_and_nobody_elses(shops, org, authority):
    ada = bearer(authority.token(sub="ada", region="Lima"))
    # The same person to Entra's object id, another one to this issuer.
    other = bearer(authority.token(sub="other", region="Lima"))
    register(ada, org)

    answer = register(other, org)

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_device"


# Blocking


def blocked(shops, admin_api, operator, org, authority):
    client = bearer(authority.token(name="Ada", region="Lima"))
    user = register(client, org).json()["user"]["id"]
    answer = operator.post(f"{admin_api}/users/{user}/block")
    assert answer.status_code == 204
    return client, user


def test_a_blocked_user_is_refused_everywhere_but_may_sign_off(
    shops, admin_api, operator, org, authority
):
    client, _ = blocked(shops, admin_api, operator, org, authority)

    answers = [
        register(client, org),
        model_of(client, org),
        client.get(f"{org}/changes?device={DEVICE}&model=m1"),
    ]
    signed_off = client.delete(f"{org}/devices/{DEVICE}")

    assert [answer.status_code for answer in answers] == [403] * 3
    assert {answer.json()["code"] for answer in answers} == {"offline_not_allowed"}
    # Nothing is wiped by itself.
    assert not any("wipe" in answer.json() for answer in answers)
    assert signed_off.status_code == 204


def test_an_unblocked_user_goes_on(shops, admin_api, operator, org, authority):
    client, user = blocked(shops, admin_api, operator, org, authority)

    operator.post(f"{admin_api}/users/{user}/unblock")

    assert changes(client, org)[0].status_code == 200
    verbs = AuditEntry.objects.order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["block user", "unblock user"]


def test_users_are_listed_page_by_page(shops, admin_api, operator, org, authority):
    for name in ("Ada", "Grace", "Edsger"):
        client = bearer(authority.token(sub=name, name=name, region="Lima"))
        register(client, org, device=str(uuid4()))

    first = operator.get(f"{admin_api}/users?limit=2").json()
    rest = operator.get(f"{admin_api}/users?limit=2&after={first['next']}").json()

    users = [*first["items"], *rest["items"]]
    assert {user["name"] for user in users} == {"Ada", "Grace", "Edsger"}
    assert rest["next"] is None
    assert users[0]["claims"] == {"region": ["Lima"]}
    assert users[0]["issuer"] == authority.issuer
    assert users[0]["first_seen"] == users[0]["last_seen"]


def test_nobody_and_no_other_verb_answers_404(admin_api, operator):
    unknown = operator.post(f"{admin_api}/users/{UUID(int=7)}/block")
    verb = operator.post(f"{admin_api}/users/{UUID(int=7)}/wipe")

    assert [unknown.status_code, verb.status_code] == [404, 404]


# The admin's page


def test_the_admin_lists_users_and_blocks_them(shops, operator, org, authority):
    client = bearer(authority.token(name="Ada", region="Lima"))
    user = register(client, org).json()["user"]["id"]
    page = reverse("admin:provisioning_organization_users", args=[shops.id])

    shown = operator.get(page).content.decode()
    answer = operator.post(page, {"user": user, "verb": "block"})

    assert user in shown
    assert "Lima" in shown
    assert answer.status_code == 302
    assert known_of(shops)[0][2] is True
    assert "Unblock" in operator.get(f"{page}?who=ada").content.decode()
    assert "Nobody is found" in operator.get(f"{page}?who=zoe").content.decode()


def test_who_may_only_look_sees_no_verb_and_does_none(
    shops, org, authority, client, django_user_model
):
    bearers = bearer(authority.token(name="Ada", region="Lima"))
    user = register(bearers, org).json()["user"]["id"]
    lena = django_user_model.objects.create(username="lena", is_staff=True)
    lena.user_permissions.set(Permission.objects.filter(codename="view_organization"))
    client.force_login(lena)
    page = reverse("admin:provisioning_organization_users", args=[shops.id])

    shown = client.get(page).content.decode()
    answer = client.post(page, {"user": user, "verb": "block"})

    assert 'value="block"' not in shown
    assert answer.status_code == 403


# Tokens


def trust_of(authority, *, makes_users):
    found = Trust.from_identity(
        authority.identity(), ca_certificate="", makes_users=makes_users
    )
    assert found is not None
    return found


def test_a_subject_makes_the_user_and_not_the_object_id(authority):
    trust = trust_of(authority, makes_users=True)
    verifier = Verifier(rings=KeyRings())

    one, same, other = (
        verifier.device_user(f"Bearer {authority.token(sub=sub, oid=oid)}", trust=trust)
        for sub, oid in (("a", str(ADA)), ("a", str(uuid4())), ("b", str(ADA)))
    )

    assert one.person == same.person != other.person


@pytest.mark.parametrize("subject", ["", "x" * 256, "é", 7])
def test_a_subject_that_is_no_text_of_its_kind_is_refused(authority, subject):
    trust = trust_of(authority, makes_users=True)

    with pytest.raises(UnauthenticatedError):
        Verifier(rings=KeyRings()).device_user(
            f"Bearer {authority.token(sub=subject)}", trust=trust
        )


def test_where_the_source_has_users_claims_are_not_remembered(authority):
    trust = trust_of(authority, makes_users=False)

    found = Verifier(rings=KeyRings()).device_user(
        f"Bearer {authority.token(region='Lima')}", trust=trust
    )

    assert found.told is None
    assert found.person == ADA
