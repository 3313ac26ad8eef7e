"""What a page of JSON becomes: rows, rows set aside, deletes."""

from __future__ import annotations

import json

import pytest

from replication.domain.pages import SetAside
from replication.domain.tables import ColumnType
from replication.odata.decoding import decoder_for
from replication.odata.errors import MalformedAnswerError
from replication.odata.rows import codec_for
from tests.replication.odata import factories
from tests.replication.odata.factories import ADA, GRACE, column, person, removed

CONTACTS = factories.contacts(
    column("numberofchildren", ColumnType.INT),
    column("birthdate", ColumnType.DATE),
    column("modifiedon", ColumnType.DATETIME),
    column("notes", ColumnType.JSON),
)
CUSTOMERS = factories.table(column("ID"), column("Name"), key=("ID",))


def decode(*items, table=CONTACTS, **members):
    return decoder_for(table).decode(factories.body(*items, **members))


def keys(decoded, table=CONTACTS):
    return [codec_for(table).key(row) for row in decoded.rows]


def test_a_row_keeps_the_place_in_which_it_arrived_even_when_it_comes_twice():
    decoded = decode(person(ADA, version=1), person(GRACE), person(ADA, version=2))

    assert keys(decoded) == [ADA, GRACE, ADA]
    assert [codec_for(CONTACTS).version(row) for row in decoded.rows] == ["1", "1", "2"]


def test_a_key_in_capitals_is_the_same_key():
    assert keys(decode(person(ADA.upper()), removed(GRACE.upper()))) == [ADA]
    assert decode(removed(GRACE.upper())).deletes == [GRACE]


def test_a_member_that_was_not_sent_is_null():
    [row] = decode({"contactid": ADA, "versionnumber": 1}).rows

    assert codec_for(CONTACTS).copy_lines([row]) == (
        f"{ADA}\t\\N\t1\t\\N\t\\N\t\\N\t\\N\t1\n".encode()
    )


def test_links_of_both_versions_of_odata_are_found():
    old = decode(next_link="https://contoso.example/n")
    new = decode(**{"@deltaLink": "Customers?$deltatoken=8015"})

    assert (old.next_link, old.delta_link) == ("https://contoso.example/n", None)
    assert (new.next_link, new.delta_link) == (None, "Customers?$deltatoken=8015")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("numberofchildren", "two"),
        ("numberofchildren", 2.5),
        ("numberofchildren", 2**31),
        ("birthdate", "yesterday"),
        ("birthdate", 19900517),
        ("modifiedon", "now"),
        ("modifiedon", "2026-03-01T08:00:00"),
        ("fullname", {"first": "Ada"}),
    ],
)
def test_a_row_with_a_value_of_another_type_is_set_aside_and_the_others_stay(
    member, value
):
    decoded = decode(person(ADA, **{member: value}), person(GRACE))

    assert keys(decoded) == [GRACE]
    [aside] = decoded.set_aside
    assert (aside.key, aside.column) == (ADA, member)


def test_the_reason_never_holds_the_value():
    decoded = decode(person(birthdate="secret-1"), person(fullname=["secret-2"]))

    reasons = " ".join(aside.reason for aside in decoded.set_aside)
    assert len(decoded.set_aside) == 2
    assert "secret" not in reasons


@pytest.mark.parametrize("key", [None, "", "7", f"{ADA}x", 12, "{" + ADA + "}"])
def test_a_row_without_a_usable_key_is_set_aside(key):
    decoded = decode(person(key), person(GRACE))

    assert keys(decoded) == [GRACE]
    [aside] = decoded.set_aside
    assert (aside.key, aside.column) == (None, "contactid")


def test_a_row_without_its_version_is_set_aside():
    [aside] = decode(person(version=None)).set_aside

    assert aside == SetAside(
        key=ADA,
        column="versionnumber",
        reason="The row came without its version.",
    )


def test_a_key_too_long_for_an_index_is_set_aside():
    decoded = decode({"ID": "x" * 1025}, {"ID": "x" * 1024}, table=CUSTOMERS)

    assert len(decoded.rows) == 1
    assert [aside.column for aside in decoded.set_aside] == ["ID"]


