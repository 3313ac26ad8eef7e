"""Values as they are sent: nothing is rounded, and what is no such value is refused."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from replication.domain.tables import ColumnType
from replication.odata.wire_values import UnfitValueError, key_segment, wire_value
from tests.replication.odata.factories import ADA, column, table


def wire(kind: ColumnType, value: object, *, is_dataverse: bool = True) -> str:
    made = wire_value(column("it", kind), value, is_dataverse=is_dataverse)
    return msgspec.json.encode(made).decode()


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("decimal", "0.10000000000000000000000000001", None),
        ("decimal", "-922337203685477.5807", None),
        ("decimal", "12.5000", None),
        ("bigint", "9223372036854775807", None),
        ("bigint", "-9007199254740993", None),
        ("int", -2147483648, "-2147483648"),
        ("double", 0.1, "0.1"),
        ("double", "-INF", '"-INF"'),
        ("double", Decimal("1.50"), "1.50"),
        ("double", Decimal("-2E+300"), "-2E+300"),
        ("bool", False, "false"),
        ("string", "", '""'),
        ("string", 'Łódź \U0001f6a2 "\\\n', '"Łódź \U0001f6a2 \\"\\\\\\n"'),
        ("guid", ADA.upper(), f'"{ADA}"'),
        ("datetime", "2026-11-22T01:02:03.1234567Z", '"2026-11-22T01:02:03.1234567Z"'),
        ("date", "0001-01-01", '"0001-01-01"'),
        ("time", "07:59:59.999", '"07:59:59.999"'),
        ("duration", "P1DT2H", '"P1DT2H"'),
        ("choices", [9, 1], '"1,9"'),
        ("choices", [], "null"),
        ("binary", "+/8=", '"+/8="'),
        ("json", {"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_a_value_is_sent_as_it_was_written(kind, value, sent) -> None:
    assert wire(ColumnType(kind), value) == (value if sent is None else sent)


@pytest.mark.parametrize("kind", list(ColumnType))
def test_null_is_null_and_no_empty_value(kind) -> None:
    assert wire(kind, None) == "null"


def test_other_services_take_binary_in_the_alphabet_for_addresses() -> None:
    assert wire(ColumnType.BINARY, "+/8=", is_dataverse=False) == '"-_8="'


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("decimal", "1e3"),
        ("decimal", "NaN"),
        ("decimal", 0.1),
        ("decimal", "01"),
        ("bigint", "9223372036854775808"),
        ("bigint", "1.0"),
        ("int", 2147483648),
        ("int", True),
        ("int", "1"),
        ("double", "1"),
        ("double", Decimal("1E+400")),
        ("bool", 0),
        ("string", 1),
        ("guid", "nobody"),
        ("datetime", "yesterday"),
        ("datetime", "2026-11-22T01:02:03"),
        ("date", "2026-11-22\n"),
        ("choices", "1,9"),
        ("choices", [True]),
        ("binary", "***"),
    ],
)
def test_what_is_none_of_its_type_is_refused_by_column(kind, value) -> None:
    with pytest.raises(UnfitValueError) as refused:
        wire(ColumnType(kind), value)

    assert refused.value.column == "it"


def test_keys_stand_in_addresses_as_odata_writes_them() -> None:
    lines = table(
        column("Order", ColumnType.BIGINT), column("Line"), key=("Order", "Line")
    )
    guids = table(column("Id", ColumnType.GUID), key=("Id",))

    assert key_segment(lines, ("7", "O'Hara/1 & ü")) == (
        "(Order=7,Line='O''Hara%2F1%20%26%20%C3%BC')"
    )
    assert key_segment(guids, (ADA,)) == f"({ADA})"


@pytest.mark.parametrize("key", [(), ("1",), ("1", None), ("x", "1")])
def test_a_key_of_another_form_is_refused(key) -> None:
    lines = table(
        column("Order", ColumnType.BIGINT), column("Line"), key=("Order", "Line")
    )

    with pytest.raises(UnfitValueError):
        key_segment(lines, key)
