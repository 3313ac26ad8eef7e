"""What an organization lets a user write, what it hides, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from replication.odata.writing import (
    PreconditionFailedError,
    Write,
    WriteRefusedError,
)
from sandbox.contoso.people import PEOPLE_BY_KEY
from tests.replication.odata.writing.edits import (
    ADA,
    HEDY,
    create,
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
