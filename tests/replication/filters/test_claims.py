"""Claims of the user's token in filters: in both languages, and where they are refused."""

from __future__ import annotations

import pytest

from replication.domain.filter_operators import AttributeKind
from replication.domain.filter_parts import Attribute, split
from replication.domain.filters import FilterError
from replication.visibility import fetchxml, odata_filter
from replication.visibility.filter_check import check
from tests.replication.filters.tables import ACCOUNT

CRM = "Microsoft.Dynamics.CRM"


def odata(text, *, people="tokens"):
    return check(odata_filter.parse(text), table=ACCOUNT, people=people)


def in_fetchxml(operator, value="region", *, column="city", people="tokens"):
    text = (
        f'<filter><condition attribute="{column}" operator="{operator}"'
        f' value="{value}"/></filter>'
    )
    return check(fetchxml.parse(text), table=ACCOUNT, people=people)


def refused(read, *arguments, **options):
    with pytest.raises(FilterError) as error:
        read(*arguments, **options)
    return error.value


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("city eq @user.region", "eq-userclaim"),
        ("city ne @user.region", "ne-userclaim"),
    ],
)
def test_both_languages_say_the_same(text, operator):
    assert split(odata(text)) == split(in_fetchxml(operator))


def test_a_claim_becomes_a_key_attribute_of_its_column():
    (part,) = split(odata("city eq @user.region and employees gt 5"))

    assert part.attributes == (Attribute("city", AttributeKind.CLAIM, claim="region"),)
    assert part.static is not None


def test_two_claims_of_one_column_are_two_attributes():
    parts = split(odata("city eq @user.region or city eq @user.area"))

    assert {a.claim for part in parts for a in part.attributes} == {"region", "area"}


def test_not_is_ne():
    assert split(odata("not (city eq @user.region)")) == split(
        odata("city ne @user.region")
    )


REFUSED = {
    "greater": ("employees gt @user.level", 1, "by eq and ne only"),
    "another alias": ("city eq @p1", 9, "a value is expected"),
    "the user alone": ("city eq @user", 9, "the name of one claim"),
    "a claim within a claim": ("city eq @user.a.b", 9, "without dots"),
    "a gap": ("city eq @ user.region", 9, "a value is expected"),
    "in a list": ("city in (@user.region)", 10, "a value is expected"),
    "in a function": (
        f"{CRM}.In(PropertyName='city',PropertyValues=[@user.a])",
        63,
        "",
    ),
    "in quotes": ("city eq '@user.region'", 1, "compared as text"),
    "a time of the token": ("city eq @user.iat", 1, "differs from token to token"),
    "a fraction": ("revenue eq @user.a", 1, "does not fit the column revenue"),
    "a moment": ("modifiedon eq @user.a", 1, "does not fit the column modifiedon"),
    "choices": ("interests eq @user.a", 1, "does not fit the column interests"),
    "first": ("@user.region eq city", 1, "a column or a function is expected"),
}


@pytest.mark.parametrize(("text", "character", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_at_its_place(text, character, reason):
    error = refused(odata, text)

    assert reason in error.message
    assert error.place == f"character {character}"


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 121, "exp"])
def test_in_fetchxml_the_name_of_a_claim_is_checked(name):
    error = refused(in_fetchxml, "eq-userclaim", name)

    assert error.place == "line 1, column 9"


def test_users_of_dataverse_are_not_known_by_claims():
    for error in (
        refused(odata, "city eq @user.region", people="source"),
        refused(in_fetchxml, "ne-userclaim", people="source"),
    ):
        assert "eq-userid" in error.message
        assert error.place


@pytest.mark.parametrize("operator", ["eq-userid", "ne-businessid", "eq-userlanguage"])
def test_people_who_come_from_tokens_are_no_users_of_dataverse(operator):
    text = f'<filter><condition attribute="ownerid" operator="{operator}"/></filter>'
    error = refused(check, fetchxml.parse(text), table=ACCOUNT, people="tokens")

    assert "known by their tokens" in error.message
    assert error.place == "line 1, column 9"


def test_in_dataverse_a_text_may_begin_like_a_claim():
    assert odata("city eq '@user.region'", people="source")
