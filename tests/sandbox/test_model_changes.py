"""The model changes while the sandbox runs: columns and tables come, widen and go."""

from __future__ import annotations

import shutil

import pytest

from tests.sandbox.running import as_application, start
from tests.sandbox.test_tracking import assert_expired, load

ANNOTATIONS = 'odata.include-annotations="*"'


def change(client, kind, table="account", **more):
    answer = client.control("POST", "metadata", {"kind": kind, "table": table, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["metadata_version"]


def column(client, name, cast="", table="account"):
    path = f"EntityDefinitions(LogicalName='{table}')/Attributes(LogicalName='{name}')"
    return client.get(path + cast)


def test_a_new_column_is_there_at_once_in_rows_and_metadata(alone):
    old = alone.created("accounts", name="Before")

    change(
        alone,
        "add_column",
        column={"name": "cr_grade", "type": "String", "max_length": 5, "default": "b"},
    )
    new = alone.created("accounts", name="After", cr_grade="a")

    rows = {row["accountid"]: row for row in alone.rows("accounts")}
    assert rows[old["accountid"]]["cr_grade"] == "b"
    assert rows[new["accountid"]]["cr_grade"] == "a"
    assert rows[old["accountid"]]["@odata.etag"] == old["@odata.etag"]
    assert column(alone, "cr_grade").json()["AttributeType"] == "String"
    assert 'Name="cr_grade"' in alone.get("$metadata").text


def test_every_change_raises_the_version_and_ends_the_tables_tokens(alone):
    accounts, contacts = load(alone), load(alone, "contacts")
    spec = {"name": "cr_any", "type": "Integer"}

    first = change(alone, "add_column", column=spec)
    second = change(alone, "remove_column", name="cr_any")

    body = alone.get("accounts?$top=1", Prefer=ANNOTATIONS).json()
    told = body["@Microsoft.Dynamics.CRM.globalmetadataversion"]
    assert int(told) == second == first + 1
    assert_expired(alone.get(accounts))
    assert alone.get(contacts).status_code == 200


def test_a_wider_column_takes_longer_values(alone):
    long = "x" * 300
    before = alone.api("POST", "accounts", {"name": long}).status_code

    change(alone, "change_column", name="name", max_length=400)

    assert before == 400
    assert alone.created("accounts", name=long)["name"] == long
    cast = "/Microsoft.Dynamics.CRM.StringAttributeMetadata"
    assert column(alone, "name", cast).json()["MaxLength"] == 400


def test_a_number_becomes_a_wider_number(alone):
    change(
        alone,
        "change_column",
        name="numberofemployees",
        type="Decimal",
        precision=2,
    )

    row = alone.created("accounts", name="Part time", numberofemployees=2.5)
    assert row["numberofemployees"] == 2.5
    assert column(alone, "numberofemployees").json()["AttributeType"] == "Decimal"


def test_a_removed_column_is_gone_and_comes_back_as_another(alone):
    spec = {"name": "cr_code", "type": "String"}
    change(alone, "add_column", column=spec)
    row = alone.created("accounts", name="Coded", cr_code="x")
    first = column(alone, "cr_code").json()["MetadataId"]

    change(alone, "remove_column", name="cr_code")
    without = alone.get(f"accounts({row['accountid']})").json()
    refused = alone.get("accounts?$select=cr_code").status_code
    change(alone, "add_column", column=spec)

    again = alone.get(f"accounts({row['accountid']})?$select=cr_code").json()
    assert "cr_code" not in without
    assert refused == 400
    assert again["cr_code"] is None
    assert column(alone, "cr_code").json()["MetadataId"] != first


def test_a_renamed_column_keeps_its_values(alone):
    row = alone.created("accounts", name="Faxed", fax='12"fax":3')

    change(alone, "rename_column", name="fax", to="cr_fax")
    change(alone, "rename_column", name="preferredsystemuserid", to="cr_favourite")

    after = alone.get(f"accounts({row['accountid']})").json()
    assert after["cr_fax"] == '12"fax":3'
    assert "fax" not in after
    assert "_cr_favourite_value" in after


def test_a_new_table_has_rows_tracking_and_privileges(alone):
    change(
        alone,
        "add_table",
        "cr_gate",
        columns=[
            {"name": "cr_name", "type": "String"},
            {"name": "cr_account", "type": "Lookup", "targets": ["account"]},
        ],
    )
    account = alone.created("accounts", name="With gates")
    bind = {"cr_account@odata.bind": f"accounts({account['accountid']})"}
    link = load(alone, "cr_gates?$select=cr_name")

    gate = alone.created("cr_gates", cr_name="A1", **bind)

    assert gate["_cr_account_value"] == account["accountid"]
    assert [row["cr_name"] for row in alone.get(link).json()["value"]] == ["A1"]
    table = alone.get("EntityDefinitions(LogicalName='cr_gate')").json()
    assert table["IsCustomEntity"]
    names = {one["Name"] for one in table["Privileges"]}
    assert "prvReadcr_gate" in names


def test_a_table_is_removed_and_an_entity_set_renamed(alone):
    change(alone, "add_table", "cr_gate")
    change(alone, "remove_table", "cr_gate")
    change(alone, "change_table", "product", entity_set="wares", label="Ware")

    assert alone.get("cr_gates").status_code == 404
    assert alone.get("products").status_code == 404
    assert alone.rows("wares")


def test_changes_are_still_there_after_a_start(made, tmp_path):
    shutil.copytree(made, tmp_path / "kept")
    first = start(tmp_path / "kept", scale=30)
    client = as_application(first)
    spec = {"name": "cr_kept", "type": "Boolean", "default": True}
    version = change(client, "add_column", column=spec)
    first.stop()

    second = start(tmp_path / "kept", scale=30)
    rows = as_application(second).rows("accounts?$select=cr_kept&$top=1")
    overview = as_application(second).control("GET", "").json()
    second.stop()

    assert rows[0]["cr_kept"] is True
    assert overview["metadata_version"] == version


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "explode", "table": "account"},
        {"kind": "add_column", "table": "unicorn", "column": {"name": "x"}},
        {"kind": "add_column", "table": "account", "column": {"name": "name"}},
        {"kind": "add_column", "table": "account", "column": {"name": "X-1"}},
        {"kind": "remove_column", "table": "account", "name": "statecode"},
        {"kind": "remove_column", "table": "account", "name": "nosuch"},
        {
            "kind": "change_column",
            "table": "account",
            "name": "name",
            "type": "Integer",
        },
        {"kind": "remove_table", "table": "account"},
        {"kind": "add_table", "table": "account"},
        {"kind": "change_table", "table": "account", "tracked": False},
    ],
)
def test_a_change_that_does_not_fit_is_refused(contoso, body):
    answer = contoso.control("POST", "metadata", body)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_table_is_made_available_offline_over_the_web_api(alone):
    path = "EntityDefinitions(LogicalName='product')"
    offline = alone.api("PUT", path, {"IsAvailableOffline": False})
    untracked = alone.api("PUT", path, {"ChangeTrackingEnabled": False})
    privileges = "EntityDefinitions(LogicalName='privilege')"
    alone.api("PUT", privileges, {"ChangeTrackingEnabled": True})

    assert offline.status_code == 204
    assert alone.get(path).json()["IsAvailableOffline"] is False
    assert untracked.json()["error"]["code"] == "0x800609A1"
    assert load(alone, "privileges")
