"""Cut stored rows down to what was selected, and annotate them as asked.

Stored JSON is never taken apart value by value on the way to a page: a row is
either passed on as it stands, or read into a struct of raw pieces, which costs
about 8 microseconds. Only labels of values (`FormattedValue`) take the slow way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from sandbox.contoso.filters import known_column
from sandbox.contoso.preferences import (
    FORMATTED,
    LOOKUP_NAME,
    NAVIGATION,
    Preferences,
)
from sandbox.contoso.schema import CHOICE_TYPES, ETAG, Column, Table
from sandbox.contoso.store import Row, decode, encode

_MOST_SHAPES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a client wants of the rows of a table."""

    table: Table
    # None means every column.
    selected: tuple[str, ...] | None
    target_names: bool = False
    labels: bool = False
    navigations: bool = False

    def context_columns(self) -> str:
        """Return what follows the entity set in `@odata.context`."""
        return "" if self.selected is None else f"({','.join(self.selected)})"

    def is_everything(self) -> bool:
        """Tell whether rows are wanted as they are stored."""
        if self.selected is None:
            return True
        wires = self.table.wires
        return len(self.selected) == len(wires) and wires.issuperset(self.selected)

    def columns(self) -> list[Column]:
        """Return the columns in stored order: the selected, the key, and currency."""
        if self.selected is None:
            return list(self.table.columns)
        wanted = {*self.selected, self.table.key}
        if any(self.table.by_wire[name].type == "Money" for name in self.selected):
            wanted.add("_transactioncurrencyid_value")
        return [column for column in self.table.columns if column.wire in wanted]


def shape_of(table: Table, *, select: str | None, preferences: Preferences) -> Shape:
    """:raises WebApiError: an unknown property is selected; 400."""
    names = [name.strip() for name in (select or "").split(",") if name.strip()]
    for name in names:
        known_column(table, name)
    return Shape(
        table=table,
        selected=tuple(dict.fromkeys(names)) or None,
        target_names=preferences.wants(LOOKUP_NAME),
        labels=preferences.wants(FORMATTED),
        navigations=preferences.wants(NAVIGATION),
    )


def shaped(shape: Shape, bodies: Sequence[bytes]) -> bytes:
    """Return the rows as the inner text of a JSON array."""
    joined = b",".join(bodies)
    if shape.labels or shape.navigations:
        rows = [labelled(shape, decode(body)) for body in bodies]
        return b",".join(map(encode, rows))
    if shape.is_everything() and shape.target_names:
        return joined
    decoder = _shapes.decoder(shape)
    return msgspec.json.encode(decoder.decode(b"[" + joined + b"]"))[1:-1]


def labelled(shape: Shape, row: Row) -> Row:
    """Return the row with its annotations before the values they belong to."""
    result: Row = {ETAG: row[ETAG]}
    for column in shape.columns():
        value = row[column.wire]
        if value is not None:
            if shape.labels and (label := _label(column, value)) is not None:
                result[f"{column.wire}@{FORMATTED}"] = label
            if shape.target_names and column.is_lookup:
                result[column.note] = row[column.note]
            if shape.navigations and column.is_lookup:
                result[f"{column.wire}@{NAVIGATION}"] = _navigation(
                    column, str(row[column.note])
                )
        result[column.wire] = value
    return result


class _Shapes:
    """Decoders for the shapes that were asked for lately."""

    def __init__(self) -> None:
        self._decoders: dict[Shape, msgspec.json.Decoder[Any]] = {}
        self._lock = threading.Lock()

    def decoder(self, shape: Shape) -> msgspec.json.Decoder[Any]:
        with self._lock:
            known = self._decoders.get(shape)
            if known is None:
                if len(self._decoders) >= _MOST_SHAPES:
                    self._decoders.clear()
                known = self._decoders[shape] = _decoder(shape)
            return known


_shapes = _Shapes()


def _decoder(shape: Shape) -> msgspec.json.Decoder[Any]:
    names = [ETAG]
    for column in shape.columns():
        if shape.target_names and column.is_lookup:
            names.append(column.note)
        names.append(column.wire)
    # An annotation is missing where a lookup is null; it is then left out again.
    missing = msgspec.Raw(b"")
    fields: list[tuple[str, type, msgspec.Raw]] = [
        (f"f{number}", msgspec.Raw, missing) for number in range(len(names))
    ]
    row = msgspec.defstruct(
        "Row",
        fields,
        rename={f"f{number}": name for number, name in enumerate(names)},
        omit_defaults=True,
        gc=False,
    )
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]  # Made above.


def _label(column: Column, value: object) -> str | None:
    if column.type == "MultiSelectPicklist":
        chosen = dict(column.options)
        return "; ".join(chosen[int(word)] for word in str(value).split(","))
    if column.type in CHOICE_TYPES or column.type == "Boolean":
        labels: Mapping[int, str] = dict(column.options)
        return labels.get(int(str(int(value)))) if isinstance(value, int) else None
    if column.type == "Money" and isinstance(value, Decimal | int):
        return f"€{value:,.2f}"
    if column.edm in {"Edm.Int32", "Edm.Int64"} and isinstance(value, int):
        return f"{value:,}"
    if column.type == "DateTime":
        text = str(value)
        day = f"{int(text[5:7])}/{int(text[8:10])}/{text[:4]}"
        return day if column.date_only else f"{day} {text[11:16]}"
    return None


def _navigation(column: Column, target: str) -> str:
    for navigation in column.navigations:
        if navigation.target == target:
            return navigation.name
    return column.name
