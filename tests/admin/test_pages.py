"""The operators' pages: what they show, also while staging is away, and the verbs."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from provisioning.models import AuditEntry, Organization, WorkItem
from replication.models import Profile
from syncapi.models import Device
from tests.admin import world

FLEET = "admin:index"


def page_of(owner: Organization) -> str:
    return reverse("admin:provisioning_organization_change", args=[owner.pk])


def verb(row: Any, name: str) -> str:
    model = f"{row._meta.app_label}_{row._meta.model_name}"
    return reverse(f"admin:{model}_verb", args=[row.pk, name])


# The fleet


def test_the_fleet_shows_the_worst_first(olga: Client) -> None:
    healthy = world.organization("contoso")
    world.work_item(healthy, "account")
    halted = world.organization("fabrikam")
    world.work_item(halted, "account", state="halted")
    world.organization("tailspin", state="failed", failed_step="creating")

    shown = olga.get(reverse(FLEET)).context["standings"]

    names = [one.organization.unique_name for one in shown]
    assert names == ["tailspin", "fabrikam", "contoso"]


def test_the_fleet_costs_as_many_queries_for_many_as_for_one(
    olga: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        owner = world.organization(f"org-{number}")
        world.work_item(owner, "account")
        world.device(owner, "tablet")

    with django_assert_max_num_queries(12):
        page = olga.get(reverse(FLEET))

    assert len(page.context["standings"]) == 30


def test_the_fleet_can_be_narrowed_to_a_state(olga: Client) -> None:
    world.organization("contoso")
    world.organization("northwind", state="creating")

    page = olga.get(reverse(FLEET), {"state": "creating", "over": "day"})

    names = [one.organization.unique_name for one in page.context["standings"]]
    assert names == ["northwind"]
    assert page.context["over"].name == "day"


def test_who_may_not_see_organizations_sees_none(client: Client, db: None) -> None:
    world.organization("contoso")
    client.force_login(User.objects.create_user("eve", is_staff=True))

    page = client.get(reverse(FLEET)).text

    assert "contoso" not in page


# One organization


def test_an_organization_shows_its_tables_devices_and_trouble(
    olga: Client, contoso: Organization
) -> None:
    page = olga.get(page_of(contoso)).text

    for shown in ("131,904", "forbidden", "Ada&#x27;s tablet", "Field service"):
        assert shown in page
    for table in world.TABLES:
        assert f"<code>{table}</code>" in page


@pytest.mark.parametrize("state", Organization.State.values)
def test_every_state_has_a_page_while_staging_is_away(olga: Client, state: str) -> None:
    owner = world.organization(
        "contoso",
        state=state,
        suspended_from="active" if state == "suspended" else "",
        failed_step="creating" if state == "failed" else "",
    )
    world.pointed_at_staging(owner)
    world.work_item(owner, "account")
    world.device(owner, "tablet")

    page = olga.get(page_of(owner))
    aside = olga.get(f"{page_of(owner).removesuffix('change/')}set-aside/")

    assert (page.status_code, aside.status_code) == (200, 200)
    assert "What staging holds is not shown." in page.text
    assert "account" in page.text


def test_a_database_that_is_half_made_breaks_no_page(
    olga: Client, contoso: Organization
) -> None:
    with world.connected(contoso) as conn:
        conn.execute("DROP SCHEMA sync CASCADE")

    page = olga.get(page_of(contoso))

    assert page.status_code == 200
    assert "What staging holds is not shown." in page.text


def test_rows_set_aside_are_listed_by_key_with_the_reason(
    olga: Client, contoso: Organization
) -> None:
    page = olga.get(f"{page_of(contoso).removesuffix('change/')}set-aside/").text

    assert world.SET_ASIDE in page
    assert "The value fits no integer." in page


def test_an_unknown_organization_is_not_found(olga: Client) -> None:
    unknown = reverse("admin:provisioning_organization_change", args=[uuid4()])

    assert olga.get(unknown).status_code == 404


def test_who_may_see_devices_only_sees_no_organization(
    client: Client, db: None
) -> None:
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.add(Permission.objects.get(codename="view_device"))
    client.force_login(eve)
    owner = world.organization("contoso")

    assert client.get(page_of(owner)).status_code == 403


# Devices and profiles


def test_a_device_says_how_far_it_is_behind(
    olga: Client, contoso: Organization
) -> None:
    device = Device.objects.get(name="Grace's tablet")

    page = olga.get(reverse("admin:syncapi_device_change", args=[device.pk])).text

    assert "9, at rev 5111" in page


def test_a_profile_is_shown_as_operators_speak_of_it(
    olga: Client, contoso: Organization
) -> None:
    profile = Profile.objects.get()

    page = olga.get(reverse("admin:replication_profile_change", args=[profile.pk])).text

    for shown in ("their teams", "columns are merged", "2 roles", "as saved"):
        assert shown in page


def test_publishing_makes_a_profile_effective_and_is_audited(
    olga: Client, contoso: Organization
) -> None:
    profile = Profile.objects.get()
    Profile.objects.update(published_at=None)

    olga.post(verb(profile, "publish"), {"confirmed": "yes"})

    profile.refresh_from_db()
    assert profile.published_at is not None
    latest = AuditEntry.objects.latest("id")
    assert (latest.actor, latest.verb) == ("olga", "publish profiles")


def test_a_verb_that_staging_cannot_carry_out_is_explained(olga: Client) -> None:
    owner = world.pointed_at_staging(world.organization("contoso"))
    profile = world.profile(owner)

    page = olga.post(verb(profile, "publish"), {"confirmed": "yes"}, follow=True)

    assert "unavailable" in page.text
    assert not AuditEntry.objects.exists()


# Verbs


def test_a_verb_that_cannot_be_undone_asks_first(olga: Client) -> None:
    owner = world.organization("contoso")

    asked = olga.post(verb(owner, "deprovision"))

    owner.refresh_from_db()
    assert owner.state == "active"
    assert "<strong>contoso</strong>" in asked.text
    assert "This cannot be undone." in asked.text


def test_a_confirmed_verb_is_done_and_audited(olga: Client) -> None:
    owner = world.organization("contoso")

    olga.post(verb(owner, "deprovision"), {"confirmed": "yes"})

    owner.refresh_from_db()
    assert owner.state == "deprovisioning"
    assert AuditEntry.objects.get().verb == "deprovision"


def test_a_table_is_asked_to_load_in_full(olga: Client) -> None:
    item = world.work_item(world.organization("contoso"), "account", state="halted")

    olga.post(verb(item, "resync"), {"confirmed": "yes"})

    item.refresh_from_db()
    assert (item.resync_requested, item.state) == (True, "due")
    assert AuditEntry.objects.get().verb == "resync work item"


def test_metadata_cannot_be_resynced(olga: Client) -> None:
    item = world.work_item(world.organization("contoso"), "")

    page = olga.post(verb(item, "resync"), {"confirmed": "yes"}, follow=True)

    assert "cannot be resynced" in page.text
    assert not WorkItem.objects.get().resync_requested


def test_a_verb_leads_back_to_where_it_was_clicked_but_never_elsewhere(
    olga: Client,
) -> None:
    item = world.work_item(world.organization("contoso"), "account")
    mine = reverse("admin:provisioning_workitem_change", args=[item.pk])

    back = olga.post(verb(item, "run_now"), {"next": reverse(FLEET)})
    lured = olga.post(verb(item, "run_now"), {"next": "https://evil.example/"})

    assert (back["Location"], lured["Location"]) == (reverse(FLEET), mine)


def test_who_may_only_look_is_offered_no_verb_and_refused(
    client: Client, db: None
) -> None:
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.add(
        *Permission.objects.filter(codename__startswith="view_")
    )
    client.force_login(watcher)
    owner = world.organization("contoso")
    item = world.work_item(owner, "account")

    page = client.get(page_of(owner))
    refused = client.post(verb(item, "pause"))

    assert "Pause" not in page.text
    assert "data-verb" not in page.text
    assert refused.status_code == 403
    assert WorkItem.objects.get().state == "due"
