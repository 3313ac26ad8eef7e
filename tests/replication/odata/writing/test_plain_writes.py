"""Writes to a service that is no Dataverse: with ETags and without, and no batches."""

from __future__ import annotations

from uuid import uuid4

import pytest
import requests

from replication.odata.client import ODataSource
from replication.odata.writing import (
    PreconditionFailedError,
    UnknownOutcomeError,
    WriteRefusedError,
)
from tests.replication.odata.writing.edits import ADA, create, delete, update
from tests.sandbox.running import CONTROL


@pytest.fixture
def tables(service: ODataSource):
    names = ("products", "customers", "orderlines", "notes", "samples")
    return {table.name: table for table in service.load_tables(names)}


def test_a_row_comes_back_from_its_creation_as_it_is_read(service, tables) -> None:
    products, writer = tables["products"], service.writer()
    values = {"Name": "Łódź \U0001f6a2", "Price": "99999999999999.0001", "Tags": ["a"]}

    (sent,) = writer.send([create(products, (900001,), **values)], caller=ADA)

    found = writer.read(products, (900001,))
    assert found is not None
    assert sent.row is not None
    assert sent.row.values == found.values
    assert (sent.row.etag, sent.row.version) == (found.etag, found.version)
    assert found.values | values == found.values


def test_every_type_of_a_service_is_written(service, tables) -> None:
    values = {
        "Text": "",
        "Exact": "-0.00000000000000000000000000000000000001",
        "Whole": "-9223372036854775808",
        "Small": 2147483647,
        "Real": -1.5e300,
        "Truth": False,
        "Day": "2026-02-28",
        "Moment": "2026-11-22T01:02:03.5Z",
        "Hour": "07:59:59",
        "Span": "PT1H",
        "Bytes": "+/8=",
        "Guid": str(uuid4()),
        "Words": ["", "b"],
        "UpdatedAt": None,
    }
    writer, samples = service.writer(), tables["samples"]

    writer.send([create(samples, ("9007199254740993",), **values)], caller=None)

    found = writer.read(samples, ("9007199254740993",))
    assert found is not None
    written = {n: v for n, v in values.items() if n != "UpdatedAt"}
    assert found.values | written == found.values


def test_a_service_with_etags_guards_its_rows(service, tables) -> None:
    products, writer = tables["products"], service.writer()
    (made,) = writer.send([create(products, (900002,), Name="First")], caller=None)
    assert made.row is not None
    etag = made.row.etag

    writer.send(
        [update(products, (900002,), Name="Second", if_match=etag)], caller=None
    )
    with pytest.raises(PreconditionFailedError):
        writer.send(
            [update(products, (900002,), Name="Third", if_match=etag)], caller=None
        )
    with pytest.raises(PreconditionFailedError):
        writer.send([delete(products, (900002,))], caller=None)
    writer.send([update(products, (900002,), Name="Fourth")], caller=None)

    found = writer.read(products, (900002,))
    assert found is not None
    assert found.values["Name"] == "Fourth"


def test_a_service_without_etags_is_written_all_the_same(service, tables) -> None:
    customers, writer = tables["customers"], service.writer()
    key = ("O'Hara/1 & Söhne",)

    writer.send([create(customers, key, Name="First", Visits="1")], caller=None)
    writer.send([update(customers, key, Name="Second")], caller=None)

    found = writer.read(customers, key)
    assert found is not None
    assert (found.values["Name"], found.values["Visits"], found.etag) == (
        *("Second", "1"),
        None,
    )
    writer.send([delete(customers, key)], caller=None)
    assert writer.read(customers, key) is None


def test_a_row_that_is_gone_is_not_made_again(service, tables) -> None:
    customers, writer = tables["customers"], service.writer()

    with pytest.raises(WriteRefusedError) as refused:
        writer.send([update(customers, ("gone",), Name="Risen")], caller=None)

    assert refused.value.reason == "not_found"
    assert writer.read(customers, ("gone",)) is None


def test_composite_keys_are_no_hindrance(service, tables) -> None:
    lines, writer = tables["orderlines"], service.writer()
    key = ("900003", "L'1")

    writer.send([create(lines, key, Amount="1.50")], caller=None)
    with pytest.raises(WriteRefusedError) as refused:
        writer.send([create(lines, key, Amount="2")], caller=None)

    found = writer.read(lines, key)
    assert refused.value.reason == "exists"
    assert found is not None
    assert found.key == '["900003","L\'1"]'


def test_what_nobody_declared_is_written_beside_the_rest(service, tables) -> None:
    notes, writer, key = tables["notes"], service.writer(), (str(uuid4()),)

    write = create(notes, key, Text="x", undeclared={"Colour": "red"})
    writer.send([write], caller=None)

    found = writer.read(notes, key)
    assert found is not None
    assert found.values["undeclared"] == {"Colour": "red"}


def test_several_edits_together_are_refused(service, tables) -> None:
    customers = tables["customers"]

    with pytest.raises(WriteRefusedError) as refused:
        service.writer().send(
            [create(customers, ("a",)), create(customers, ("b",))], caller=None
        )

    assert refused.value.reason == "other"
    assert service.writer().read(customers, ("a",)) is None


def test_a_lost_answer_leaves_the_outcome_open(service, plain, tables) -> None:
    fault = {"path": "/Customers", "method": "POST", "applied": True, "hang_up": True}
    _control(plain, "POST", "faults", fault)

    with pytest.raises(UnknownOutcomeError):
        service.writer().send([create(tables["customers"], ("lost",))], caller=None)

    assert service.writer().read(tables["customers"], ("lost",)) is not None


def _control(plain, method, name, body) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.request(
            method,
            f"{plain.url}/_plain/{name}",
            json=body,
            headers=CONTROL,
            verify=str(plain.ca_file),
            timeout=20,
        )
