"""Profiles in the admin: edited as documents, published after a look ahead, explained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from provisioning.models import AuditEntry
from replication import admin_editor
from replication.models import Profile, ProfileSettings
from replication.services import profiles
from tests.admin import world as fleet
from tests.replication.conftest import all_of_contoso  # noqa: F401  a fixture
from tests.replication.worlds import SavedWorld, World
from tests.staged import guid

EVERYONE = {"everyone": True}
ACCOUNTS = {"items": [{"table": "account"}], "assignments": EVERYONE}


@pytest.fixture
def staged(db: None, all_of_contoso: SavedWorld) -> World:  # noqa: F811  the fixture
    """Contoso with rows; Ada owns Airport and has a phone."""
    world = all_of_contoso.world()
    world.add_account("Airport", owner="Ada", unit="North", revenue=10)
    world.pull("account")
    world.execute(
        "INSERT INTO sync.device (device_id, user_id, presented_rev) VALUES (%s, %s, 1)",
        guid("phone"),
        guid("Ada"),
    )
    profiles.save_profile(world.id, name="Field sales", document=ACCOUNTS)
    return world


def page(name: str, *arguments: Any) -> str:
    return reverse(f"admin:{name}", args=arguments)


def edit(document: Mapping[str, object], **more: str) -> dict[str, str]:
    return {"document": json.dumps(document), **more}


def test_a_profile_is_edited_as_its_document(olga: Client, staged: World) -> None:
    profile = Profile.objects.get()
    address = page("replication_profile_edit", profile.pk)

    shown = olga.get(address)
    answer = olga.post(address, edit(ACCOUNTS | {"is_default": True}))

    profile.refresh_from_db()
    assert json.loads(shown.context["text"])["items"][0]["table"] == "account"
    assert answer.status_code == 302
    assert profile.document["is_default"] is True
    assert AuditEntry.objects.latest("id").verb == "save profile"


def test_what_is_wrong_is_told_at_its_member_and_nothing_is_lost(
    olga: Client, staged: World
) -> None:
    profile = Profile.objects.get()
    wrong = {
        "items": [
            {
                "table": "account",
                "records": "custom",
                "filter": {"language": "odata", "text": "colour eq 'red'"},
            }
        ]
    }

    refused = olga.post(page("replication_profile_edit", profile.pk), edit(wrong))

    (error,) = refused.context["errors"]
    assert (error["member"], error["place"]) == ("items[0].filter", "character 1")
    (marked,) = [line for line in refused.context["lines"] if line.errors]
    assert '"filter": {' in marked.text
    assert "colour eq" in refused.context["text"]
    assert Profile.objects.get().document == profile.document


@pytest.mark.parametrize("text", ["{", "[]", '{"items": "\\u0000"}'])
def test_what_is_no_document_is_refused(olga: Client, staged: World, text: str) -> None:
    address = page("replication_profile_edit", Profile.objects.get().pk)

    refused = olga.post(address, {"document": text})

    assert refused.context["errors"]
    assert refused.context["text"] == text


def test_a_new_profile_needs_a_name(olga: Client, staged: World) -> None:
    address = page("replication_profile_new", staged.id)

    refused = olga.post(address, edit(ACCOUNTS, name="a/b"))
    saved = olga.post(address, edit(ACCOUNTS, name="Night shift"))

    assert [error["member"] for error in refused.context["errors"]] == ["name"]
    assert saved.status_code == 302
    assert Profile.objects.filter(name="Night shift").exists()


def test_what_holds_for_all_profiles_is_edited_too(olga: Client, staged: World) -> None:
    address = page("provisioning_organization_profile_settings", staged.id)
    served = [
        {"table": "account", "filter": {"language": "odata", "text": "revenue gt 1"}}
    ]

    refused = olga.post(address, edit({"hierarchy": {"model": "king"}}))
    olga.post(address, edit({"served": served}))

    assert refused.context["errors"][0]["member"] == "hierarchy.model"
    assert ProfileSettings.objects.get().document["served"] == served


def test_publishing_shows_first_what_it_does(olga: Client, staged: World) -> None:
    nothing = ACCOUNTS | {"items": [{"table": "account", "records": "filtered"}]}
    profiles.save_profile(staged.id, name="Field sales", document=nothing)
    profile = Profile.objects.get()

    asked = olga.get(page("replication_profile_verb", profile.pk, "publish"))

    preview = asked.context["previews"][0]["preview"]
    assert (preview.devices_that_gain, preview.devices_that_lose) == (0, 1)
    assert "Ada" in asked.text
    assert 'name="confirmed"' in asked.text
    profile.refresh_from_db()
    assert profile.published_at is None


def test_an_organizations_profiles_are_published_from_its_page(
    olga: Client, staged: World
) -> None:
    address = page("provisioning_organization_verb", staged.id, "publish")

    asked = olga.get(address)
    olga.post(address, {"confirmed": "yes"})

    assert asked.context["previews"][0]["preview"].users
    assert Profile.objects.get().published_at is not None
    assert AuditEntry.objects.latest("id").verb == "publish profiles"


def test_the_look_ahead_breaks_no_page_while_staging_is_away(olga: Client) -> None:
    owner = fleet.pointed_at_staging(fleet.organization("contoso"))
    profile = fleet.profile(owner)

    asked = olga.get(page("replication_profile_verb", profile.pk, "publish"))
    shown = olga.get(page("replication_profile_change", profile.pk))

    assert "unavailable" in asked.text
    assert "Whether items are suspended is not known." in shown.text


def test_suspended_items_are_red_and_say_why(olga: Client, staged: World) -> None:
    profile = Profile.objects.get()
    document = {
        "name": "Field sales",
        "items": [
            {
                "table": "account",
                "records": "custom",
                "filter": {"language": "odata", "text": "gone eq 1"},
            },
            {"table": "contact"},
        ],
        "assignments": EVERYONE,
    }
    # The column was there when it was saved.
    Profile.objects.filter(pk=profile.pk).update(document=document)
    profiles.publish(staged.id)
    staged.pull("account")

    shown = olga.get(page("replication_profile_change", profile.pk))
    whole = olga.get(page("provisioning_organization_change", staged.id))

    assert shown.text.count("ws-suspended") == 1
    assert "gone" in shown.text
    assert [one.table for one in whole.context["problems"]] == ["account"]


def test_an_organization_shows_its_rules(olga: Client, staged: World) -> None:
    shown = olga.get(page("provisioning_organization_change", staged.id))

    (rule,) = shown.context["rules"]
    assert (rule.table, rule.state, rule.shape) == ("account", "active", "base")
    assert rule.slots == ("Field sales/account",)


# With a user's eyes


def test_a_row_is_explained(olga: Client, staged: World) -> None:
    address = page("provisioning_organization_explain", staged.id)

    found = olga.get(address, {"who": "ada"})
    told = olga.get(
        address,
        {
            "user": str(guid("Ada")),
            "table": "account",
            "key": str(guid("Airport")),
        },
    )

    assert found.context["person"].name == "Ada"
    assert "The user sees the row." in told.text
    assert told.context["explanation"].entries


def test_several_people_are_offered(olga: Client, staged: World) -> None:
    shown = olga.get(page("provisioning_organization_explain", staged.id), {"who": "a"})

    assert {one.name for one in shown.context["people"]} == {"Ada", "Grace"}
    assert shown.context["person"] is None


def test_a_users_whole_set_is_shown(olga: Client, staged: World) -> None:
    shown = olga.get(
        page("provisioning_organization_whole_set", staged.id),
        {"user": str(guid("Ada"))},
    )

    (taken,) = shown.context["taken"]
    assert (taken.table, taken.rows, shown.context["total"]) == ("account", 1, 1)


@pytest.mark.parametrize("name", ["explain", "whole_set"])
def test_looking_breaks_no_page_while_staging_is_away(olga: Client, name: str) -> None:
    owner = fleet.pointed_at_staging(fleet.organization("contoso"))

    shown = olga.get(page(f"provisioning_organization_{name}", owner.pk), {"who": "a"})

    assert shown.status_code == 200
    assert "unavailable" in shown.text


def test_who_may_only_look_edits_nothing(client: Client, staged: World) -> None:
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.add(
        *Permission.objects.filter(codename__startswith="view_")
    )
    client.force_login(watcher)
    profile = Profile.objects.get()

    refused = [
        client.post(page(name, key), edit(ACCOUNTS)).status_code
        for name, key in (
            ("replication_profile_edit", profile.pk),
            ("replication_profile_new", staged.id),
            ("provisioning_organization_profile_settings", staged.id),
        )
    ]

    assert refused == [403, 403, 403]


# The document as it was understood


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("items[1].table", '      "table": 7'),
        ("items[1].columns", '      "table": 7'),
        ("items[9]", '  "items": ['),
        ("nowhere", "{"),
    ],
)
def test_an_error_stands_at_the_nearest_member(member: str, text: str) -> None:
    document = {"items": [{"table": "account"}, {"table": 7}], "is_default": False}

    found = admin_editor.lines(document, [{"member": member, "message": "wrong"}])

    (marked,) = [line.text for line in found if line.errors]
    assert marked == ("    {" if member.endswith("columns") else text)
    assert "\n".join(line.text for line in found) == admin_editor.printed(document)


@pytest.mark.parametrize(
    "text",
    [
        r'{"items": [{"table": "\ud800"}]}',
        r'{"items": [{"table": "account", "columns": ["\u0000"]}]}',
        r'{"items": [], "\udfff": 1}',
    ],
)
@pytest.mark.parametrize("name", ["Field sales", "\x00"])
def test_text_that_cannot_be_stored_is_told_on_the_page(
    olga: Client, staged: World, name: str, text: str
) -> None:
    address = page("replication_profile_new", staged.id)

    refused = olga.post(address, {"document": text, "name": name})

    assert refused.status_code == 200
    assert refused.context["errors"]
    assert refused.context["text"] == text


def test_half_a_character_is_shown_as_json_names_it() -> None:
    (_, line, _) = admin_editor.lines({"table": "\ud800é"}, ())

    assert line.text.encode() == '  "table": "\\ud800é"'.encode()
