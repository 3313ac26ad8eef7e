"""Writes to an organization, and what it holds afterwards."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from replication.odata.writing import (
    PreconditionFailedError,
    Write,
    WriteRefusedError,
)
from sandbox.contoso.people import PEOPLE_BY_KEY, TEAMS
from tests.replication.odata.writing.edits import (
    ADA,
    HEDY,
    create,
    delete,
    row,
    update,
    version,
    writes_after,
)

OWN = PEOPLE_BY_KEY["waystation"].id


def _ada_owns() -> dict[str, str]:
    return {"ownerid@odata.bind": f"systemusers({PEOPLE_BY_KEY['ada'].id})"}


def refusal(source, *writes: Write, caller: UUID | None = ADA) -> WriteRefusedError:
    with pytest.raises(WriteRefusedError) as refused:
        source.writer().send(writes, caller=caller)
    return refused.value


def test_a_row_is_created_under_the_devices_key_in_the_users_name(
    source, contoso, defined
) -> None:
    key, before = str(uuid4()), version(contoso)

    source.writer().send([create(defined("task"), key, subject="Call")], caller=ADA)

    made = row(contoso, "tasks", key)
    assert (made["subject"], made["_ownerid_value"]) == (
        "Call",
        PEOPLE_BY_KEY["ada"].id,
    )
    (write,) = writes_after(contoso, before)
    assert (write["kind"], write["id"], write["by"], write["on_behalf"]) == (
        *("create", key, PEOPLE_BY_KEY["ada"].id),
        OWN,
    )
    assert write["values"]["subject"] == "Call"


def test_values_of_every_type_arrive_digit_by_digit(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Before", description="to be emptied")
    text = "Łódź \U0001f6a2\n" * 100
    values: dict[str, Any] = {
        "name": "",
        "description": None,
        "creditonhold": True,
        "industrycode": 3,
        "revenue": "922337203685476.5807",
        "numberofemployees": 1000000000,
        "address1_latitude": -89.99999,
        "address1_line1": text[:250],
        "lastonholdtime": "2026-11-22T01:02:03Z",
    }

    source.writer().send(
        [update(defined("account"), account["accountid"], **values)], caller=HEDY
    )

    found = row(contoso, "accounts", account["accountid"])
    assert (found["name"], found["description"]) == ("", None)
    assert found["industrycode"] == 3
    raw = contoso.get(f"accounts({account['accountid']})?$select=revenue").text
    assert "922337203685476.5807" in raw
    assert found["address1_latitude"] == -89.99999
    assert found["address1_line1"] == text[:250]
    assert found["lastonholdtime"] == "2026-11-22T01:02:03Z"


def test_a_text_of_a_megabyte_travels_whole(source, contoso, defined) -> None:
    contoso.control(
        "POST",
        "metadata",
        {
            "kind": "change_column",
            "table": "task",
            "name": "description",
            "max_length": 2_000_000,
        },
    )
    text, key = "\U0001f6a2" * 262_144, str(uuid4())

    source.writer().send([create(defined("task"), key, description=text)], caller=ADA)

    assert row(contoso, "tasks", key)["description"] == text


def test_lookups_are_written_by_their_navigation_properties(
    source, contoso, defined
) -> None:
    account = contoso.created("accounts", name="Ada's", **_ada_owns())
    task, contact = str(uuid4()), str(uuid4())
    target = account["accountid"]

    source.writer().send(
        [
            create(
                defined("task"),
                task,
                subject="About it",
                regardingobjectid=target,
                regardingobjectid__type="account",
            ),
            create(
                defined("contact"),
                contact,
                lastname="Within",
                parentcustomerid=target,
                parentcustomerid__type="account",
            ),
            update(defined("account"), target, primarycontactid=contact),
        ],
        caller=ADA,
    )

    found = row(contoso, "tasks", task)
    assert found["_regardingobjectid_value"] == target
    assert row(contoso, "contacts", contact)["_parentcustomerid_value"] == target
    assert row(contoso, "accounts", target)["_primarycontactid_value"] == contact


def test_lookups_are_emptied(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Ada's", **_ada_owns())
    contact = contoso.created(
        "contacts",
        lastname="Within",
        **{"parentcustomerid_account@odata.bind": f"accounts({account['accountid']})"},
        **_ada_owns(),
    )
    key = contact["contactid"]

    source.writer().send(
        [
            update(
                defined("contact"),
                key,
                parentcustomerid=None,
                parentcustomerid__type=None,
                preferredsystemuserid=None,
            )
        ],
        caller=ADA,
    )

    assert row(contoso, "contacts", key)["_parentcustomerid_value"] is None


def test_a_row_changes_hands_and_state(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="To hand over")
    team, key = TEAMS[0], account["accountid"]

    source.writer().send(
        [
            update(
                defined("account"),
                key,
                ownerid=team.id,
                ownerid__type="team",
                statecode=1,
                statuscode=2,
            )
        ],
        caller=HEDY,
    )

    found = row(contoso, "accounts", key)
    assert (found["_ownerid_value"], found["statecode"]) == (team.id, 1)


def test_an_update_needs_the_version_that_it_names(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="First")
    key, table = account["accountid"], defined("account")
    seen = source.writer().read(table, (key,))
    assert seen is not None

    source.writer().send(
        [update(table, key, name="Second", if_match=seen.etag)], caller=HEDY
    )
    with pytest.raises(PreconditionFailedError):
        source.writer().send(
            [update(table, key, name="Third", if_match=seen.etag)], caller=HEDY
        )

    assert row(contoso, "accounts", key)["name"] == "Second"


def test_a_row_that_is_gone_is_not_made_again(source, contoso, defined) -> None:
    key = str(uuid4())

    missing = refusal(source, update(defined("account"), key, name="Risen"))
    twice = refusal(source, delete(defined("account"), key))

    assert (missing.reason, twice.reason) == ("not_found", "not_found")
    assert contoso.get(f"accounts({key})").status_code == 404


def test_a_delete_takes_the_version_too(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Doomed")
    key, table = account["accountid"], defined("account")

    with pytest.raises(PreconditionFailedError):
        source.writer().send([delete(table, key, if_match='W/"1"')], caller=HEDY)
    source.writer().send(
        [delete(table, key, if_match=account["@odata.etag"])], caller=HEDY
    )

    assert contoso.get(f"accounts({key})").status_code == 404


def test_a_row_that_is_there_is_not_created_again(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="There")

    refused = refusal(
        source, create(defined("account"), account["accountid"], name="Other")
    )

    assert refused.reason == "exists"
    assert row(contoso, "accounts", account["accountid"])["name"] == "There"


def test_what_nobody_may_write_is_refused_before_anything_is_sent(
    source, contoso, defined
) -> None:
    task, key, before = defined("task"), str(uuid4()), version(contoso)

    for values, reason, column in (
        ({"versionnumber": "1"}, "not_writable", "versionnumber"),
        ({"createdon": "2026-01-01T00:00:00Z"}, "not_writable", "createdon"),
        ({"nosuch": 1}, "not_writable", "nosuch"),
        ({"percentcomplete": "1"}, "invalid", "percentcomplete"),
        ({"regardingobjectid": key}, "invalid", "regardingobjectid"),
        ({"regardingobjectid__type": "account"}, "invalid", "regardingobjectid__type"),
    ):
        refused = refusal(
            source, create(task, subject="Fine"), create(task, key, **values)
        )
        assert (refused.reason, refused.column, refused.index) == (reason, column, 1)
        assert refused.detail == ""
    assert writes_after(contoso, before) == []


def test_a_lookup_refers_only_to_tables_that_it_may(source, defined) -> None:
    values = {"regardingobjectid": str(uuid4()), "regardingobjectid__type": "role"}

    refused = refusal(source, create(defined("task"), **values))

    assert (refused.reason, refused.column) == ("not_writable", "regardingobjectid")


def test_a_lookup_of_a_missing_row_is_an_invalid_value(source, defined) -> None:
    values = {"parentcustomerid": str(uuid4()), "parentcustomerid__type": "account"}

    refused = refusal(source, create(defined("contact"), lastname="X", **values))

    assert refused.reason == "invalid"
