"""Addresses: alternate keys, single properties, and collections below a row."""

from __future__ import annotations

from uuid import uuid4

import pytest


def test_an_alternate_key_names_a_row_and_belongs_to_one(contoso):
    number = f"O'{uuid4()}"[:20]
    quoted = number.replace("'", "''")
    path = f"accounts(accountnumber='{quoted}')"

    created = contoso.api("PATCH", path, {"name": "First"})
    taken = contoso.api("POST", "accounts", {"name": "x", "accountnumber": number})
    again = contoso.api("PATCH", path, {"name": "Only new"}, If_None_Match="*")
    contoso.api("PATCH", path, {"name": "Second"})
    row = contoso.get(path).json()

    assert created.status_code == 204
    assert (taken.status_code, taken.json()["error"]["code"]) == (412, "0x80060892")
    assert again.status_code == 412
    assert (row["accountnumber"], row["name"]) == (number, "Second")
    assert contoso.api("DELETE", path).status_code == 204


@pytest.mark.parametrize("key", ["name='x'", "accountnumber=", "not-a-guid", "a='b',"])
def test_what_is_no_key_is_refused(contoso, key):
    assert contoso.get(f"accounts({key})").status_code == 400


def test_a_row_can_be_referred_to_by_alternate_key(contoso):
    parent = contoso.created("accounts", name="Above", accountnumber=str(uuid4())[:20])
    bind = f"/accounts(accountnumber='{parent['accountnumber']}')"

    child = contoso.created(
        "accounts", **{"name": "Below", "parentaccountid@odata.bind": bind}
    )

    assert child["_parentaccountid_value"] == parent["accountid"]


def test_one_property_is_set_and_emptied(contoso):
    row = contoso.created("accounts", name="One by one", fax="1")
    path = f"accounts({row['accountid']})"

    put = contoso.api("PUT", f"{path}/name", {"value": "Renamed"})
    emptied = contoso.api("DELETE", f"{path}/fax")

    after = contoso.get(path).json()
    assert (put.status_code, emptied.status_code) == (204, 204)
    assert (after["name"], after["fax"]) == ("Renamed", None)


def test_rows_are_created_in_and_linked_to_a_collection(contoso):
    account = contoso.created("accounts", name="Gathering")
    path = f"accounts({account['accountid']})"
    other = contoso.created("contacts", lastname="Linked")
    contact = f"contacts({other['contactid']})"

    contoso.api("POST", f"{path}/contact_customer_accounts", {"lastname": "Made"})
    reference = f"{path}/contact_customer_accounts/$ref"
    contoso.api("POST", reference, {"@odata.id": contact})
    gathered = contoso.rows(f"{path}/contact_customer_accounts?$orderby=lastname")
    contoso.api("DELETE", f"{reference}?$id={contact}")
    left = contoso.rows(f"{path}/contact_customer_accounts")

    assert [row["lastname"] for row in gathered] == ["Linked", "Made"]
    assert [row["lastname"] for row in left] == ["Made"]
