"""Keys and values of the played source's rows, up to the ends of every type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.integers(0, 9)
# Of rows that are rarely there.
RARE_NUMBERS = st.integers(8, 9)
STAMPS: Mapping[str, str] = {
    "Products": "ModifiedAt",
    "Customers": "LastUpdated",
    "People": "ModifiedOn",
    "Samples": "UpdatedAt",
}
# Not in every set may a row be without a time.
UNSTAMPED = frozenset({"Products", "Samples"})

_NAMES = st.sampled_from(("a", "b", "", None, "😀"))
_LONG = "x" * 1_000_000
_NINES = "9" * 38
_LEAST = "0." + "0" * 37 + "1"
_FAMILY = "\U0001f468‍\U0001f469‍\U0001f467"
_LAST_MOMENT = "9999-12-31T23:59:59.999999Z"
_BYTES = "AAEC_-8="
_TEXTS = (
    "",
    _LONG,
    _LONG,
    _LONG,
    _FAMILY,
    "a",
    "it's",
    "\t\\N\n",
    "😀",
    "ß é",
    "a\0b",
    "null",
)
_EXACT = (_NINES, "-" + _NINES, _LEAST, "0", "1.50", "-0.1", "1e3", None)
_SAMPLE = {
    "Text": st.sampled_from((None, *_TEXTS)),
    "Exact": st.sampled_from(_EXACT),
    "Whole": st.sampled_from((2**63 - 1, -(2**63), None, 0)),
    "Small": st.sampled_from((None, 2**31 - 1, -(2**31))),
    "Real": st.sampled_from(
        (None, 1.7976931348623157e308, 5e-324, 0.1, "INF", "-INF", "NaN")
    ),
    "Truth": st.sampled_from((None, True, False)),
    "Day": st.sampled_from(("0001-01-01", "9999-12-31", None, "2024-02-29")),
    "Moment": st.sampled_from(
        ("0001-01-01T00:00:00Z", _LAST_MOMENT, None, "2026-03-29T02:30:00.5+02:00")
    ),
    "Hour": st.sampled_from((None, "00:00:00", "23:59:59.9999999")),
    "Span": st.sampled_from((None, "PT0S", "-P10675199DT2H48M5.4775808S")),
    "Bytes": st.sampled_from((_BYTES, None, "")),
    "Guid": st.sampled_from((None, "2E451703-C686-E711-80E5-00155DB19E6D")),
    "Words": st.sampled_from(([], ["a", "", "😀"])),
}


def key(entity_set: str, number: int) -> dict[str, Any]:
    guid = f"2e451703-c686-e711-80e5-00155db19e{number:02x}"
    whole = -(2**63) + number if number % 2 else 2**63 - 1 - number
    keys: dict[str, dict[str, Any]] = {
        "Products": {"ID": number},
        "Customers": {"Code": "aA'b c,%ßz"[number] + str(number)},
        "OrderLines": {"Order": number // 3, "Line": "ab'"[number % 3]},
        "People": {"Id": guid},
        "Notes": {"Id": guid.upper()},
        "Samples": {"ID": whole},
    }
    return keys[entity_set]


@st.composite
def values(draw: st.DrawFn, entity_set: str) -> dict[str, Any]:
    match entity_set:
        case "Samples":
            # The others keep what they have.
            some = st.lists(st.sampled_from(list(_SAMPLE)), min_size=1, max_size=6)
            names = dict.fromkeys(draw(some))
            return {name: draw(_SAMPLE[name]) for name in names}
        case "OrderLines":
            exact = draw(st.sampled_from(_EXACT))
            return {"Amount": exact, "ProductID": draw(st.integers(0, 3))}
        case "Notes":
            more = draw(st.dictionaries(st.sampled_from(("X", "y z", "ü")), NUMBERS))
            return {"Text": draw(_NAMES), **more}
        case "Products":
            city = {"Street": None, "City": draw(_NAMES)}
            return {"Name": draw(_NAMES), "MadeAt": city, "Condition": "New"}
        case "People" if draw(st.booleans()):
            return {"@odata.type": "#Example.Shop.Employee", "Salary": "1.5"}
    return {"Name": draw(_NAMES)}


_EXTREMES: Mapping[str, Callable[[Any], bool]] = {
    "38 digits": lambda value: (
        isinstance(value, Decimal)
        and (abs(value) == Decimal(_NINES) or value == Decimal(_LEAST))
    ),
    "bigint at its limits": lambda value: value in {2**63 - 1, -(2**63)},
    "first day": lambda value: str(value).startswith("0001-01-01"),
    "last day": lambda value: str(value).startswith("9999-12-31"),
    "empty text": lambda value: value == "",
    "null": lambda value: value is None,
    "a million characters": lambda value: value == _LONG,
    "emoji": lambda value: value in {_FAMILY, "😀"},
    "binary": lambda value: value == _BYTES,
}


def extremes(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Say which ends of types stand in rows of the source."""
    found = [
        value
        for row in rows
        for value in row.values()
        if not isinstance(value, list | dict)
    ]
    return {name for name, is_one in _EXTREMES.items() if any(map(is_one, found))}
