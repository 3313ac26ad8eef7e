"""What each column type looks like in JSON, in COPY text and inside a key. Pure.

The functions that make COPY text take a whole column at a time: a page of 5,000
rows is formatted by list comprehensions, not by one call per value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from replication.domain.tables import ColumnType

Column = Sequence[Any]

NULL = "\\N"

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)

# One expression over many keys written one after the other, each 36 characters long.
_GUIDS = re.compile(rf"(?:{GUID.pattern})*+", re.I)

_Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# IEEE754Compatible=true makes a service send 64-bit numbers as strings.
_Int64Text = Annotated[str, Meta(pattern=r"^-?[0-9]{1,19}$")]
_NotFinite = Literal["NaN", "INF", "-INF"]
_Choices = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,10}( *, *-?[0-9]{1,10})*)?$")]
_Base64 = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/_-]*={0,2}$")]

_DATETIMES = list[Annotated[datetime, Meta(tz=True)] | None]
_DATES = list[date | None]

# What OData allows and msgspec does not: no seconds, years beyond 9999, leap
# seconds. PostgreSQL judges the rest. Words such as `now` and times without a zone
# never get as far: it would read those, each in its own way.
_DATETIME_SHAPE = re.compile(
    r"\d{4,6}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.(\d{1,12}))?)?(?:[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_DATE_SHAPE = re.compile(r"\d{4,7}-\d\d-\d\d", re.ASCII)

_BOOLEANS = {None: NULL, True: "t", False: "f"}
_NOT_FINITE = {None: NULL, "NaN": "NaN", "INF": "Infinity", "-INF": "-Infinity"}

# The backslash comes first, because the others bring new ones.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCodec:
    """How one column type is read and written.

    `wire` is the msgspec type of the JSON value. `all_fit` and `fits` say what
    `wire` cannot: the first asks a whole column at C speed, the second one value.
    """

    wire: Any
    copy: Callable[[Column], Sequence[str]]
    canonical: Callable[[Any], object]
    all_fit: Callable[[Column], bool] | None = None
    fits: Callable[[Any], bool] | None = None


def copy_text(values: Column) -> Sequence[str]:
    """Return COPY fields of strings; the characters that COPY needs are escaped."""
    joined = "".join([value for value in values if value])
    for character, escaped in _ESCAPES:
        if character in joined:
            values = [v if v is None else v.replace(character, escaped) for v in values]
    return [NULL if value is None else value for value in values]


def all_guids(keys: Column) -> bool:
    """Say whether every one of these values is a GUID; asked at C speed."""
    if None in keys or not set(map(len, keys)) <= {36}:
        return False
    return _GUIDS.fullmatch("".join(keys)) is not None


def _copy_decimal(values: Column) -> Sequence[str]:
    return [NULL if value is None else str(value) for value in values]


def _copy_bool(values: Column) -> Sequence[str]:
    return [_BOOLEANS[value] for value in values]


def _copy_numbers(values: Column) -> Sequence[str]:
    """Write integers and doubles by way of JSON, eight times as fast as `repr`.

    Doubles come out as the shortest text that reads back the same.
    """
    text = msgspec.json.encode(values).decode()[1:-1]
    if '"' in text:
        return [_NOT_FINITE.get(value, str(value)) for value in values]
    return text.replace("null", NULL).split(",")


def _copy_choices(values: Column) -> Sequence[str]:
    return [
        NULL if value is None else f"{{{','.join(map(str, _choices(value)))}}}"
        for value in values
    ]


def _choices(value: str) -> list[int]:
    return sorted({int(choice) for choice in value.split(",") if choice})


def _copy_binary(values: Column) -> Sequence[str]:
    return [
        NULL if value is None else f"\\\\x{_decoded(value).hex()}" for value in values
    ]


def _decoded(value: str) -> bytes:
    """Read base64 in either alphabet: the standard's is URL-safe, Dataverse's not."""
    plain = value.rstrip("=").translate(_URL_SAFE)
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


_URL_SAFE = str.maketrans("-_", "+/")


def _is_base64(value: str) -> bool:
    try:
        _decoded(value)
    except binascii.Error:
        return False
    return True


def _all_base64(values: Column) -> bool:
    return all(value is None or _is_base64(value) for value in values)


def _copy_json(values: Column) -> Sequence[str]:
    return copy_text([_json_text(value) for value in values])


def _json_text(value: Raw | None) -> str | None:
    text = b"" if value is None else bytes(value)
    return None if text in {b"", b"null"} else str(text, "utf-8")


def _all_datetimes(values: Column) -> bool:
    try:
        msgspec.convert(values, _DATETIMES)
    except msgspec.ValidationError:
        return False
    return True


def _is_datetime(value: str) -> bool:
    return _DATETIME_SHAPE.fullmatch(value) is not None


def _all_dates(values: Column) -> bool:
    try:
        msgspec.convert(values, _DATES)
    except msgspec.ValidationError:
        return False
    return True


def _is_date(value: str) -> bool:
    return _DATE_SHAPE.fullmatch(value) is not None


def _same(value: Any) -> object:
    return value


def _lower(value: str) -> object:
    return value.lower()


def _integer_text(value: int | str) -> object:
    return str(int(value))


def decimal_text(value: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros."""
    if not value.is_finite():
        return str(value)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def datetime_text(value: str) -> str:
    """Return a moment in UTC, `2026-11-22T01:02:03Z`, with up to 7 digits of fraction.

    What Python's calendar does not reach is returned as it came.
    """
    shape = _DATETIME_SHAPE.fullmatch(value)
    fraction = (shape[1] or "")[:7].rstrip("0") if shape else ""
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return value
    whole = moment.replace(microsecond=0, tzinfo=None).isoformat()
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def _base64_text(value: str) -> object:
    return base64.b64encode(_decoded(value)).decode("ascii")


