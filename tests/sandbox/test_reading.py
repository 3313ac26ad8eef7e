"""Reading the Web API: rows, filters, pages and annotations."""

from __future__ import annotations

import pytest

from tests.sandbox.running import Client, as_person, where

TARGETS = 'odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"'


def test_the_service_document_lists_the_entity_sets(contoso):
    answer = contoso.get("").json()

    assert {"name": "accounts", "kind": "EntitySet", "url": "accounts"} in answer[
        "value"
    ]
    assert answer["@odata.context"].endswith("/api/data/v9.2/$metadata")


def test_who_am_i_names_the_caller_and_hints_at_parallelism(contoso):
    answer = contoso.get("WhoAmI")

    assert set(answer.json()) == {
        "@odata.context",
        "BusinessUnitId",
        "UserId",
        "OrganizationId",
    }
    assert answer.headers["x-ms-dop-hint"].isdigit()
    assert answer.headers["OData-Version"] == "4.0"
    assert answer.headers["x-ms-service-request-id"]


def test_without_a_token_the_challenge_names_the_tenant_and_the_resource(running):
    answer = Client(running).get("WhoAmI")

    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f"Bearer authorization_uri={running.url}/")
    assert challenge.endswith(f"resource_id={running.url}/")


def test_the_key_and_the_etag_come_unselected(contoso):
    row = contoso.rows("accounts?$select=name&$top=1")[0]

    assert set(row) == {"@odata.etag", "accountid", "name"}


def test_a_selected_money_column_brings_its_currency(contoso):
    row = contoso.rows("accounts?$select=revenue&$top=1")[0]

    assert "_transactioncurrencyid_value" in row


def test_money_and_decimals_keep_their_digits(contoso):
    account = contoso.created("accounts", name="Cent by cent", revenue=20000)

    body = contoso.get(f"accounts({account['accountid']})?$select=revenue,exchangerate")

    assert '"revenue":20000.0000' in body.text
    assert '"exchangerate":1.0000000000' in body.text


def test_the_target_of_a_lookup_is_told_when_asked_for(contoso):
    path = "accounts?$select=_ownerid_value&$top=1"
    note = "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"

    asked, unasked = contoso.rows(path, Prefer=TARGETS)[0], contoso.rows(path)[0]

    assert asked[note] in {"systemuser", "team"}
    assert set(asked) - {note} == set(unasked)
    assert set(unasked) == {"@odata.etag", "accountid", "_ownerid_value"}


def test_selecting_every_column_is_selecting_none(contoso):
    whole = contoso.get("accounts?$top=3", Prefer=TARGETS).json()["value"]
    columns = [name for name in contoso.rows("accounts?$top=1")[0] if "@" not in name]

    selected = f"accounts?$top=3&$select={','.join(reversed(columns))}"

    assert contoso.get(selected, Prefer=TARGETS).json()["value"] == whole
    assert contoso.rows(selected)[0].keys() == {"@odata.etag", *columns}


def test_a_null_lookup_has_no_target(contoso):
    account = contoso.created("accounts", name="Alone")
    path = f"accounts({account['accountid']})"

    whole = contoso.get(path, Prefer=TARGETS).json()
    part = contoso.get(f"{path}?$select=_primarycontactid_value", Prefer=TARGETS).json()

    for row in (whole, part):
        assert row["_primarycontactid_value"] is None
        assert not any(name.startswith("_primarycontactid_value@") for name in row)


def test_labels_and_the_metadata_version_are_told_when_asked_for(contoso):
    answer = contoso.get(
        "accounts?$select=statecode,revenue&$top=1",
        Prefer='odata.include-annotations="*"',
    ).json()

    row = answer["value"][0]
    label = "statecode@OData.Community.Display.V1.FormattedValue"
    assert row[label] == "Active"
    assert int(answer["@Microsoft.Dynamics.CRM.globalmetadataversion"]) > 0


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("accountnumber eq 'f-1'", ["Fil'ter One"]),
        ("name eq 'Fil''ter One'", ["Fil'ter One"]),
        ("startswith(accountnumber,'F-') and revenue gt 100", ["Filter Two"]),
        (
            "startswith(accountnumber,'F-') and not (revenue gt 100)",
            ["Fil'ter One", "Filter Three"],
        ),
        ("startswith(accountnumber,'F-') and revenue eq null", ["Filter Three"]),
        (
            "startswith(accountnumber,'F-') and (contains(name,'two') or endswith(name,'ONE'))",
            ["Fil'ter One", "Filter Two"],
        ),
        (
            "startswith(accountnumber,'F-') and creditonhold eq true",
            ["Filter Three"],
        ),
        (
            "createdon ge 2026-01-01T00:00:00+02:00 and industrycode le 2",
            ["Fil'ter One", "Filter Two"],
        ),
    ],
)
def test_a_filter_chooses_rows(alone, expression, names):
    alone.created(
        "accounts", accountnumber="F-1", name="Fil'ter One", revenue=100, industrycode=1
    )
    alone.created(
        "accounts",
        accountnumber="F-2",
        name="Filter Two",
        revenue=100.5,
        industrycode=2,
    )
    alone.created(
        "accounts", accountnumber="F-3", name="Filter Three", creditonhold=True
    )

    rows = alone.rows(f"accounts?$select=name&{where(expression)}")

    assert [row["name"] for row in rows] == names


