"""The extended document: filters, relationships and common settings, checked whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from replication.models import Profile, ProfileSettings
from replication.services import profiles
from replication.services.profiles import InvalidProfileError
from replication.visibility import policy
from tests.replication.worlds import World

EVERYONE = {"assignments": {"everyone": True}}
CONTACTS = {"table": "contact", "kind": "one_to_many", "column": "parentcustomerid"}


def item(table: str = "account", **members: Any) -> dict[str, Any]:
    return {"table": table, **members}


def odata(text: str) -> dict[str, str]:
    return {"language": "odata", "text": text}


def refused(world: World, *items: Any) -> list[dict[str, str]]:
    with pytest.raises(InvalidProfileError) as error:
        profiles.save_profile(
            world.id, name="Field sales", document={"items": list(items), **EVERYONE}
        )
    assert not Profile.objects.exists()
    return error.value.errors


def published(world: World) -> Any:
    return policy.published(world.database.kept("test"))


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        pytest.param("colour eq 1", "character 1", None, id="unknown column"),
        pytest.param("name eq 'a' and", "character 16", None, id="syntax"),
        pytest.param("parent/name eq 'a'", "character 1", "0x80071120", id="linked"),
        pytest.param(
            " or ".join(f"revenue eq {n}" for n in range(101)),
            None,
            "0x80071116",
            id="many",
        ),
    ],
)
def test_a_filter_is_refused_with_its_place_and_code(
    contoso: World, text: str, place: str | None, code: str | None
) -> None:
    (error,) = refused(contoso, item(records="custom", filter=odata(text)))

    assert error["member"] == "items[0].filter"
    assert place is None or error["place"] == place
    assert error.get("dynamics_code") == code


def test_an_entity_in_xml_is_refused(contoso: World) -> None:
    text = '<!DOCTYPE f [<!ENTITY a "b">]><fetch><entity name="account"/></fetch>'

    (error,) = refused(
        contoso, item(records="custom", filter={"language": "fetchxml", "text": text})
    )

    assert error["member"] == "items[0].filter"


@pytest.mark.parametrize(
    "members",
    [{"records": "custom"}, {"filter": odata("revenue gt 1")}],
    ids=["custom without a filter", "a filter that is not used"],
)
def test_a_filter_and_custom_records_belong_together(
    contoso: World, members: dict[str, Any]
) -> None:
    (error,) = refused(contoso, item(**members))

    assert error["member"] == "items[0].filter"


@pytest.mark.parametrize(
    "association",
    [
        pytest.param(CONTACTS | {"column": "colour"}, id="column"),
        pytest.param(CONTACTS | {"table": "lead"}, id="table without an item"),
        pytest.param(CONTACTS | {"kind": "many_to_many"}, id="no intersect"),
    ],
)
def test_a_relationship_that_leads_nowhere_is_refused(
    contoso: World, association: dict[str, str]
) -> None:
    (error,) = refused(contoso, item(associations=[association]), item("contact"))

    assert error["member"] == "items[0].associations[0]"


def test_a_circle_is_refused_in_dynamics_words(contoso: World) -> None:
    back = {"table": "account", "kind": "many_to_one", "column": "parentcustomerid"}

    errors = refused(
        contoso, item(associations=[CONTACTS]), item("contact", associations=[back])
    )

    assert {error["dynamics_code"] for error in errors} == {"0x80071141"}
    assert {error["member"] for error in errors} == {
        "items[0].associations",
        "items[1].associations",
    }


def test_related_rows_of_nothing_are_refused_in_dynamics_words(
    contoso: World,
) -> None:
    (error,) = refused(contoso, item(records="related_only"))

    assert (error["member"], error["dynamics_code"]) == (
        "items[0].records",
        "0x80071140",
    )


def test_a_table_cannot_be_related_to_itself(contoso: World) -> None:
    own = {"table": "contact", "kind": "one_to_many", "column": "parentcustomerid"}

    (error,) = refused(contoso, item("contact", associations=[own]))

    assert error["dynamics_code"] == "0x80071141"


def test_everything_that_is_wrong_is_named_at_once(contoso: World) -> None:
    errors = refused(
        contoso,
        item(records="custom", filter=odata("colour eq 1"), columns=["nom"]),
        item("nothing"),
    )

    assert {error["member"] for error in errors} == {
        "items[0].filter",
        "items[0].columns",
        "items[1].table",
    }


def test_an_extended_profile_is_saved_as_it_is(contoso: World) -> None:
    document = {
        "items": [
            item(
                records="custom",
                filter=odata("revenue gt 1"),
                associations=[CONTACTS],
                can_be_followed=True,
            ),
            item("contact", records="related_only"),
        ],
        "is_default": True,
    }

    profiles.save_profile(contoso.id, name="Field sales", document=document)
    profiles.publish(contoso.id)

    (found,) = published(contoso).profiles
    assert found.is_default
    assert found.items[0].filter.text == "revenue gt 1"
    assert found.items[0].associations[0].table == "contact"


# What holds for all profiles


def settings(world: World, **members: Any) -> None:
    profiles.save_settings(world.id, document=members)


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"served": [{"table": "nothing", "filter": odata("")}]}, "served[0].table"),
        (
            {"served": [{"table": "account", "filter": odata("colour eq 1")}]},
            "served[0].filter",
        ),
        (
            {
                "served": [
                    {
                        "table": "account",
                        "filter": odata(
                            "Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')"
                        ),
                    }
                ]
            },
            "served[0].filter",
        ),
        (
            {"served": [{"table": "account", "filter": odata("")}] * 2},
            "served[0].table",
        ),
        ({"hierarchy": {"model": "manager", "depth": 0}}, "hierarchy.depth"),
        ({"hierarchy": {"model": "manager", "depth": 101}}, "hierarchy.depth"),
        ({"origin": "elsewhere"}, "origin"),
    ],
    ids=["table", "filter", "about the user", "twice", "flat", "deep", "origin"],
)
def test_settings_that_cannot_be_used_are_refused(
    contoso: World, members: dict[str, Any], member: str
) -> None:
    with pytest.raises(InvalidProfileError) as error:
        settings(contoso, **members)

    assert error.value.errors[0]["member"] == member
    assert not ProfileSettings.objects.exists()


def test_a_hierarchy_may_have_a_hundred_levels(contoso: World) -> None:
    settings(contoso, hierarchy={"model": "manager", "depth": 100})

    assert ProfileSettings.objects.get().document["hierarchy"]["depth"] == 100


def test_more_items_than_anybody_means_are_refused_with_one_error(
    contoso: World,
) -> None:
    (error,) = refused(contoso, *([item()] * 1_001))

    assert error["member"] == "items"


def test_an_answer_has_at_most_a_hundred_errors(contoso: World) -> None:
    errors = refused(contoso, *([item()] * 1_000))

    assert len(errors) == 100


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
@pytest.mark.parametrize(
    ("make", "member"),
    [
        pytest.param(lambda text: item(text), "items[0].table", id="value"),
        pytest.param(
            lambda text: item(columns=["name", text]), "items[0].columns[1]", id="list"
        ),
        pytest.param(lambda text: {**item(), text: 1}, "items[0]", id="member's name"),
        pytest.param(
            lambda text: item(associations=[CONTACTS | {"relationship": text}]),
            "items[0].associations[0].relationship",
            id="what nothing compares",
        ),
    ],
)
def test_text_that_cannot_be_stored_is_refused_at_its_member(
    contoso: World, make: Callable[[str], Any], member: str, text: str
) -> None:
    errors = refused(contoso, make(text), item("contact"))

    assert [error["member"] for error in errors] == [member]


def test_settings_become_part_of_what_is_published(contoso: World) -> None:
    settings(
        contoso,
        served=[{"table": "account", "filter": odata("revenue gt 100")}],
        hierarchy={"model": "manager", "depth": 2},
    )
    before = published(contoso).served

    profiles.publish(contoso.id)

    assert before == ()
    assert published(contoso).served[0].filter.text == "revenue gt 100"
    assert published(contoso).hierarchy.depth == 2


def test_the_organization_filter_reaches_devices(contoso: World) -> None:
    contoso.add_account("Airport", owner="Ada", unit="North", revenue=10)
    contoso.add_account("Harbour", owner="Ada", unit="North", revenue=1000)
    profiles.save_profile(
        contoso.id, name="Field sales", document={"items": [item()], **EVERYONE}
    )
    settings(contoso, served=[{"table": "account", "filter": odata("revenue gt 100")}])

    profiles.publish(contoso.id)
    contoso.pull("account")

    assert contoso.device("Ada").names() == {"Harbour"}


def test_an_organization_filter_about_the_user_lets_nothing_through(
    contoso: World,
) -> None:
    """It can only have been published by other means; rules go on all the same."""
    mine = "Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')"
    ProfileSettings.objects.create(
        organization_id=contoso.id,
        document={"served": [{"table": "account", "filter": odata(mine)}]},
        changed_at=contoso.organization.created_at,
    )
    contoso.add_account("Airport", owner="Ada", unit="North")
    profiles.save_profile(
        contoso.id, name="Field sales", document={"items": [item()], **EVERYONE}
    )

    profiles.publish(contoso.id)
    contoso.pull("account")

    assert contoso.device("Ada").names() == set()