def _json_value(value: Raw) -> object:
    return msgspec.json.decode(value)


_TEXT = TypeCodec(wire=str, copy=copy_text, canonical=_same)

CODECS: dict[ColumnType, TypeCodec] = {
    ColumnType.GUID: TypeCodec(wire=str, copy=copy_text, canonical=_lower),
    ColumnType.STRING: _TEXT,
    ColumnType.INT: TypeCodec(wire=_Int32, copy=_copy_numbers, canonical=_same),
    ColumnType.BIGINT: TypeCodec(
        wire=_Int64 | _Int64Text, copy=_copy_numbers, canonical=_integer_text
    ),
    ColumnType.BOOL: TypeCodec(wire=bool, copy=_copy_bool, canonical=_same),
    ColumnType.DOUBLE: TypeCodec(
        wire=float | _NotFinite, copy=_copy_numbers, canonical=_same
    ),
    ColumnType.DECIMAL: TypeCodec(
        wire=Decimal, copy=_copy_decimal, canonical=decimal_text
    ),
    ColumnType.DATETIME: TypeCodec(
        wire=str,
        copy=copy_text,
        canonical=datetime_text,
        all_fit=_all_datetimes,
        fits=_is_datetime,
    ),
    ColumnType.DATE: TypeCodec(
        wire=str, copy=copy_text, canonical=_same, all_fit=_all_dates, fits=_is_date
    ),
    ColumnType.TIME: _TEXT,
    ColumnType.DURATION: _TEXT,
    ColumnType.CHOICES: TypeCodec(
        wire=_Choices, copy=_copy_choices, canonical=_choices
    ),
    ColumnType.BINARY: TypeCodec(
        wire=_Base64,
        copy=_copy_binary,
        canonical=_base64_text,
        all_fit=_all_base64,
        fits=_is_base64,
    ),
    ColumnType.JSON: TypeCodec(wire=Raw, copy=_copy_json, canonical=_json_value),
}
