"""Writes to an organization, and what it holds afterwards."""

from __future__ import annotations

from decimal import Decimal
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


def test_a_user_may_no_more_than_at_the_source(source, contoso, defined) -> None:
    foreign = contoso.created("accounts", name="Not Ada's")

    refused = refusal(
        source, update(defined("account"), foreign["accountid"], name="Ada's")
    )

    assert refused.reason == "not_permitted"


def test_whoever_is_unknown_or_disabled_may_nothing(source, defined) -> None:
    for caller in (uuid4(), UUID(PEOPLE_BY_KEY["dorothy"].object_id)):
        alone = refusal(source, create(defined("task"), subject="x"), caller=caller)
        assert alone.reason == "not_permitted"


def test_a_secured_column_is_written_by_whom_it_is_open_to(
    source, contoso, defined
) -> None:
    account = contoso.created("accounts", name="Ada's", **_ada_owns())
    write = update(defined("account"), account["accountid"], creditlimit="7.5000")

    refused = refusal(source, write)
    source.writer().send([write], caller=HEDY)

    assert refused.reason == "not_writable"
    found = row(contoso, "accounts", account["accountid"])
    assert Decimal(str(found["creditlimit"])) == Decimal("7.5")


def test_reading_back_shows_what_the_user_may_not_see(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Ada's", creditlimit=12.5, **_ada_owns())
    path = f"accounts({account['accountid']})?$select=creditlimit"

    found = source.writer().read(defined("account"), (account["accountid"],))

    barbara = PEOPLE_BY_KEY["barbara"].object_id
    assert contoso.get(path, CallerObjectId=barbara).json()["creditlimit"] is None
    assert found is not None
    assert found.values["creditlimit"] == "12.5000"
    assert found.values["ownerid__type"] == "systemuser"
    assert found.version == str(found.values["versionnumber"])
    assert found.etag == account["@odata.etag"]
    assert (found.key, len(found.page.rows)) == (account["accountid"], 1)


def test_a_row_that_is_not_there_is_read_as_none(source, defined) -> None:
    writer = source.writer()

    assert writer.read(defined("account"), (str(uuid4()),)) is None
    assert writer.read(defined("account"), ("no key",)) is None


def test_a_group_is_done_as_a_whole_or_not_at_all(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Ada's", **_ada_owns())
    task, before = str(uuid4()), version(contoso)

    refused = refusal(
        source,
        create(defined("task"), task, subject="Undone"),
        update(defined("account"), account["accountid"], name="Undone"),
        update(defined("account"), str(uuid4()), name="Missing"),
    )

    assert (refused.index, refused.reason) == (2, "not_found")
    assert contoso.get(f"tasks({task})").status_code == 404
    assert writes_after(contoso, before) == []


def test_a_version_that_moved_on_names_its_place_in_the_group(
    source, contoso, defined
) -> None:
    account = contoso.created("accounts", name="Ada's", **_ada_owns())

    with pytest.raises(PreconditionFailedError) as failed:
        source.writer().send(
            [
                create(defined("task"), subject="Undone"),
                update(
                    defined("account"),
                    account["accountid"],
                    name="x",
                    if_match='W/"1"',
                ),
            ],
            caller=ADA,
        )

    assert failed.value.index == 1


def test_an_etag_with_a_line_end_becomes_no_header(source, contoso, defined) -> None:
    account = contoso.created("accounts", name="Safe", **_ada_owns())
    key, task = account["accountid"], create(defined("task"), subject="x")
    hostile = 'W/"1"\r\nMSCRM.BypassCustomPluginExecution: true'

    refused = refusal(
        source, task, update(defined("account"), key, name="x", if_match=hostile)
    )

    assert (refused.reason, refused.index) == ("invalid", 1)


def test_a_rule_of_the_organization_rejects_with_its_own_words(
    source, contoso, defined
) -> None:
    rule = {
        "table": "task",
        "column": "subject",
        "pattern": "^Forbidden",
        "message": "Not in this company.",
    }
    contoso.control("POST", "objections", rule)
    task = create(defined("task"), subject="Forbidden fruit")

    alone = refusal(source, task)
    second = refusal(source, create(defined("task"), subject="Fine"), task)

    assert (str(alone), alone.reason) == ("Not in this company.", "other")
    assert (str(second), second.index) == ("Not in this company.", 1)


def test_a_duplicate_that_the_organization_found_exists(
    source, contoso, defined
) -> None:
    contoso.control(
        "POST",
        "objections",
        {
            "table": "contact",
            "kinds": ["create"],
            "status": 500,
            "code": "0x80040333",
            "message": "A duplicate was found.",
        },
    )

    refused = refusal(source, create(defined("contact"), lastname="Lovelace"))

    assert refused.reason == "exists"


def test_metadata_that_is_out_of_date_is_read_again_once(
    source, contoso, defined
) -> None:
    contoso.control(
        "POST",
        "metadata",
        {
            "kind": "add_column",
            "table": "task",
            "column": {"name": "ws_site", "type": "Lookup", "targets": ["account"]},
        },
    )
    account = contoso.created("accounts", name="Ada's", **_ada_owns())
    (task,) = source.load_tables(("task",))
    write = create(task, subject="There", ws_site=account["accountid"])
    source.writer().send([write], caller=ADA)
    contoso.control(
        "POST",
        "metadata",
        {"kind": "remove_column", "table": "task", "name": "ws_site"},
    )

    refused = refusal(source, create(task, ws_site=account["accountid"]))

    # The refusal is that of the metadata as it is now, and not the source's.
    assert (refused.reason, refused.column) == ("not_writable", "ws_site")


def _ada_owns() -> dict[str, str]:
    return {"ownerid@odata.bind": f"systemusers({PEOPLE_BY_KEY['ada'].id})"}
