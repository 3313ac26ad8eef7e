"""Lay edits over synced rows: what the user sees of a row. Pure.

Nothing that was typed vanishes: an edit of a row that the service took away shows as a
row of its own, with what was typed into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.device.edits import Edit, Values
from sandbox.device.model import VERSION_COLUMN, Table
from sandbox.device.reading import Row
from sandbox.device.values import encode_column


def overlaid(table: Table, synced: Row | None, edits: Iterable[Edit]) -> Row | None:
    """Return the row as the user sees it; None: there is no such row."""
    seen = synced
    for edit in edits:
        match edit.op:
            case "create" | "update" if edit.key is not None:
                base = _empty_row(table, edit.key) if seen is None else seen
                seen = {**base, **fitting(table, edit.values)}
            case "delete":
                seen = None
    return seen


def fitting(table: Table, values: Values) -> Values:
    """Return what of an edit the present model has room for.

    The edit may be older than the model: its column may be gone, or have another type.
    """
    return {
        name: value
        for name, value in values.items()
        if name in table.columns
        and name not in table.primary_key
        and name != VERSION_COLUMN
        and is_of_type(table, name, value)
    }


def is_of_type(table: Table, column: str, value: object) -> bool:
    try:
        encode_column(table.columns[column].codec, [value])
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _empty_row(table: Table, key: str) -> Row:
    empty: Mapping[str, object] = dict.fromkeys(table.columns)
    return {**empty, **dict(zip(table.primary_key, table.key_values(key), strict=True))}
