"""How a row's key is written as one string, and read out of an OData id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.values import CODECS, GUID

# PostgreSQL refuses index entries of more than about 2,700 bytes, and with them
# the whole page.
KEY_LIMIT = 1024

# The parts of `Set(a=1,b='x')`: quoted strings hold commas and doubled quotes.
_PART = re.compile(
    r"(?:(?P<name>[^\W\d]\w*)=)?(?P<value>(?:[a-z]+)?'(?:[^']|'')*'|[^',()]*)(?:,|$)"
)
_QUOTED = re.compile(r"(?:guid|binary|duration)?'((?:[^']|'')*)'", re.S)
_PARENTHESES = re.compile(r"[\w.]+\((.*)\)/?", re.S)


class UnusableKeyError(ValueError):
    """A row or an id without a key by which the row could be stored."""

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def key_columns(table: TableDef) -> tuple[ColumnDef, ...]:
    return tuple(table.column(name) for name in table.key)


def key_text(columns: Sequence[ColumnDef], values: Sequence[Any]) -> str:
    """Return the key of PROTOCOL §5; a composite one is a JSON array without spaces.

    :raises UnusableKeyError: a part is missing, is no GUID, or all is too long.
    """
    parts = [
        _part(column, value) for column, value in zip(columns, values, strict=True)
    ]
    if len(parts) > 1:
        text = msgspec.json.encode(parts).decode()
    elif isinstance(parts[0], str):
        text = parts[0]
    else:
        text = msgspec.json.encode(parts[0]).decode()
    if len(text.encode()) > KEY_LIMIT:
        raise UnusableKeyError(columns[0].name, f"The key is over {KEY_LIMIT} bytes.")
    return text


def _part(column: ColumnDef, value: Any) -> object:
    if value is None or (value == "" and column.type is not ColumnType.STRING):
        raise UnusableKeyError(column.name, "The row came without its key.")
    if column.type is ColumnType.GUID and not GUID.fullmatch(value):
        raise UnusableKeyError(column.name, "The key is not a GUID.")
    if column.type is ColumnType.DECIMAL and column.scale is not None:
        return format(value, f".{column.scale}f")
    return CODECS[column.type].canonical(value)


def key_of_id(table: TableDef, link: str) -> str:
    """Return the key that an OData id names.

    Known forms: a bare value, `Set(value)`, `Set(a=1,b='x')`, relative or with the
    service's address in front, strings quoted and percent-encoded.

    :raises UnusableKeyError: it names no key of this table.
    """
    columns = key_columns(table)
    literals = _literals(columns, _inner(table, link))
    values = [
        _value(column, literal)
        for column, literal in zip(columns, literals, strict=True)
    ]
    return key_text(columns, values)


def _inner(table: TableDef, link: str) -> str:
    """Return what stands between the parentheses, decoded, or all of a bare value."""
    start = link.rfind(f"{table.entity_set}(")
    named = _PARENTHESES.search(link, max(start, 0))
    if named is not None:
        return unquote(named[1])
    if "/" in link:
        raise UnusableKeyError(None, "A deleted row's id names no key.")
    return unquote(link)


def _literals(columns: Sequence[ColumnDef], inner: str) -> list[str]:
    if len(columns) == 1 and "=" not in inner:
        return [inner]
    named: dict[str, str] = {}
    at = 0
    while at < len(inner):
        part = _PART.match(inner, at)
        if part is None or part.end() == at:
            break
        named[part["name"] or columns[0].source_name] = part["value"]
        at = part.end()
    if len(columns) == 1 and columns[0].source_name not in named:
        return [inner]
    try:
        return [named[column.source_name] for column in columns]
    except KeyError:
        raise UnusableKeyError(None, "A deleted row's id names another key.") from None


def _value(column: ColumnDef, literal: str) -> Any:
    """Read an OData literal as the value that JSON would have had."""
    quoted = _QUOTED.fullmatch(literal)
    text = quoted[1].replace("''", "'") if quoted else literal
    try:
        return _READERS.get(column.type, str)(text)
    except (ValueError, ArithmeticError):
        raise UnusableKeyError(
            column.name, f"A deleted row's id is no {column.type}."
        ) from None


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


_READERS: dict[ColumnType, Any] = {
    ColumnType.INT: int,
    ColumnType.BIGINT: int,
    ColumnType.BOOL: _boolean,
    ColumnType.DOUBLE: float,
    ColumnType.DECIMAL: Decimal,
}