def test_nul_is_taken_out_and_counted():
    notes = {"a\0": ["\0", "\\u0000"]}
    decoded = decode(person(name="A\0d\0a", notes=notes), person(GRACE))

    assert decoded.stripped_nuls == 4
    [ada, _] = codec_for(CONTACTS).copy_lines(decoded.rows).decode().splitlines()
    assert ada.split("\t")[1] == "Ada"
    document = ada.split("\t")[6].replace("\\\\", "\\")
    assert json.loads(document) == {"a": ["", "\\u0000"]}


def test_nul_is_taken_out_also_where_another_row_does_not_fit():
    decoded = decode(person(name="A\0da"), person(GRACE, numberofchildren="two"))

    assert decoded.stripped_nuls == 1
    assert keys(decoded) == [ADA]


def test_half_a_surrogate_pair_does_not_make_the_page_unreadable():
    body = factories.body(person(name="NAME"))

    decoded = decoder_for(CONTACTS).decode(
        body.replace(b"NAME", rb"\ud83d \ud83d\ude00 \\ud83d \udc00")
    )

    [row] = decoded.rows
    fields = codec_for(CONTACTS).copy_lines([row]).decode().split("\t")
    assert fields[1] == "\ufffd 😀 \\\\ud83d \ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b'{"value":[{"contactid":"2e45',
        b'{"value":[]}}',
        b'{"value":{}}',
        b'{"value":[7]}',
        b'{"value":null}',
        b"{}",
        b"[]",
        b"null",
        b'{"value":[],"@odata.nextLink":7}',
        b'{"value":[{"fullname":"\xff"}]}',
        b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"value":[{"notes":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_what_is_no_page_of_odata_is_refused(body):
    with pytest.raises(MalformedAnswerError):
        decoder_for(CONTACTS).decode(body)


def test_a_later_row_cancels_an_earlier_delete_of_its_key():
    decoded = decode(
        {"@removed": {}, "@id": "Customers('ADA')"},
        {"ID": "ADA", "Name": "Ada"},
        {"@removed": {}, "@id": "Customers('GRACE')"},
        table=CUSTOMERS,
    )

    assert keys(decoded, CUSTOMERS) == ["ADA"]
    assert decoded.deletes == ["GRACE"]


def test_a_row_with_a_version_outlives_a_delete_of_its_key_on_the_same_page():
    decoded = decode(person(ADA), removed(ADA), removed(GRACE))

    assert keys(decoded) == [ADA]
    assert decoded.deletes == [GRACE]


def test_a_composite_key_is_an_array_of_canonical_values():
    lines = factories.table(
        column("Order", ColumnType.GUID),
        column("Line", ColumnType.INT),
        column("At", ColumnType.DATETIME),
        column("Weight", ColumnType.DECIMAL),
        column("Number", ColumnType.BIGINT),
        key=("Order", "Line", "At", "Weight", "Number"),
    )
    row = {
        "Order": ADA.upper(),
        "Line": 2,
        "At": "2026-03-01T08:00:00.5000+02:00",
        "Weight": "1E+1",
        "Number": 9007199254740993,
    }

    [key] = keys(decode(row, table=lines), lines)

    assert key == (f'["{ADA}",2,"2026-03-01T06:00:00.5Z","10","9007199254740993"]')


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        (ColumnType.INT, 7, "7"),
        (ColumnType.BIGINT, "7", "7"),
        (ColumnType.BOOL, True, "true"),
        (ColumnType.STRING, "O'Neil\t1", "O'Neil\t1"),
        (ColumnType.DECIMAL, "1.50", "1.5"),
        (ColumnType.DATE, "2026-03-01", "2026-03-01"),
    ],
)
def test_a_single_key_is_its_value(kind, value, key):
    single = factories.table(column("ID", kind), key=("ID",))

    decoded = decode({"ID": value}, table=single)

    assert keys(decoded, single) == [key]


def test_a_lookup_brings_the_name_of_its_table():
    owned = factories.contacts(
        column("ownerid", ColumnType.GUID, source_name="_ownerid_value"),
        column("ownerid__type", source_name="_ownerid_value", from_annotation=True),
    )
    annotation = "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"
    row = person(**{"_ownerid_value": GRACE, annotation: "team"})

    [line] = codec_for(owned).copy_lines(decode(row, table=owned).rows).splitlines()

    assert line.decode() == f"{ADA}\tAda\t1\t{GRACE}\tteam\t1"


def test_members_that_were_not_asked_for_are_ignored():
    decoded = decode(person(**{"@odata.id": "contacts(1)", "nickname": {"x": [1]}}))

    assert keys(decoded) == [ADA]