def test_lookups_are_filtered_by_guid(contoso):
    owner = contoso.rows("accounts?$select=_ownerid_value&$top=1")[0]["_ownerid_value"]

    rows = contoso.rows(
        f"accounts?$select=_ownerid_value&{where(f'_ownerid_value eq {owner.upper()}')}"
    )

    assert {row["_ownerid_value"] for row in rows} == {owner}


@pytest.mark.parametrize(
    "query",
    [
        "$filter=nosuch eq 1",
        "$filter=name eq",
        "$filter=name eq 5",
        "$filter=(name eq 'x'",
        "$filter=name eq 'x' name",
        "$select=nosuch",
        "$orderby=nosuch",
        "$orderby=name upwards",
        "$top=many",
        "$skip=5",
        "$apply=x",
        "$skiptoken=nonsense",
        "$deltatoken=nonsense",
    ],
)
def test_an_option_that_cannot_be_read_is_refused(contoso, query):
    answer = contoso.get(f"accounts?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "0x80060888"


def test_rows_come_in_the_order_asked_for(contoso):
    rows = contoso.rows("accounts?$select=name&$orderby=name desc&$top=50")

    names = [row["name"].lower() for row in rows]
    assert names == sorted(names, reverse=True)


@pytest.mark.parametrize(
    "query",
    ["contacts?$select=fullname", "contacts?$select=fullname&$orderby=fullname"],
)
def test_pages_hold_every_row_once(running, query):
    barbara = as_person(running, "barbara")
    everything = barbara.rows(query)

    pages = barbara.pages(query, Prefer="odata.maxpagesize=17")

    assert [row for page in pages for row in page["value"]] == everything
    assert len(pages) > 3
    assert all(len(page["value"]) == 17 for page in pages[:-1])


def test_the_page_size_is_echoed(contoso):
    answer = contoso.get("accounts?$select=name", Prefer="odata.maxpagesize=3")

    assert answer.headers["Preference-Applied"] == "odata.maxpagesize=3"
    assert len(answer.json()["value"]) == 3


def test_a_page_token_is_good_for_its_own_table_only(contoso):
    link = contoso.get("accounts?$select=name", Prefer="odata.maxpagesize=3").json()[
        "@odata.nextLink"
    ]

    answer = contoso.get(
        link.replace("/accounts?", "/contacts?").replace("=name", "=fullname")
    )

    assert answer.status_code == 400


def test_counts_come_in_the_body_and_as_a_segment(contoso):
    inactive = where("statecode eq 7")

    body = contoso.get(f"tasks?$count=true&$top=1&{inactive}").json()
    segment = contoso.get("contacts/$count")

    assert body["@odata.count"] == 0
    assert int(segment.text) == len(contoso.rows("contacts?$select=contactid"))


def test_a_row_unchanged_is_not_sent_again(contoso):
    account = contoso.created("accounts", name="Unchanged")
    path = f"accounts({account['accountid']})?$select=name"

    again = contoso.get(path, If_None_Match=account["@odata.etag"])
    other = contoso.get(path, If_None_Match="null")

    assert again.status_code == 304
    assert other.status_code == 200
    assert other.headers["ETag"] == account["@odata.etag"]


def test_a_missing_row_and_a_missing_set_are_404(contoso):
    row = contoso.get("accounts(00000000-0000-0000-0000-000000000001)")
    entity_set = contoso.get("unicorns")

    assert (row.status_code, row.json()["error"]["code"]) == (404, "0x80040217")
    assert (entity_set.status_code, entity_set.json()["error"]["code"]) == (
        404,
        "0x80060888",
    )
