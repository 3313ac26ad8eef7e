"""Turns a device's JSON values into those that a source takes, digit by digit. Pure.

Numbers of any size are written as the device wrote them: nothing passes through a
binary fraction. What has no such form is refused here, with the column named.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.keys import key_columns
from replication.odata.literals import literal
from replication.odata.values import GUID

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATETIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)
_TIME = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?", re.ASCII)
_DURATION = re.compile(
    r"[-+]?P(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?", re.ASCII
)
_NOT_FINITE = frozenset({"NaN", "INF", "-INF"})
_INT32 = 2**31


class UnfitValueError(ValueError):
    """A value that is none of its column's type."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def wire_value(column: ColumnDef, value: Any, *, is_dataverse: bool) -> Any:
    """Return what JSON says of a value; `Raw` where digits have to stay as they are.

    :raises UnfitValueError: the value is none of this column.
    """
    if value is None:
        return None
    try:
        made = _MAKERS[column.type](value)
    except (TypeError, ValueError, binascii.Error):
        raise UnfitValueError(column.name) from None
    if column.type is ColumnType.BINARY and not is_dataverse:
        # OData writes binary in the alphabet for URLs, Dataverse in the plain one.
        return str(made).replace("+", "-").replace("/", "_")
    if column.type is ColumnType.CHOICES and not made:
        return None
    return made


def key_segment(table: TableDef, key: tuple[Any, ...]) -> str:
    """Return `(…)` with a row's key, as it stands in addresses.

    :raises UnfitValueError: a value is none of its column.
    """
    return segment_of(key_columns(table), key)


def segment_of(columns: tuple[ColumnDef, ...], key: tuple[Any, ...]) -> str:
    """Return `(…)` with values of these columns.

    :raises UnfitValueError: a value is none of its column, or their number is another.
    """
    if len(columns) != len(key):
        raise UnfitValueError(columns[0].name)
    texts = [
        literal(column, _text(column, value))
        for column, value in zip(columns, key, strict=True)
    ]
    if len(columns) == 1:
        return f"({_quoted(texts[0])})"
    pairs = zip(columns, texts, strict=True)
    return f"({','.join(f'{c.source_name}={_quoted(text)}' for c, text in pairs)})"


def _quoted(text: str) -> str:
    return quote(text, safe="'")


def _text(column: ColumnDef, value: Any) -> str:
    made = wire_value(column, value, is_dataverse=True)
    if made is None:
        raise UnfitValueError(column.name)
    if isinstance(made, Raw):
        return bytes(made).decode()
    return made if isinstance(made, str) else msgspec.json.encode(made).decode()


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    # Half of a surrogate pair has no form in UTF-8.
    value.encode()
    return value


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def made(value: Any) -> str:
        if pattern.fullmatch(_string(value)) is None:
            raise ValueError
        return str(value)

    return made


def _guid(value: Any) -> str:
    if GUID.fullmatch(_string(value)) is None:
        raise ValueError
    return str(value).lower()


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not -_INT32 <= value < _INT32:
        raise ValueError
    return value


def _bigint(value: Any) -> Raw:
    text = _digits(value, _INTEGER)
    if not -(2**63) <= int(text) < 2**63:
        raise ValueError
    return Raw(text.encode())


def _decimal(value: Any) -> Raw:
    return Raw(_digits(value, _DECIMAL).encode())


def _digits(value: Any, pattern: re.Pattern[str]) -> str:
    """A number that PROTOCOL §5 has as text; a whole one may come as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if pattern.fullmatch(_string(value)) is None:
        raise ValueError
    return str(value)


def _double(value: Any) -> float | str | Raw:
    if isinstance(value, str):
        if value not in _NOT_FINITE:
            raise ValueError
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    if math.isinf(float(value)):
        raise ValueError
    return Raw(str(value).encode()) if isinstance(value, Decimal) else value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _choices(value: Any) -> str:
    if not isinstance(value, list | tuple):
        raise TypeError
    return ",".join(str(_int(choice)) for choice in sorted(set(value)))


def _binary(value: Any) -> str:
    return base64.b64encode(base64.b64decode(_string(value), validate=True)).decode()


def _json(value: Any) -> Any:
    return value


def undeclared_members(value: Any, *, column: ColumnDef) -> Mapping[str, Any]:
    """Return what an open type's row is to have beyond its declared columns.

    :raises UnfitValueError: it is no object, or has names that annotations have.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or any("@" in name for name in value):
        raise UnfitValueError(column.name)
    return value


_MAKERS: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.GUID: _guid,
    ColumnType.STRING: _string,
    ColumnType.INT: _int,
    ColumnType.BIGINT: _bigint,
    ColumnType.BOOL: _bool,
    ColumnType.DOUBLE: _double,
    ColumnType.DECIMAL: _decimal,
    ColumnType.DATETIME: _matching(_DATETIME),
    ColumnType.DATE: _matching(_DATE),
    ColumnType.TIME: _matching(_TIME),
    ColumnType.DURATION: _matching(_DURATION),
    ColumnType.CHOICES: _choices,
    ColumnType.BINARY: _binary,
    ColumnType.JSON: _json,
}
