"""Deleted rows are recognised, and named by the same key as when they lived."""

from __future__ import annotations

import pytest

from replication.domain.tables import ColumnType
from replication.odata.decoding import decoder_for
from tests.replication.odata import factories
from tests.replication.odata.factories import ADA, GRACE, column, person, removed

CONTACTS = factories.contacts()
BASE = "https://contoso.example/api/data/v9.2"


def customers(*kinds):
    names = ["ID", "Line"][: len(kinds)]
    columns = [column(name, kind) for name, kind in zip(names, kinds, strict=True)]
    return factories.table(*columns, column("Name"), key=tuple(names))


def decode(*items, table=CONTACTS):
    return decoder_for(table).decode(factories.body(*items))


@pytest.mark.parametrize(
    "item",
    [
        removed(ADA),
        {"@odata.context": f"{BASE}/$metadata#contacts/$deletedEntity", "id": ADA},
        {"@context": "#contacts/$deletedEntity", "id": f"contacts({ADA})"},
        {"@odata.context": "#contacts/$deletedEntity", "id": f"{BASE}/contacts({ADA})"},
        {"@odata.context": "#contacts/$deletedEntity", "@odata.id": f"contacts({ADA})"},
        {"@removed": {"reason": "deleted"}, "@id": f"contacts({ADA})"},
        {"@removed": {}, "@id": f"{BASE}/contacts(contactid={ADA})"},
        {"@removed": {"reason": "changed"}, "contactid": ADA},
        {"@removed": None, "contactid": ADA.upper()},
        {"@removed": {}, "id": ADA},
        # Key fields of another type than a row's: taken item by item.
        removed(ADA, fullname=7),
        {"@removed": {}, "contactid": ADA, "versionnumber": "none"},
    ],
)
def test_a_deleted_row_is_told_by_its_key(item):
    decoded = decode(item, person(GRACE))

    assert decoded.deletes == [ADA]
    assert len(decoded.rows) == 1
    assert decoded.set_aside == []


@pytest.mark.parametrize(
    ("kinds", "link", "key"),
    [
        ([ColumnType.STRING], "Customers('ANTON')", "ANTON"),
        ([ColumnType.STRING], "Customers('O''Neil')", "O'Neil"),
        ([ColumnType.STRING], "Customers('a%2Fb%20(c)')", "a/b (c)"),
        ([ColumnType.STRING], "Customers(ID='a=1,b')", "a=1,b"),
        ([ColumnType.STRING], "Customers('a=1,b')", "a=1,b"),
        ([ColumnType.STRING], f"{BASE}/Customers('ANTON')", "ANTON"),
        ([ColumnType.STRING], "ANTON", "ANTON"),
        ([ColumnType.INT], "Customers(7)", "7"),
        ([ColumnType.BIGINT], "Customers(-7)", "-7"),
        ([ColumnType.GUID], f"Customers(guid'{ADA}')", ADA),
        ([ColumnType.DATE], "Customers(2026-03-01)", "2026-03-01"),
        ([ColumnType.INT, ColumnType.INT], "Customers(ID=7,Line=2)", "[7,2]"),
        ([ColumnType.INT, ColumnType.INT], "Customers(Line=2,ID=7)", "[7,2]"),
        (
            [ColumnType.STRING, ColumnType.GUID],
            f"{BASE}/Customers(ID='a,Line=''b',Line={ADA.upper()})",
            f'["a,Line=\'b","{ADA}"]',
        ),
    ],
)
def test_an_id_is_read_as_the_key_that_it_stands_for(kinds, link, key):
    table = customers(*kinds)

    assert decode({"@removed": {}, "@id": link}, table=table).deletes == [key]


@pytest.mark.parametrize(
    ("kinds", "item"),
    [
        ([ColumnType.GUID], {"@removed": {}}),
        ([ColumnType.GUID], {"@removed": {}, "@id": "Customers(7)"}),
        ([ColumnType.INT], {"@removed": {}, "@id": "Customers('x')"}),
        ([ColumnType.INT], {"@removed": {}, "@id": "Customers/7"}),
        ([ColumnType.INT, ColumnType.INT], {"@removed": {}, "@id": "Customers(ID=7)"}),
        ([ColumnType.INT, ColumnType.INT], {"@removed": {}, "@id": "Customers(7)"}),
        ([ColumnType.BOOL], {"@removed": {}, "@id": "Customers(yes)"}),
    ],
)
def test_a_deleted_row_that_nobody_can_identify_is_set_aside(kinds, item):
    decoded = decode(item, table=customers(*kinds))

    assert decoded.deletes == []
    [aside] = decoded.set_aside
    assert aside.key is None


def test_a_context_alone_does_not_make_a_row_deleted():
    decoded = decode(person(**{"@odata.context": f"{BASE}/$metadata#contacts/$entity"}))

    assert len(decoded.rows) == 1
    assert decoded.deletes == []


@pytest.mark.parametrize("kind", ["$link", "$deletedLink"])
def test_changed_relationships_are_no_rows(kind):
    item = {"@odata.context": f"#Customers/{kind}", "source": "Customers('ALFKI')"}

    decoded = decode(item, person(GRACE))

    assert len(decoded.rows) == 1
    assert (decoded.deletes, decoded.set_aside) == ([], [])


def test_a_column_called_id_is_a_column():
    things = factories.table(column("id", ColumnType.INT), column("Name"), key=("id",))

    decoded = decode(
        {"id": 1, "Name": "one"},
        {"@removed": {}, "id": 2},
        {"@context": "#Customers/$deletedEntity", "id": "Customers(3)"},
        table=things,
    )

    assert len(decoded.rows) == 1
    assert decoded.deletes == ["2", "3"]
    assert decoded.set_aside == []


@pytest.mark.parametrize("value", [2**31, "two"])
@pytest.mark.parametrize("is_first", [True, False], ids=["delete first", "row first"])
def test_a_row_that_exists_again_but_cannot_be_stored_is_not_deleted(value, is_first):
    contacts = factories.contacts(column("numberofchildren", ColumnType.INT))
    again = person(ADA, numberofchildren=value)
    items = [removed(ADA), again] if is_first else [again, removed(ADA)]

    decoded = decode(*items, table=contacts)

    assert decoded.deletes == []
    assert [aside.key for aside in decoded.set_aside] == [ADA]
