"""Every value comes out of the local database as the service sent it."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.device.errors import ProtocolError
from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    GRACE,
    complete,
    delta,
    download,
    model,
    rows,
    table,
)

TYPES = {
    "guid": st.uuids().map(str),
    "string": st.text(st.characters(codec="utf-8")),
    "int": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    "bool": st.booleans(),
    "double": st.sampled_from(
        ["NaN", "INF", "-INF", 0.1, 5e-324, 1.7976931348623157e308]
    )
    | st.floats(allow_nan=False, allow_infinity=False),
    "datetime": st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    "date": st.dates().map(str),
    "time": st.times().map(str),
    "duration": st.timedeltas().map(lambda span: f"PT{span.total_seconds()}S"),
    "choices": st.lists(st.integers(0, 2**31 - 1), unique=True).map(sorted),
    "binary": st.binary().map(lambda value: base64.b64encode(value).decode()),
    "json": st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=5,
    ),
}
ALL_TYPES = model("M1", table("account", **{f"a_{name}": name for name in TYPES}))
ROWS = st.tuples(*(st.none() | values for values in TYPES.values()))


@settings(deadline=None, max_examples=60)
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_all_types_round_trip_value_for_value(generated):
    keys = [f"{number:032x}" for number in range(len(generated))]
    with Store() as store:
        upserts = [[key, *row, "1"] for key, row in zip(keys, generated, strict=True)]

        store.apply(download(ALL_TYPES, *upserts), model=ALL_TYPES)

        stored = store.rows("account")
    names = ["id", *(f"a_{name}" for name in TYPES), "_version"]
    sent = {row[0]: dict(zip(names, row, strict=True)) for row in upserts}
    assert stored == sent
    assert [list(map(type, row.values())) for row in stored.values()] == [
        list(map(type, row.values())) for row in sent.values()
    ]


def test_a_whole_number_that_is_a_double_is_read_back_as_a_double():
    document = model("M1", table("account", weight="double"))
    store = Store()

    store.apply(download(document, [ADA, 3, "1"]), model=document)

    assert repr(store.rows("account")[ADA]["weight"]) == "3.0"


def test_not_a_number_is_not_nothing():
    document = model("M1", table("account", weight="double"))
    store = Store()
    store.apply(
        download(document, [ADA, "NaN", "1"], [GRACE, None, "1"]), model=document
    )

    known = store.rows("account", where="weight IS NOT NULL")

    assert list(known) == [ADA]


def test_a_decimal_keeps_its_scale():
    document = model("M1", table("account", revenue="decimal"))
    store = Store()

    store.apply(download(document, [ADA, "12.5000", "1"]), model=document)

    stored = store.rows("account")[ADA]["revenue"]
    assert (stored, Decimal(str(stored))) == ("12.5000", Decimal("12.5"))


def test_a_type_that_is_not_known_yet_is_kept_as_it_came():
    document = model("M1", table("account", place="point"))
    store = Store()

    store.apply(download(document, [ADA, {"x": 1, "y": [2]}, "1"]), model=document)

    assert store.rows("account")[ADA]["place"] == {"x": 1, "y": [2]}


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("string", 5),
        ("bigint", 5),
        ("decimal", 1.5),
        ("guid", True),
        ("int", "5"),
        ("int", True),
        ("int", 1.0),
        ("int", 2**70),
        ("bool", 1),
        ("bool", "true"),
        ("double", "lots"),
        ("double", True),
        ("choices", 5),
        ("choices", "[5]"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(type_name, value):
    document = model("M1", table("account", value=type_name))

    with pytest.raises(ProtocolError):
        Store().apply(download(document, [ADA, value, "1"]), model=document)


@pytest.mark.parametrize(
    ("type_name", "value", "key"),
    [("int", 5, "5"), ("bigint", "5", "5"), ("string", "[1]", "[1]")],
)
def test_a_single_key_column_is_the_key_as_a_string(type_name, value, key):
    document = model("M1", table("account", key=("id",), id=type_name))
    store = Store()
    store.apply(download(document, [value, "1"]), model=document)
    keys = list(store.rows("account"))

    store.apply([delta(document), rows("account", deletes=[key]), complete("k2")])

    assert (keys, store.rows("account")) == ([key], {})


def test_the_key_of_several_columns_is_a_json_array_of_their_values():
    document = model("M1", table("account", key=("a", "b"), a="int", b="string"))
    store = Store()

    store.apply(download(document, [5, 'x"é', "1"]), model=document)

    assert [json.loads(key) for key in store.rows("account")] == [[5, 'x"é']]
