"""Change tracking: loads, deltas, and tokens that expire."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.sandbox.running import Client, as_person


def load(client: Client, table: str = "accounts?$select=name", **headers: str) -> str:
    """Return the delta link after a whole load."""
    headers.setdefault("Prefer", "odata.track-changes")
    link: str = client.pages(table, **headers)[-1]["@odata.deltaLink"]
    return link


def is_delete(item: dict[str, object]) -> bool:
    return str(item.get("@odata.context", "")).endswith("/$deletedEntity")


def test_only_the_last_page_of_a_load_has_a_delta_link(contoso):
    pages = contoso.pages(
        "accounts?$select=name", Prefer="odata.track-changes,odata.maxpagesize=50"
    )

    assert len(pages) > 2
    assert ["@odata.deltaLink" in page for page in pages] == [False] * (
        len(pages) - 1
    ) + [True]
    ids = [row["accountid"] for page in pages for row in page["value"]]
    assert len(ids) == len(set(ids))


def test_the_preference_that_was_applied_is_echoed(contoso):
    answer = contoso.get(
        "accounts?$select=name", Prefer="odata.track-changes,odata.maxpagesize=2000"
    )

    assert answer.headers["Preference-Applied"] == (
        "odata.track-changes, odata.maxpagesize=2000"
    )


def test_nothing_new_is_an_empty_delta_with_another_link(alone):
    body = alone.get(load(alone)).json()

    assert body["value"] == []
    assert body["@odata.context"].endswith("#accounts(name)/$delta")
    assert "$deltatoken=" in body["@odata.deltaLink"]


def test_a_delta_has_changed_rows_by_version_and_then_the_deleted(alone):
    first, second, gone = (
        alone.created("accounts", name=name) for name in ("One", "Two", "Three")
    )
    link = load(alone)
    alone.api("DELETE", f"accounts({gone['accountid']})")
    alone.api("PATCH", f"accounts({second['accountid']})", {"name": "Second"})
    alone.api("PATCH", f"accounts({first['accountid']})", {"name": "First"})

    items = alone.get(link).json()["value"]

    assert [item.get("name") for item in items] == ["Second", "First", None]
    assert items[-1] == {
        "@odata.context": (
            f"{alone.running.url}/api/data/v9.2/$metadata#accounts/$deletedEntity"
        ),
        "id": gone["accountid"],
        "reason": "deleted",
    }
    versions = [int(re.sub(r"\D", "", item["@odata.etag"])) for item in items[:2]]
    assert versions == sorted(versions)


def test_a_row_created_and_deleted_in_between_is_a_delete_of_an_unknown_row(alone):
    link = load(alone)
    row = alone.created("accounts", name="Ephemeral")
    alone.api("DELETE", f"accounts({row['accountid']})")

    items = alone.get(link).json()["value"]

    assert [(is_delete(item), item["id"]) for item in items] == [
        (True, row["accountid"])
    ]


def test_a_row_deleted_and_created_again_comes_as_both_with_the_delete_last(alone):
    row = alone.created("accounts", name="Phoenix")
    link = load(alone)
    alone.api("DELETE", f"accounts({row['accountid']})")
    alone.created("accounts", accountid=row["accountid"], name="Phoenix again")

    items = alone.get(link).json()["value"]

    assert [is_delete(item) for item in items] == [False, True]


def test_deltas_are_paged_like_loads(alone):
    link = load(alone)
    made = [alone.created("accounts", name=f"Site {n}") for n in range(5)]
    for row in made[3:]:
        alone.api("DELETE", f"accounts({row['accountid']})")

    pages = alone.pages(link, Prefer="odata.track-changes,odata.maxpagesize=2")

    items = [item for page in pages for item in page["value"]]
    assert [len(page["value"]) for page in pages] == [2, 2, 1]
    assert [is_delete(item) for item in items] == [False, False, False, True, True]
    assert ["@odata.deltaLink" in page for page in pages] == [False, False, True]


def test_a_change_during_a_load_comes_with_the_delta_after_it(alone):
    page = alone.get(
        "accounts?$select=name", Prefer="odata.track-changes,odata.maxpagesize=10"
    ).json()
    early = page["value"][0]["accountid"]
    alone.api("PATCH", f"accounts({early})", {"name": "Changed meanwhile"})
    last = alone.pages(page["@odata.nextLink"], Prefer="odata.maxpagesize=10")[-1]

    items = alone.get(last["@odata.deltaLink"]).json()["value"]

    assert [item["name"] for item in items] == ["Changed meanwhile"]


def test_a_change_during_a_delta_is_left_for_the_next_one(alone):
    link = load(alone)
    rows = [alone.created("accounts", name=f"Site {n}") for n in range(3)]
    page = alone.get(link, Prefer="odata.maxpagesize=1").json()
    late = rows[2]["accountid"]
    alone.api("PATCH", f"accounts({late})", {"name": "Late"})

    rest = alone.pages(page["@odata.nextLink"], Prefer="odata.maxpagesize=1")
    after = alone.get(rest[-1]["@odata.deltaLink"]).json()["value"]

    assert [row["name"] for page in rest for row in page["value"]] == ["Site 1"]
    assert [row["name"] for row in after] == ["Late"]


def test_pending_changes_can_be_counted(alone):
    link = load(alone)
    row = alone.created("accounts", name="Counted")
    alone.created("accounts", name="Counted too")
    alone.api("DELETE", f"accounts({row['accountid']})")

    answer = alone.get(link.replace("/accounts?", "/accounts/$count?"))

    assert answer.text == "2"


@pytest.mark.parametrize("option", ["$filter", "$orderby", "$expand", "$top"])
def test_options_that_tracking_does_not_take_are_refused(contoso, option):
    answer = contoso.get(f"accounts?{option}=name", Prefer="odata.track-changes")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        f'The "{option}" query parameter isn\'t supported when Change Tracking is'
        " enabled."
    )


@pytest.mark.parametrize(
    "entity_set",
    ["teammemberships", "systemuserrolescollection", "roleprivilegescollection"],
)
def test_intersects_do_not_track_changes(contoso, entity_set):
    answer = contoso.get(entity_set, Prefer="odata.track-changes")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "0x80072491"
    assert contoso.rows(entity_set)


def test_tracking_needs_organization_depth(running):
    answer = as_person(running, "marie").get("accounts", Prefer="odata.track-changes")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "0x80040220")
    assert "PrivilegeName: prvReadAccount" in error["message"]
    assert "Required Depth: Global" in error["message"]


def assert_expired(answer, status: int = 400) -> None:
    assert answer.status_code == status
    assert answer.json()["error"] == {
        "code": "0x80044352",
        "message": "Version stamp associated with the client has expired."
        " Please perform a full sync.",
    }


def test_expired_tokens_are_refused_and_new_ones_live(alone):
    accounts, contacts = load(alone), load(alone, "contacts")
    alone.control("POST", "expire-tokens", {"tables": ["account"]})

    assert_expired(alone.get(accounts))
    assert alone.get(contacts).status_code == 200
    assert alone.get(load(alone)).status_code == 200


def test_the_pages_of_a_load_expire_too(alone):
    page = alone.get("accounts", Prefer="odata.track-changes,odata.maxpagesize=10")
    alone.control("POST", "expire-tokens")

    assert_expired(alone.get(page.json()["@odata.nextLink"]))


def test_tokens_expire_by_the_clock(alone):
    link = load(alone)
    alone.control("POST", "settings", {"token_life_seconds": 0})

    assert_expired(alone.get(re.sub("%2F20[0-9]+%20", "%2F2020%20", link)))


def test_tokens_expire_when_the_table_changes(alone):
    link = load(alone)
    alone.control("POST", "metadata-changed", {"table": "account"})

    assert_expired(alone.get(link))


def test_a_token_from_the_future_of_a_restored_organization_has_expired(alone):
    link = re.sub(r"deltatoken=\d+", "deltatoken=99999999", load(alone))

    assert_expired(alone.get(link))


def test_expiry_can_be_told_in_the_way_of_the_standard(alone):
    link = load(alone)
    alone.control("POST", "settings", {"expiry_status": 410})
    alone.control("POST", "expire-tokens")

    answer = alone.get(link)

    assert_expired(answer, status=410)
    assert answer.headers["Location"].endswith("/accounts?$select=name")


def test_a_moved_user_takes_his_rows_along_as_edits(alone):
    people = alone.control("GET", "").json()["people"]
    linus = next(p for p in people if p["domainname"].startswith("linus"))
    units = {row["name"]: row["businessunitid"] for row in alone.rows("businessunits")}
    user = f"systemusers({linus['systemuserid']})"
    row = alone.created(
        "accounts", name=f"Of {uuid4()}", **{"ownerid@odata.bind": f"/{user}"}
    )
    link = load(alone, "accounts?$select=_owningbusinessunit_value")

    canada = f"/businessunits({units['Canada']})"
    alone.api("PATCH", user, {"businessunitid@odata.bind": canada})

    moved = {item["accountid"]: item for item in alone.get(link).json()["value"]}
    assert {item["_owningbusinessunit_value"] for item in moved.values()} == {
        units["Canada"]
    }
    assert row["accountid"] in moved


def test_a_row_that_arrives_while_the_last_ones_go_is_still_paged(alone):
    x, y = (alone.created("accounts", name=name) for name in "xy")
    size = len(alone.rows("accounts")) - 1
    page = alone.get("accounts", Prefer=f"odata.maxpagesize={size}").json()
    for row in (x, y):
        alone.api("DELETE", f"accounts({row['accountid']})")
    alone.created("accounts", name="z")

    rest = alone.rows(page["@odata.nextLink"])

    assert [row["name"] for row in rest] == ["z"]


def test_deltas_miss_nothing_while_many_write(alone):
    link = load(alone)
    clients = [as_person(alone.running, "hedy") for _ in range(4)]

    def write(client: Client) -> list[str]:
        return [client.created("accounts", name="x")["accountid"] for _ in range(15)]

    with ThreadPoolExecutor(max_workers=len(clients)) as pool:
        writers = [pool.submit(write, client) for client in clients]
        seen: list[str] = []
        while True:
            are_done = all(writer.done() for writer in writers)
            body = alone.pages(link, Prefer="odata.maxpagesize=3")
            seen += [row["accountid"] for page in body for row in page["value"]]
            link = body[-1]["@odata.deltaLink"]
            if are_done:
                break

    written = [row_id for writer in writers for row_id in writer.result()]
    assert sorted(seen) == sorted(written)
