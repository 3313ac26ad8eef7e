"""Profiles of the source in our words: what is kept, and what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from replication.domain.profiles import Association, FilterText
from replication.domain.source_profiles import (
    ASSOCIATIONS,
    ITEMS,
    ORGANIZATION,
    PROFILES,
    TEAMS,
    USERS,
    Relationship,
    Translated,
    translated,
)
from tests.staged import guid

CONTACTS = Relationship(
    name="contact_customer_accounts",
    one="account",
    many="contact",
    column="parentcustomerid",
)
MEMBERS = Relationship(
    name="teammembership_association",
    one="team",
    many="systemuser",
    column="teamid",
    intersect="teammembership",
    other_column="systemuserid",
)
FIELD = {f"{PROFILES}id": guid("Field"), "name": "Field", "componentstate": 0}


def item(table: str = "account", **members: Any) -> dict[str, Any]:
    return {
        f"{ITEMS}id": guid(f"item {table}"),
        "name": table,
        "regardingobjectid": guid("Field"),
        "selectedentitytypecode": table,
        "recorddistributioncriteria": 1,
        "componentstate": 0,
        **members,
    }


def association(name: str, *, of: str = "account", **members: Any) -> dict[str, Any]:
    return {
        f"{ASSOCIATIONS}id": guid(name),
        "name": name,
        f"{ITEMS}id": guid(f"item {of}"),
        "relationshipname": name,
        **members,
    }


def read(*items: Any, relationships: Any = (), **rows: Any) -> Translated:
    return translated({PROFILES: [FIELD], ITEMS: items, **rows}, relationships)


@pytest.mark.parametrize(
    ("criteria", "records"),
    [(0, "related_only"), (1, "all"), (2, "filtered"), (3, "custom")],
)
def test_the_choice_of_records_is_kept(criteria: int, records: str) -> None:
    row = item(recorddistributioncriteria=criteria, profileitementityfilter="<filter/>")

    (profile,) = read(row).profiles

    assert profile.items[0].records == records


@pytest.mark.parametrize("criteria", [None, 4, -1])
def test_an_unknown_choice_of_records_takes_none_and_is_told(
    criteria: int | None,
) -> None:
    found = read(item(recorddistributioncriteria=criteria))

    assert found.profiles[0].items[0].records == "related_only"
    assert [f"({criteria})" in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"Columns": "name"}'])
def test_columns_that_cannot_be_read_are_none_and_that_is_told(text: str) -> None:
    found = read(item(selectedcolumns=text))

    assert found.profiles[0].items[0].columns == ()
    assert ["columns" in problem for problem in found.problems] == [True]


def test_an_items_members_are_kept() -> None:
    row = item(
        recorddistributioncriteria=2,
        recordsownedbyme=True,
        recordsownedbymybusinessunit=True,
        canbefollowed=True,
        syncintervalinminutes=60,
        selectedcolumns=json.dumps({"Columns": ["name", "revenue"]}),
    )

    (found,) = read(row).profiles[0].items

    owned = (
        found.owned_by_me,
        found.owned_by_my_team,
        found.owned_by_my_business_unit,
    )
    assert owned == (True, False, True)
    assert found.can_be_followed
    assert (found.sync_interval_minutes, found.columns) == (60, ("name", "revenue"))


def test_a_filter_counts_only_where_it_is_chosen() -> None:
    text = "<fetch><entity name='account'/></fetch>"
    chosen = item(recorddistributioncriteria=3, profileitementityfilter=text)
    left_over = item("contact", profileitementityfilter=text)

    account, contact = read(chosen, left_over).profiles[0].items

    assert account.filter == FilterText(language="fetchxml", text=text)
    assert contact.filter is None


@pytest.mark.parametrize(("minutes", "kept"), [(None, 5), (1, 5), (9999, 1440)])
def test_intervals_are_brought_within_bounds(minutes: int | None, kept: int) -> None:
    (found,) = read(item(syncintervalinminutes=minutes)).profiles[0].items

    assert found.sync_interval_minutes == kept


@pytest.mark.parametrize(
    ("relationship", "of", "association_of_it"),
    [
        pytest.param(
            CONTACTS,
            "account",
            Association(
                table="contact",
                kind="one_to_many",
                column="parentcustomerid",
                relationship=CONTACTS.name,
            ),
            id="one to many",
        ),
        pytest.param(
            CONTACTS,
            "contact",
            Association(
                table="account",
                kind="many_to_one",
                column="parentcustomerid",
                relationship=CONTACTS.name,
            ),
            id="many to one",
        ),
        pytest.param(
            MEMBERS,
            "systemuser",
            Association(
                table="team",
                kind="many_to_many",
                column="systemuserid",
                intersect="teammembership",
                other_column="teamid",
                relationship=MEMBERS.name,
            ),
            id="many to many",
        ),
    ],
)
def test_a_relationship_is_followed_from_the_side_of_its_item(
    relationship: Relationship, of: str, association_of_it: Association
) -> None:
    found = read(
        item(of),
        relationships=[relationship],
        **{ASSOCIATIONS: [association(relationship.name.upper(), of=of)]},
    )

    assert found.profiles[0].items[0].associations == (association_of_it,)
    assert found.problems == []


def test_members_become_assignments() -> None:
    mine = {f"{PROFILES}id": guid("Field")}
    found = read(
        item(),
        **{
            USERS: [
                mine | {"systemuserid": guid("Ada")},
                {f"{PROFILES}id": guid("Other"), "systemuserid": guid("Eve")},
            ],
            TEAMS: [mine | {"teamid": guid("Crew")}],
        },
    )

    assignments = found.profiles[0].assignments
    assert assignments.users == (guid("Ada"),)
    assert assignments.teams == (guid("Crew"),)
    assert not assignments.everyone


def test_the_default_profile_is_the_one_that_the_organization_names() -> None:
    other = FIELD | {f"{PROFILES}id": guid("Other"), "name": "Other"}
    settings = {"defaultmobileofflineprofileid": guid("Field")}

    found = translated({PROFILES: [FIELD, other], ORGANIZATION: [settings]}, ())

    assert [p.name for p in found.profiles if p.is_default] == ["Field"]


@pytest.mark.parametrize(
    "settings", [[], [{}], [{"defaultmobileofflineprofileid": None}]]
)
def test_without_a_default_nobody_has_what_is_not_his(settings: Any) -> None:
    (profile,) = read(item(), **{ORGANIZATION: settings}).profiles

    assert not profile.is_default


def test_a_relationship_with_a_filter_of_its_own_brings_nothing() -> None:
    narrowed = association(
        CONTACTS.name, profileitemassociationentityfilter="<filter/>"
    )

    found = read(item(), relationships=[CONTACTS], **{ASSOCIATIONS: [narrowed]})

    assert found.profiles[0].items[0].associations == ()
    assert ["filter of its own" in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("state", [1, 2, 3])
def test_only_what_is_published_counts(state: int) -> None:
    draft = item("contact", componentstate=state)

    (profile,) = read(item(), draft).profiles

    assert [one.table for one in profile.items] == ["account"]
    unpublished = translated({PROFILES: [FIELD | {"componentstate": state}]}, ())
    assert unpublished.profiles == ()


def test_what_cannot_be_read_is_told_and_the_rest_goes_on() -> None:
    found = read(
        item(recorddistributioncriteria=3),
        item("contact", selectedcolumns="{"),
        item("task", selectedentitytypecode=None),
        **{ASSOCIATIONS: [association("gone")]},
    )

    assert [one.table for one in found.profiles[0].items] == ["account", "contact"]
    assert len(found.problems) == 4


def test_two_profiles_of_one_name_stay_two() -> None:
    other = FIELD | {f"{PROFILES}id": guid("Other")}

    found = translated({PROFILES: [FIELD, other], ITEMS: [item()]}, ())

    assert len({profile.name for profile in found.profiles}) == 2
