"""Rows that are associated and parted, by relationships of either kind."""

from __future__ import annotations

import pytest

from replication.odata.writing import Write, WriteRefusedError
from sandbox.contoso.people import PEOPLE_BY_KEY, TEAMS
from tests.replication.odata.writing.edits import HEDY, row

TEAM, USER = TEAMS[0].id, PEOPLE_BY_KEY["niels"].id
MEMBERS = "teammembership_association"
CUSTOMERS = "contact_customer_accounts"


def pair(table, op, key, relationship, other) -> Write:
    return Write(
        table=table, op=op, key=(key,), relationship=relationship, other_key=(other,)
    )


def members(contoso) -> set[str]:
    path = f"teams({TEAM})/{MEMBERS}?$select=systemuserid"
    return {found["systemuserid"] for found in contoso.rows(path)}


@pytest.mark.parametrize("side", ["team", "systemuser"])
def test_many_to_many_from_either_side_and_repeatedly(
    source, contoso, defined, side
) -> None:
    keys = (TEAM, USER) if side == "team" else (USER, TEAM)
    writer, table = source.writer(), defined(side)
    together = pair(table, "associate", keys[0], MEMBERS, keys[1])
    apart = pair(table, "disassociate", keys[0], MEMBERS, keys[1])

    for _ in range(2):
        writer.send([together], caller=HEDY)
    assert USER in members(contoso)
    for _ in range(2):
        writer.send([apart], caller=HEDY)
    assert USER not in members(contoso)


@pytest.mark.parametrize("side", ["account", "contact"])
def test_one_to_many_from_either_side(source, contoso, defined, side) -> None:
    account = contoso.created("accounts", name="Around")["accountid"]
    contact = contoso.created("contacts", lastname="Within")["contactid"]
    keys = (account, contact) if side == "account" else (contact, account)
    writer, table = source.writer(), defined(side)

    writer.send([pair(table, "associate", keys[0], CUSTOMERS, keys[1])], caller=HEDY)
    assert row(contoso, "contacts", contact)["_parentcustomerid_value"] == account
    writer.send([pair(table, "disassociate", keys[0], CUSTOMERS, keys[1])], caller=HEDY)
    assert row(contoso, "contacts", contact)["_parentcustomerid_value"] is None


def test_pairs_are_part_of_groups(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Around")["accountid"]
    contact = contoso.created("contacts", lastname="Within")["contactid"]

    source.writer().send(
        [
            pair(defined("account"), "associate", account, CUSTOMERS, contact),
            pair(defined("team"), "associate", TEAM, MEMBERS, USER),
        ],
        caller=HEDY,
    )

    assert row(contoso, "contacts", contact)["_parentcustomerid_value"] == account
    assert USER in members(contoso)


def test_a_relationship_that_is_none_is_refused(source, defined) -> None:
    write = pair(defined("team"), "associate", TEAM, "nosuch", USER)

    with pytest.raises(WriteRefusedError) as refused:
        source.writer().send([write], caller=HEDY)

    assert refused.value.reason == "invalid"
    assert "nosuch" in str(refused.value)
