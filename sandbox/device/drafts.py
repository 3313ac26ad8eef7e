"""Turn what the user wants into the body of a mutation, or say why it cannot be. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sandbox.device.edits import Body, Values
from sandbox.device.errors import EditError
from sandbox.device.model import VERSION_COLUMN, Table
from sandbox.device.overlay import is_of_type
from sandbox.device.reading import Row
from sandbox.device.values import compact_json

TYPE_SUFFIX = "__type"
# What id, sequence and the commas of a request add to a body.
ENVELOPE_BYTES = 256


@dataclass(frozen=True, slots=True)
class Create:
    """A row that the user makes; its key is made up if it is a single GUID."""

    table: str
    values: Values
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    table: str
    key: str
    values: Values


@dataclass(frozen=True, slots=True)
class Delete:
    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Link:
    """Two rows that belong together, or no longer do."""

    table: str
    key: str
    relationship: str
    other_key: str
    is_removed: bool = field(default=False, kw_only=True)


Wish = Create | Update | Delete | Link


def created(table: Table, wish: Create) -> Body:
    """Return the body of a create.

    :raises EditError: the key is missing, a value does not fit.
    """
    values = {n: v for n, v in wish.values.items() if n not in table.primary_key}
    return {
        "op": "create",
        "table": table.name,
        "key": wish.key if wish.key is not None else _new_key(table, wish.values),
        "values": _checked(table, values, seen=None),
    }


def updated(table: Table, wish: Update, *, seen: Row, version: str | None) -> Body:
    """Return the body of an update of a row as the user has `seen` it.

    `version` is the server's; None: the row is the device's own so far.

    :raises EditError: a value does not fit.
    """
    if not wish.values:
        raise EditError("An edit changes at least one column.")
    values = _checked(table, wish.values, seen=seen)
    base_values = {name: seen[name] for name in values if name in seen}
    body = {"op": "update", "table": table.name, "key": wish.key, "values": values}
    if version is None:
        return body
    return {**body, "base_version": version, "base_values": base_values}


def deleted(wish: Delete, *, version: str | None) -> Body:
    body = {"op": "delete", "table": wish.table, "key": wish.key}
    return body if version is None else {**body, "base_version": version}


def linked(wish: Link) -> Body:
    return {
        "op": "disassociate" if wish.is_removed else "associate",
        "table": wish.table,
        "key": wish.key,
        "relationship": wish.relationship,
        "other_key": wish.other_key,
    }


def insist_on_text(body: Body) -> None:
    """:raises EditError: a text in it is no Unicode."""
    try:
        compact_json(body).encode()
    except UnicodeEncodeError as error:
        raise EditError("A text holds half of a character.") from error


def size_of(body: Body) -> int:
    """Return how much a mutation takes of a request."""
    return len(compact_json(body).encode()) + ENVELOPE_BYTES


def _checked(table: Table, values: Values, *, seen: Row | None) -> Values:
    for name, value in values.items():
        _check_value(table, name, value)
    return {**values, **_other_halves(table, values, seen=seen)}


def _check_value(table: Table, name: str, value: object) -> None:
    if name not in table.columns or name == VERSION_COLUMN:
        raise EditError(f"{table.name} has no column {name}.")
    if name in table.primary_key:
        raise EditError(f"{name} is the key of {table.name} and cannot change.")
    is_number = not isinstance(value, float) or math.isfinite(value)
    if not is_number or not is_of_type(table, name, value):
        type_name = table.columns[name].type
        raise EditError(f"{value!r} is no {type_name}, as {name} needs it.")


def _other_halves(table: Table, values: Values, *, seen: Row | None) -> Values:
    """A lookup that may lead to several tables is written as both its columns."""
    halves: dict[str, object] = {}
    for name, value in values.items():
        kind = name + TYPE_SUFFIX
        if kind in table.columns and kind not in values:
            halves[kind] = None if value is None else _held(seen, kind, of=name)
        whole = name.removesuffix(TYPE_SUFFIX)
        if whole != name and whole in table.columns and whole not in values:
            halves[whole] = None if value is None else _held(seen, whole, of=name)
    return halves


def _held(seen: Row | None, name: str, *, of: str) -> object:
    value = None if seen is None else seen.get(name)
    if value is None:
        raise EditError(f"{of} needs {name} beside it.")
    return value


def _new_key(table: Table, values: Values) -> str:
    if len(table.primary_key) == 1:
        (column,) = table.key_columns
        if column.type == "guid":
            return _guid(values.get(column.name) or uuid4())
    missing = [name for name in table.primary_key if values.get(name) is None]
    if missing:
        raise EditError(f"A new row of {table.name} needs {', '.join(missing)}.")
    for name in table.primary_key:
        if not is_of_type(table, name, values[name]):
            raise EditError(f"{values[name]!r} cannot be the key {name}.")
    return table.key_of([values[name] for name in table.primary_key])


def _guid(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError as error:
        raise EditError(f"{value!r} is no GUID.") from error


def attached(wish: Mapping[str, object]) -> Body:
    return {"op": "file", **wish}
