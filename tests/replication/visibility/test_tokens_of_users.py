"""Users of a source that has none: newer tokens, what is kept of them, blocked users."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.domain.token_users import (
    LONGEST_VALUE,
    MOST_VALUES,
    UnusableClaimError,
)
from replication.visibility import token_users
from replication.visibility.access import OfflineNotAllowedError
from tests.replication.signed_in import (
    A_DAY,
    all_shops,
    by_filter,
    shops_world,
    told_by,
)

OF_REGION = by_filter("region eq @user.region")


@pytest.fixture
def shops(new_world):
    return shops_world(new_world)


def refused(world, name):
    try:
        world.device_of(name)
    except OfflineNotAllowedError as error:
        return str(error)
    return ""


# What changes from token to token


def test_a_newer_token_with_another_value_gives_and_takes_rows(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima", issued_at=100)
    ada = shops.device_of("Ada")

    shops.sign_in("Ada", region="Quito", issued_at=101)
    ada.sync()

    assert ada.names("shop") == {"Quito"}


def test_two_devices_with_tokens_of_different_age_do_not_take_turns(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Quito", issued_at=200)
    rev = shops.rev

    for issued_at, region in ((100, "Lima"), (200, "Quito"), (100, "Lima")):
        shops.sign_in("Ada", region=region, issued_at=issued_at)

    assert shops.known("Ada").claims == {"region": ("Quito",)}
    assert shops.rev == rev


def test_a_newer_token_that_says_the_same_still_outdates_older_ones(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Quito", issued_at=100)
    shops.sign_in("Ada", region="Quito", issued_at=300)

    shops.sign_in("Ada", region="Lima", issued_at=200)

    assert shops.known("Ada").claims == {"region": ("Quito",)}


def test_tokens_of_one_second_do_not_take_turns_either(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Quito")
    rev = shops.rev

    shops.sign_in("Ada", region="Lima")

    assert shops.known("Ada").claims == {"region": ("Quito",)}
    assert shops.rev == rev


def test_the_same_token_again_writes_nothing(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima", email="ada@example.com")
    before = shops.values("SELECT xmin::text FROM sync.token_user"), shops.rev

    shops.sign_in("Ada", region="Lima", email="ada@example.com")

    after = shops.values("SELECT xmin::text FROM sync.token_user"), shops.rev
    assert after == before


def test_a_newer_token_with_the_same_values_takes_no_rev(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region=["Lima", "Quito"], issued_at=100, email="a")
    rev = shops.rev

    shops.sign_in("Ada", region=["Quito", "Lima"], issued_at=101, email="b")

    assert shops.rev == rev


def test_signing_in_first_and_other_values_take_a_rev_of_access(shops):
    shops.put_in_effect(OF_REGION)
    revs = [shops.access_rev]

    for issued_at, region in enumerate(("Lima", "Quito")):
        shops.sign_in("Ada", region=region, issued_at=issued_at)
        revs.append(shops.access_rev)

    assert revs == [revs[0], revs[0] + 1, revs[0] + 2]


def test_of_tokens_that_come_at_once_the_newest_wins(shops, in_background):
    shops.put_in_effect(OF_REGION)
    regions = ["Lima", "Quito"] * 6

    def sign_in(issued_at):
        told = told_by("Ada", issued_at=issued_at, region=regions[issued_at])
        with shops.staging() as conn:
            token_users.sign_in(conn, told, today=A_DAY)

    signing_in = [in_background(sign_in, number) for number in range(len(regions))]
    for one in signing_in:
        one.result(timeout=30)

    ada = shops.known("Ada")
    assert (ada.issued_at, ada.claims) == (11, {"region": ("Quito",)})


def test_days_are_noted_once(shops):
    shops.sign_in("Ada", today=A_DAY)
    shops.sign_in("Ada", today=A_DAY + timedelta(days=3))
    shops.sign_in("Ada", today=A_DAY + timedelta(days=1))

    ada = shops.known("Ada")
    assert (ada.first_seen, ada.last_seen) == (A_DAY, A_DAY + timedelta(days=3))


# What is kept


def test_only_claims_that_profiles_name_are_kept(shops):
    shops.put_in_effect(OF_REGION)

    shops.sign_in("Ada", region="Lima", email="ada@example.com", roles=["Driver"])

    assert shops.known("Ada").claims == {"region": ("Lima",)}


def test_a_claim_that_is_named_later_comes_with_the_next_request(shops):
    shops.put_in_effect(all_shops(everyone=True))
    shops.sign_in("Ada", region="Lima")
    ada = shops.device_of("Ada")

    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")
    ada.sync()

    assert ada.names("shop") == {"Lima 1", "Lima 2"}


def test_a_claim_that_is_named_no_more_is_forgotten(shops):
    shops.put_in_effect(OF_REGION, all_shops(token_roles=("Driver",)))
    shops.sign_in("Ada", region="Lima", roles=["Driver"])

    shops.put_in_effect(all_shops(token_roles=("Driver",)))

    assert shops.known("Ada").claims == {"roles": ("Driver",)}


def test_the_name_is_that_of_the_newest_token(shops):
    shops.sign_in("Ada", issued_at=100)
    shops.execute("UPDATE sync.token_user SET name = 'Ada King', issued_at = 90")

    shops.sign_in("Ada", issued_at=80)
    assert shops.known("Ada").name == "Ada King"
    shops.sign_in("Ada", issued_at=100)
    assert shops.known("Ada").name == "Ada"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"region": [str(n) for n in range(MOST_VALUES + 1)]}, "region of the token"),
        ({"region": "x" * (LONGEST_VALUE + 1)}, f"more than {LONGEST_VALUE}"),
        ({"_claim_names": {"region": "src1"}}, "leaves out the claim region"),
    ],
)
def test_what_is_too_large_is_refused_by_name(shops, claims, told):
    shops.put_in_effect(OF_REGION)

    with pytest.raises(UnusableClaimError, match=told):
        shops.sign_in("Ada", **claims)


def test_what_an_older_token_has_too_much_of_is_passed_over(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima", issued_at=100)

    shops.sign_in("Ada", region="x" * (LONGEST_VALUE + 1), issued_at=99)

    assert shops.known("Ada").claims == {"region": ("Lima",)}


def test_too_many_groups_are_refused_only_where_profiles_name_groups(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima", hasgroups=True)

    shops.put_in_effect(all_shops(token_groups=("g-1",)))

    with pytest.raises(UnusableClaimError, match="groups"):
        shops.sign_in("Ada", region="Lima", hasgroups=True)


def test_large_claims_that_nobody_names_do_no_harm(shops):
    shops.put_in_effect(OF_REGION)

    shops.sign_in("Ada", region="Lima", groups=[str(n) for n in range(1_000)])

    assert shops.device_of("Ada").names("shop") == {"Lima 1", "Lima 2"}


# Blocking


def test_a_blocked_user_is_refused_until_he_is_unblocked(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")
    ada = shops.device_of("Ada")

    shops.set_blocked("Ada", is_blocked=True)
    assert "blocked" in refused(shops, "Ada")
    assert ada.names("shop") == {"Lima 1", "Lima 2"}

    shops.set_blocked("Ada", is_blocked=False)
    shops.add_shop("Lima 3", region="Lima")
    shops.pull("shop")
    ada.sync()
    assert ada.names("shop") == {"Lima 1", "Lima 2", "Lima 3"}


def test_blocking_takes_a_rev_of_access_and_repeating_it_none(shops):
    shops.sign_in("Ada")
    before = shops.access_rev

    shops.set_blocked("Ada", is_blocked=True)
    shops.set_blocked("Ada", is_blocked=True)

    assert shops.access_rev == shops.rev == before + 1


def test_a_blocked_user_cannot_unblock_himself_by_a_newer_token(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")
    shops.set_blocked("Ada", is_blocked=True)

    shops.sign_in("Ada", region="Quito", issued_at=2_000)

    assert "blocked" in refused(shops, "Ada")
    assert shops.known("Ada").claims == {"region": ("Lima",)}
