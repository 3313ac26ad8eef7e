"""How each type of the protocol is kept in SQLite and read back, value for value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Stored = str | int | float | None
NULL = type(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """`declaration` is the column's SQL type; `{}` in it is the quoted column."""

    declaration: str
    accepts: frozenset[type] | None
    encode: Callable[[object], Stored] | None = None
    decode: Callable[[Stored], object] | None = None


def compact_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_or_null(value: object) -> Stored:
    return None if value is None else compact_json(value)


def _from_json(stored: Stored) -> object:
    return None if stored is None else json.loads(str(stored))


def _to_double(value: object) -> Stored:
    match value:
        case None | "NaN":
            return value
        case "INF":
            return math.inf
        case "-INF":
            return -math.inf
        case int() | float():
            return float(value)
        case _:
            raise ValueError(f"{value!r} is not a double.")


def _from_double(stored: Stored) -> object:
    if stored == math.inf:
        return "INF"
    return "-INF" if stored == -math.inf else stored


def _from_bool(stored: Stored) -> object:
    return None if stored is None else bool(stored)


TEXT = Codec(declaration="TEXT", accepts=frozenset({str, NULL}))
INTEGER = Codec(declaration="INTEGER", accepts=frozenset({int, NULL}))
BOOLEAN = Codec(
    declaration="INTEGER CHECK ({} IN (0, 1))",
    accepts=frozenset({bool, NULL}),
    decode=_from_bool,
)
# SQLite turns a NaN into NULL, so that a REAL column could not keep it. ANY keeps
# the text 'NaN' beside real numbers, and sorts it after them as PostgreSQL does.
DOUBLE = Codec(
    declaration="ANY CHECK (typeof({0}) IN ('real', 'null') OR {0} = 'NaN')",
    accepts=frozenset({int, float, str, NULL}),
    encode=_to_double,
    decode=_from_double,
)
CHOICES = Codec(
    declaration="TEXT",
    accepts=frozenset({list, NULL}),
    encode=_json_or_null,
    decode=_from_json,
)
JSON = Codec(declaration="TEXT", accepts=None, encode=_json_or_null, decode=_from_json)

CODECS: Mapping[str, Codec] = {
    "guid": TEXT,
    "string": TEXT,
    "bigint": TEXT,
    "decimal": TEXT,
    "datetime": TEXT,
    "date": TEXT,
    "time": TEXT,
    "duration": TEXT,
    "binary": TEXT,
    "int": INTEGER,
    "bool": BOOLEAN,
    "double": DOUBLE,
    "choices": CHOICES,
    "json": JSON,
}


def codec_of(type_name: str) -> Codec:
    """Return how a type is kept; a type that is not known yet is kept as JSON."""
    return CODECS.get(type_name, JSON)


def encode_column(codec: Codec, values: Sequence[object]) -> Sequence[object]:
    """Turn one column of many rows into what SQLite stores.

    :raises ValueError: a value is not of the column's type.
    """
    # SQLite would silently turn 5 into '5' in a TEXT column. Asking for the set of
    # types costs far less than asking value by value.
    if codec.accepts is not None and not codec.accepts.issuperset(map(type, values)):
        wrong = next(value for value in values if type(value) not in codec.accepts)
        raise ValueError(f"a {type(wrong).__name__} is not of the column's type.")
    if codec.encode is None:
        return values
    return [codec.encode(value) for value in values]
