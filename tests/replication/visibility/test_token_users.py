"""Users of a source that has none: what their tokens say decides what they take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.domain.profiles import FilterText, ProfileDef, ProfileItem
from replication.domain.token_users import (
    LONGEST_VALUE,
    MOST_VALUES,
    UnusableClaimError,
)
from replication.visibility import token_users
from replication.visibility.access import OfflineNotAllowedError
from tests.replication.checks import assert_sound
from tests.replication.signed_in import (
    A_DAY,
    all_shops,
    by_filter,
    only_served,
    person,
    shops_world,
    told_by,
)
from tests.replication.worlds import EVERYONE
from tests.staged import guid

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


# Who takes anything at all


def test_nobody_takes_anything_before_something_is_published(shops):
    shops.sign_in("Ada")

    assert "No published profile" in refused(shops, "Ada")


def test_who_never_signed_in_takes_nothing(shops):
    shops.put_in_effect(all_shops(everyone=True))

    assert "Nobody has signed in" in refused(shops, "Ada")


def test_a_profile_for_everyone_gives_all_rows_of_its_tables(shops):
    shops.put_in_effect(all_shops(everyone=True))
    shops.sign_in("Ada")

    ada = shops.device_of("Ada")

    assert ada.names("shop") == {"Lima 1", "Lima 2", "Quito", "Nowhere"}
    assert set(ada.store.tables()) == {"shop"}


@pytest.mark.parametrize(
    ("assigned", "claims"),
    [
        ({"users": (person("Ada"),)}, {}),
        ({"token_roles": ("Driver", "Chief")}, {"roles": ["Driver"]}),
        ({"token_roles": ("Driver",)}, {"roles": "Driver"}),
        ({"token_groups": ("g-7",)}, {"groups": ["g-1", "g-7"]}),
    ],
)
def test_a_profile_is_for_those_whom_it_names(shops, assigned, claims):
    shops.put_in_effect(all_shops(**assigned))
    shops.sign_in("Ada", **claims)
    shops.sign_in("Grace", roles=["driver"], groups=["g-77"])

    assert shops.device_of("Ada").names("shop")
    assert "No published profile" in refused(shops, "Grace")


def test_a_default_profile_is_for_those_to_whom_nothing_else_is_assigned(shops):
    default = ProfileDef(
        name="Default", items=(ProfileItem(table="visit"),), is_default=True
    )
    shops.put_in_effect(default, all_shops(token_roles=("Driver",)))
    shops.sign_in("Ada", roles=["Driver"])
    shops.sign_in("Grace")

    assert set(shops.device_of("Ada").store.tables()) == {"shop"}
    assert set(shops.device_of("Grace").store.tables()) == {"visit"}


# Filters with claims


def test_a_filter_with_a_claim_gives_each_user_other_rows(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="LIMA")
    shops.sign_in("Grace", region="Quito")

    # Text is compared without regard to case, as everywhere in filters.
    assert shops.device_of("Ada").names("shop") == {"Lima 1", "Lima 2"}
    assert shops.device_of("Grace").names("shop") == {"Quito"}
    assert_sound(shops)


def test_related_rows_come_along_with_those_of_the_claim(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Lima")

    assert shops.device_of("Ada").names("visit") == {"At Lima 1"}


def test_a_claim_with_several_values_gives_the_rows_of_each(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region=["Lima", "Quito", "Bogotá"])

    assert shops.device_of("Ada").names("shop") == {"Lima 1", "Lima 2", "Quito"}


@pytest.mark.parametrize("operator", ["eq", "ne"])
@pytest.mark.parametrize("claims", [{}, {"region": []}, {"region": {"a": "Lima"}}])
def test_a_claim_that_is_missing_matches_nothing(shops, operator, claims):
    shops.put_in_effect(by_filter(f"region {operator} @user.region"))
    shops.sign_in("Ada", **claims)

    assert shops.device_of("Ada").names("shop") == set()


def test_ne_gives_the_rows_whose_value_is_none_of_the_claims(shops):
    shops.put_in_effect(by_filter("region ne @user.region"))
    shops.sign_in("Ada", region="Lima")

    assert shops.device_of("Ada").names("shop") == {"Quito", "Nowhere"}
    assert_sound(shops)


@pytest.mark.parametrize(
    ("column", "claim", "value"),
    [
        ("number", 7, 7),
        ("number", "7", 7),
        ("number", "007", 7),
        ("code", str(guid("code")).upper(), str(guid("code"))),
        ("open", True, True),
        ("open", "false", False),
    ],
)
def test_claims_are_compared_with_columns_of_every_type(shops, column, claim, value):
    shops.add_shop("Meant", **{column: value})
    shops.pull("shop")
    shops.put_in_effect(by_filter(f"{column} eq @user.wanted"))
    shops.sign_in("Ada", wanted=claim)

    expected = {"Meant", "Lima 1"} if column == "number" else {"Meant"}
    assert shops.device_of("Ada").names("shop") == expected


@pytest.mark.parametrize("column", ["number", "code", "open"])
def test_a_claim_that_is_no_value_of_the_column_matches_nothing(shops, column):
    shops.put_in_effect(by_filter(f"{column} eq @user.wanted"))
    shops.sign_in("Ada", wanted="north", region="Lima")

    assert shops.device_of("Ada").names("shop") == set()


def test_a_text_that_looks_like_the_key_of_another_does_not_match_it(shops):
    # The dictionary of keys holds texts by their hash.
    key = shops.values("SELECT md5('lima')::uuid::text")[0]
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region=key)

    assert shops.device_of("Ada").names("shop") == set()


def test_the_same_filter_in_fetchxml(shops):
    text = (
        '<filter><condition attribute="region" operator="eq-userclaim"'
        ' value="https://example.com/region"/></filter>'
    )
    item = ProfileItem(
        table="shop",
        records="custom",
        filter=FilterText(language="fetchxml", text=text),
    )
    shops.put_in_effect(ProfileDef(name="F", items=(item,), assignments=EVERYONE))
    shops.sign_in("Ada", **{"https://example.com/region": "Quito"})

    assert shops.device_of("Ada").names("shop") == {"Quito"}


def test_a_claim_and_conditions_on_the_row_must_both_hold(shops):
    shops.put_in_effect(by_filter("region eq @user.region and number gt 7"))
    shops.sign_in("Ada", region="Lima")

    assert shops.device_of("Ada").names("shop") == {"Lima 2"}


def test_an_organization_filter_holds_for_them_as_well(shops):
    served = (only_served("number lt 8"),)
    shops.put_in_effect(OF_REGION, served=served)
    shops.sign_in("Ada", region="Lima")

    assert shops.device_of("Ada").names("shop") == {"Lima 1"}


def test_rows_that_come_to_have_a_users_value_travel_to_him(shops):
    shops.put_in_effect(OF_REGION)
    shops.sign_in("Ada", region="Cusco")
    ada = shops.device_of("Ada")

    shops.add_shop("Quito", region="Cusco")
    shops.pull("shop")
    ada.sync()

    assert ada.names("shop") == {"Quito"}
    assert_sound(shops)


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
