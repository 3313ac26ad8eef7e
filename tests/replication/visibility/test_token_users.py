"""Users of a source that has none: what their tokens say decides what they take."""

from __future__ import annotations

import pytest

from replication.domain.profiles import FilterText, ProfileDef, ProfileItem
from replication.visibility.access import OfflineNotAllowedError
from tests.replication.checks import assert_sound
from tests.replication.signed_in import (
    all_shops,
    by_filter,
    only_served,
    person,
    shops_world,
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
