"""An operator signs in with a real browser, looks at each page and uses two verbs.

`WAYSTATION_SCREENSHOTS=docs/images` renews the pictures of the README.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from provisioning.models import AuditEntry, Organization, WorkItem
from tests.admin import browser

PASSWORD = "nanoseconds are short"
LISTS = {
    "provisioning/organization": "tailspin",
    "provisioning/workitem": "incident",
    "syncapi/device": "Ada's tablet",
    "replication/profile": "Field service",
    "provisioning/provisioningevent": "contoso",
    "provisioning/auditentry": "publish profiles",
    "provisioning/databaseserver": "default",
    "auth/user": "olga",
}

PICTURES = {"fleet", "fleet-es", "organization", "organization-charts", "profile"}

Picture = Callable[[Page, str], None]


@pytest.fixture
def picture() -> Picture:
    folder = os.environ.get("WAYSTATION_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder and name in PICTURES:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take


def test_an_operator_looks_at_every_page_and_uses_two_verbs(
    contoso: Organization,
    live_server: object,
    tmp_path: Path,
    picture: Picture,
) -> None:
    User.objects.create_superuser("olga", password=PASSWORD)
    incident = WorkItem.objects.get(organization=contoso, table="incident")
    errors: list[str] = []
    foreign: list[str] = []

    with browser.opened(tmp_path / "profile") as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((f"{live_server}/", "data:", "blob:"))
                else foreign.append(request.url)
            ),
        )
        sign_in(page, f"{live_server}/admin/")
        expect(page.locator("#fleet")).to_contain_text("adventure-works")
        expect(page.locator("canvas.chart")).to_have_count(3)
        picture(page, "fleet")

        for path, shown in LISTS.items():
            page.goto(f"{live_server}/admin/{path}/")
            expect(page.locator("#content")).to_contain_text(shown)
            picture(page, path.replace("/", "-"))

        look_at_contoso(page, f"{live_server}/admin/", contoso, picture)
        use_two_verbs(page, f"{live_server}/admin/", contoso, picture)
        switch_to_spanish(page, f"{live_server}/admin/", picture)

    assert (errors, foreign) == ([], [])
    verbs = AuditEntry.objects.filter(actor="olga").order_by("id")
    assert [entry.verb for entry in verbs] == [
        "publish profiles",
        "resume work item",
        "wipe device",
    ]
    incident.refresh_from_db()
    assert (incident.state, incident.attempts) == ("due", 0)


def test_without_chromium_a_developer_is_told_and_ci_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"):
        browser.executable()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        browser.executable()


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Username").fill("olga")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()


def look_at_contoso(
    page: Page, url: str, contoso: Organization, picture: Picture
) -> None:
    page.goto(f"{url}provisioning/organization/{contoso.pk}/change/")
    expect(page.locator("#tables")).to_contain_text("131,904")
    expect(page.locator("canvas.chart")).to_have_count(6)
    picture(page, "organization")
    page.get_by_role("heading", name="Over time").scroll_into_view_if_needed()
    page.locator(".ws-charts").evaluate("box => box.scrollIntoView()")
    picture(page, "organization-charts")

    page.locator("#tables .ws-badge", has_text="1").first.click()
    expect(page.locator("#set-aside")).to_contain_text("numberofemployees")
    picture(page, "set-aside")

    page.goto(f"{url}replication/profile/")
    page.get_by_role("link", name="Field service").click()
    expect(page.locator("#content")).to_contain_text("telephone1")
    picture(page, "profile")


def use_two_verbs(
    page: Page, url: str, contoso: Organization, picture: Picture
) -> None:
    page.goto(f"{url}provisioning/organization/{contoso.pk}/change/")
    page.get_by_role("button", name="Resume: incident").click()
    expect(page.locator("body")).to_contain_text("table incident: Resume")

    page.goto(f"{url}syncapi/device/")
    page.get_by_role("link", name="Grace's tablet").click()
    picture(page, "device")
    page.locator("[data-verb=order_wipe]").click()
    expect(page.locator("#content")).to_contain_text("are lost")
    picture(page, "question")
    page.locator("button[data-verb=order_wipe]").click()
    expect(page.locator("#content")).to_contain_text("Restore: may register again")


def switch_to_spanish(page: Page, url: str, picture: Picture) -> None:
    page.goto(url)
    page.locator("form[action*=setlang] [name=language][value=es]").locator(
        "xpath=.."
    ).evaluate("form => form.submit()")
    expect(page.locator("#fleet")).to_contain_text("Estado")
    picture(page, "fleet-es")
