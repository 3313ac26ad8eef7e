"""Values that are written in two ways, and are one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from replication.domain.same_values import same_value
from replication.domain.tables import ColumnType


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("guid", "AB-C", "ab-c"),
        ("decimal", "12.50", "12.5000"),
        ("decimal", 12.5, "12.5"),
        ("bigint", "7", 7),
        ("double", "INF", "INF"),
        ("datetime", "2026-11-22T01:02:03Z", "2026-11-22T01:02:03.0000000Z"),
        ("datetime", "2026-11-22T01:02:03.12Z", "2026-11-22T02:02:03.120+01:00"),
        ("choices", [2, 1], "1,2"),
        ("binary", "aGk=", "aGk"),
        ("double", 0.1, Decimal("0.10")),
        ("json", {"a": [0.1]}, {"a": [Decimal("0.1")]}),
        ("string", None, None),
    ],
)
def test_they_are_the_same(kind, left, right):
    assert same_value(ColumnType(kind), left, right)


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("string", "a", "A"),
        ("string", "", None),
        ("decimal", "12.5", "12.51"),
        ("decimal", "nonsense", "12.5"),
        ("datetime", "2026-11-22T01:02:03.1Z", "2026-11-22T01:02:03.1000001Z"),
        ("choices", [1], [1, 2]),
        ("choices", [Decimal("1E+999999999")], [1]),
        ("json", {"a": Decimal("1E+400")}, {"a": 1}),
    ],
)
def test_they_are_not(kind, left, right):
    assert not same_value(ColumnType(kind), left, right)
