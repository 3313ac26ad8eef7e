"""Writes values and conditions as OData's URLs have them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata.keys import key_columns

# Far below the length of a URL that servers refuse.
KEYS_PER_REQUEST = 20
_LONGEST_CONDITION = 1500

# Types of which any service can say which of two values is greater.
COMPARABLE = frozenset(
    {
        ColumnType.INT,
        ColumnType.BIGINT,
        ColumnType.STRING,
        ColumnType.DECIMAL,
        ColumnType.DATE,
        ColumnType.DATETIME,
    }
)


def literal(column: ColumnDef, value: str) -> str:
    """Return the literal of a value that is given in the form of PROTOCOL §5."""
    match column.type:
        case ColumnType.STRING:
            return "'" + value.replace("'", "''") + "'"
        case ColumnType.DURATION:
            return f"duration'{value}'"
        case ColumnType.BINARY:
            return "binary'" + value.replace("+", "-").replace("/", "_") + "'"
        case _:
            return value


def key_condition(table: TableDef, key: str) -> str:
    """Return the condition that one row meets, by its key as a string."""
    columns = key_columns(table)
    values = [key] if len(columns) == 1 else key_parts(key)
    terms = [
        f"{column.source_name} eq {literal(column, value)}"
        for column, value in zip(columns, values, strict=True)
    ]
    return " and ".join(terms)


def key_parts(key: str) -> list[str]:
    """Return the parts of a composite key as texts."""
    parts = msgspec.json.decode(key, type=list[str | int | float | bool])
    return [part if isinstance(part, str) else _text(part) for part in parts]


def _text(part: float | bool) -> str:
    return msgspec.json.encode(part).decode()


def conditions(table: TableDef, keys: Sequence[str]) -> Iterator[str]:
    """Return conditions that these rows meet, a few rows each."""
    terms: list[str] = []
    length = 0
    for key in keys:
        term = f"({key_condition(table, key)})"
        if terms and (
            len(terms) == KEYS_PER_REQUEST or length + len(term) > _LONGEST_CONDITION
        ):
            yield " or ".join(terms)
            terms, length = [], 0
        terms.append(term)
        length += len(quote(term))
    if terms:
        yield " or ".join(terms)


def after(columns: Sequence[ColumnDef], values: Sequence[str]) -> str:
    """Return the condition of rows that follow one in the order of the columns."""
    (first, *others), (value, *rest) = columns, values
    name, bound = first.source_name, literal(first, value)
    if not others:
        return f"{name} gt {bound}"
    behind = after(others, rest)
    return f"{name} gt {bound} or ({name} eq {bound} and ({behind}))"


def escaped(text: str) -> str:
    """Return text as the value of a query option."""
    return quote(text, safe="(),:'$*")
