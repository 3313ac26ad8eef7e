"""Microsoft's own SDK for Python works against the sandbox, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from sandbox.server import Running


@pytest.fixture
def sdk(running: Running, monkeypatch) -> Iterator[DataverseClient]:
    """The SDK, with the application's secret; requests trusts the sandbox's CA."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.ca_file))
    credential = ClientSecretCredential(
        "contoso",
        "waystation",
        "sandbox",
        authority=running.url,
        disable_instance_discovery=True,
    )
    with credential, DataverseClient(running.url, credential) as client:
        yield client


def test_rows_are_created_read_changed_and_deleted(sdk):
    account_id = sdk.records.create("account", {"name": "By SDK", "revenue": 12.5})
    created = sdk.records.retrieve("account", account_id, select=["name", "revenue"])
    sdk.records.update("account", account_id, {"telephone1": "555"})
    changed = sdk.records.retrieve("account", account_id, select=["telephone1"])
    sdk.records.delete("account", account_id)

    assert (created["name"], created["revenue"]) == ("By SDK", 12.5)
    assert changed["telephone1"] == "555"
    assert sdk.records.retrieve("account", account_id) is None


def test_many_rows_are_written_at_once(sdk):
    rows = [{"lastname": f"Many {number}"} for number in range(3)]

    ids = sdk.records.create("contact", rows)
    sdk.records.update("contact", ids, {"jobtitle": "Pilot"})

    titles = [sdk.records.retrieve("contact", one)["jobtitle"] for one in ids]
    sdk.records.delete("contact", ids)

    assert titles == ["Pilot"] * 3
    assert [sdk.records.retrieve("contact", one) for one in ids] == [None] * 3


def test_pages_hold_every_row(sdk, contoso):
    pages = list(sdk.records.list_pages("product", select=["name"], page_size=5))

    names = [row["name"] for page in pages for row in page]
    assert [len(page) for page in pages[:-1]] == [5] * (len(pages) - 1)
    assert names == [row["name"] for row in contoso.rows("products")]


def test_rows_are_filtered_ordered_and_expanded(sdk):
    number = f"SDK-{uuid4()}"[:20]
    contact = sdk.records.create("contact", {"lastname": "Expanded"})
    sdk.records.create(
        "account",
        {
            "name": "Filtered",
            "accountnumber": number,
            "primarycontactid@odata.bind": f"/contacts({contact})",
        },
    )

    rows = list(
        sdk.records.list(
            "account",
            filter=f"accountnumber eq '{number}'",
            select=["name"],
            orderby=["name desc"],
            expand=["primarycontactid"],
        )
    )

    assert [row["name"] for row in rows] == ["Filtered"]
    assert rows[0]["primarycontactid"]["lastname"] == "Expanded"


def test_rows_are_upserted_by_alternate_key(sdk, contoso):
    keys = [{"accountnumber": f"K'{uuid4()}"[:20]} for _ in range(2)]
    first = [UpsertItem(alternate_key=key, record={"name": "New"}) for key in keys]
    again = [UpsertItem(alternate_key=key, record={"name": "Known"}) for key in keys]

    sdk.records.upsert("account", first)
    sdk.records.upsert("account", again[:1])

    names = []
    for key in keys:
        number = key["accountnumber"].replace("'", "''")
        answer = contoso.get(f"accounts(accountnumber='{number}')?$select=name")
        names.append(answer.json()["name"])
    assert names == ["Known", "New"]


def test_a_batch_with_a_change_set_is_all_or_nothing(sdk, contoso):
    batch = sdk.batch.new()
    with batch.changeset() as changes:
        reference = changes.records.create("contact", {"lastname": "Batched"})
        changes.records.create(
            "account",
            {"name": "Batched", "primarycontactid@odata.bind": reference},
        )
    batch.records.retrieve("account", str(uuid4()))

    result = batch.execute(continue_on_error=True)

    statuses = [one.status_code for one in result.responses]
    assert statuses == [204, 204, 404]
    account = result.responses[1].entity_id
    row = contoso.get(f"accounts({account})").json()
    assert row["_primarycontactid_value"] == result.responses[0].entity_id


def test_metadata_is_read(sdk):
    info = sdk.tables.get("account")
    names = {table["LogicalName"] for table in sdk.tables.list(select=["LogicalName"])}
    columns = sdk.tables.list_columns(
        "account", select=["LogicalName"], filter="AttributeType eq 'Money'"
    )
    typed = sdk.tables.list_columns("account", typed=True)
    relationship = sdk.tables.get_relationship("account_primary_contact")

    assert info["entity_set_name"] == "accounts"
    assert {"account", "mobileofflineprofile", "principalobjectaccess"} <= names
    assert "revenue" in {column["LogicalName"] for column in columns}
    lengths = {column["LogicalName"]: column.get("MaxLength") for column in typed}
    assert (lengths["name"], lengths["revenue"]) == (160, None)
    assert relationship.relationship_schema_name == "account_primary_contact"


def test_tables_and_columns_are_made_and_deleted(sdk):
    made = sdk.tables.create("new_Gate", {"new_Code": "string", "new_Seats": "int"})
    sdk.tables.add_columns("new_Gate", {"new_Opened": "datetime"})
    gate_id = sdk.records.create("new_gate", {"new_code": "A1", "new_seats": 40})
    row = sdk.records.retrieve("new_gate", gate_id)
    sdk.tables.remove_columns("new_Gate", ["new_Seats"])
    after = sdk.records.retrieve("new_gate", gate_id)
    sdk.tables.delete("new_Gate")

    assert made["entity_set_name"] == "new_gates"
    assert (row["new_code"], row["new_seats"], row["new_opened"]) == ("A1", 40, None)
    assert "new_seats" not in after
    assert sdk.tables.get("new_Gate") is None


def test_refusals_arrive_as_the_sdks_errors(sdk):
    with pytest.raises(HttpError) as caught:
        sdk.records.create("account", {"nosuch": 1})

    assert caught.value.status_code == 400
    assert caught.value.details["service_error_code"] == "0x80048d19"
