"""Whether two JSON values of a column are one value, written in two ways. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from replication.domain.tables import ColumnType


def same_value(kind: ColumnType, left: Any, right: Any) -> bool:
    """Compare as the type does; values that the type cannot read, as they stand."""
    if left is None or right is None:
        return left is right
    read = _READ.get(kind)
    if read is None:
        return bool(left == right)
    try:
        return bool(read(left) == read(right))
    except (
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        msgspec.MsgspecError,
    ):
        return bool(left == right)


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def _moment(value: str) -> tuple[datetime, str]:
    """The second, and its fraction: Python's own ends at microseconds."""
    whole, _, rest = value.upper().partition(".")
    digits = rest.rstrip("Z") if rest else ""
    zone = "+00:00"
    for sign in "+-":
        if sign in digits:
            digits, _, offset = digits.partition(sign)
            zone = sign + offset
    if rest:
        whole += zone
    moment = datetime.fromisoformat(whole.replace("Z", "+00:00"))
    return moment.astimezone(UTC), digits.rstrip("0")


def _choices(value: Any) -> list[int]:
    parts = value.split(",") if isinstance(value, str) else value
    # A fraction with a large exponent would be written out by `int`.
    return sorted({int(str(part)) for part in parts})


def _plain(value: Any) -> Any:
    """The same, with all fractions in one form."""
    return msgspec.json.decode(_encoder.encode(value))


_encoder = msgspec.json.Encoder(decimal_format="number")


def _base64(value: str) -> str:
    return value.translate(_URL_SAFE).rstrip("=")


_URL_SAFE = str.maketrans("-_", "+/")

_READ: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.GUID: str.lower,
    ColumnType.INT: _number,
    ColumnType.BIGINT: _number,
    ColumnType.DOUBLE: lambda value: float(
        {"INF": "inf", "-INF": "-inf"}.get(value, value)
    ),
    ColumnType.DECIMAL: _number,
    ColumnType.DATETIME: _moment,
    ColumnType.CHOICES: _choices,
    ColumnType.BINARY: _base64,
    ColumnType.JSON: _plain,
}
