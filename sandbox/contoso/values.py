"""Check what a client writes, and bring it into the form in which it is stored."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from sandbox.contoso.addresses import resolve
from sandbox.contoso.errors import (
    INVALID_ARGUMENT,
    TOO_LONG,
    WebApiError,
    bad_payload,
)
from sandbox.contoso.schema import Column, Schema, Table
from sandbox.contoso.store import Row, wire_moment

BIND = "@odata.bind"


def read_payload(
    connection: sqlite3.Connection,
    schema: Schema,
    *,
    table: Table,
    payload: Mapping[str, object],
    references: Mapping[str, str],
) -> Row:
    """Return the wire values that the payload sets; what is computed is ignored.

    :raises WebApiError: an unknown property, an unfit value, a missing target.
    """
    found: Row = {}
    for name, value in payload.items():
        if name.endswith(BIND) or (name in table.binds and value is None):
            bound = name.removesuffix(BIND)
            value = None if value is None else references.get(str(value), value)
            found.update(_bound(connection, schema, table, bound, value))
        elif "@" not in name:
            found.update(_plain(table, name, value))
    return found


def _bound(
    connection: sqlite3.Connection,
    schema: Schema,
    table: Table,
    name: str,
    value: object,
) -> Row:
    known = table.binds.get(name)
    if known is None:
        raise bad_payload(
            f"An undeclared property '{name}' which only has property annotations in"
            " the payload but no property value was found in the payload."
        )
    column, navigation = known
    if not column.settable:
        return {}
    if value is None:
        return {column.wire: None, column.note: None}
    target, row_id = resolve(connection, schema, value)
    is_any = navigation.target == "principal"
    if target.name not in (column.targets if is_any else (navigation.target,)):
        raise bad_payload(f"'{name}' cannot refer to a {target.name}.")
    return {column.wire: row_id, column.note: target.name}


def _plain(table: Table, name: str, value: object) -> Row:
    column = table.by_wire.get(name)
    if column is None:
        raise bad_payload(
            f"Invalid property '{name}' was found in entity"
            f" 'Microsoft.Dynamics.CRM.{table.name}'."
        )
    if column.is_lookup:
        raise bad_payload(
            "CRM do not support direct update of Entity Reference properties,"
            " Use Navigation properties instead."
        )
    if not column.settable:
        return {}
    return {name: None if value is None else _checked(table, column, value)}


def _checked(table: Table, column: Column, value: object) -> object:
    try:
        checked = _READERS[column.edm](value)
    except (TypeError, ValueError):
        raise bad_payload(
            f"Error identified in Payload provided by the user for Entity"
            f" :'{table.entity_set}'. Cannot convert a value to target type"
            f" '{column.edm}' for '{column.wire}'."
        ) from None
    if isinstance(checked, str) and len(checked) > (column.max_length or len(checked)):
        raise WebApiError(
            400,
            TOO_LONG,
            "A validation error occurred. The length of the"
            f" '{column.name}' attribute of the '{table.name}' entity exceeded the"
            f" maximum allowed length of '{column.max_length}'.",
        )
    if column.type == "MultiSelectPicklist":
        return _several(table, column, str(checked))
    return _in_range(table, column, checked)


def _several(table: Table, column: Column, text: str) -> str | None:
    """Return options that are set together in order, once each."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdigit() for word in words):
        raise _out_of_range(table, column, text)
    for word in words:
        _in_range(table, column, int(word))
    return ",".join(map(str, sorted(set(map(int, words))))) or None


def _in_range(table: Table, column: Column, value: object) -> object:
    if column.options and column.type != "Boolean":
        is_allowed = value in dict(column.options)
    elif isinstance(value, int | Decimal) and column.minimum is not None:
        is_allowed = column.minimum <= value <= (column.maximum or value)
    else:
        is_allowed = True
    if not is_allowed:
        raise _out_of_range(table, column, value)
    if column.edm == "Edm.Decimal" and isinstance(value, int | Decimal):
        return Decimal(value).quantize(Decimal(1).scaleb(-(column.precision or 0)))
    return value


def _out_of_range(table: Table, column: Column, value: object) -> WebApiError:
    return WebApiError(
        400,
        INVALID_ARGUMENT,
        f"A validation error occurred. The value {value} of '{column.name}' on"
        f" record of type '{table.name}' is outside the valid range.",
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _number(value: object) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _guid(value: object) -> str:
    return str(uuid.UUID(_text(value)))


def _moment(value: object) -> str:
    at = datetime.fromisoformat(_text(value))
    return wire_moment(at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC))


def _date(value: object) -> str:
    return date.fromisoformat(_text(value)).isoformat()


_READERS: Mapping[str, Callable[[object], object]] = {
    "Edm.String": _text,
    "Edm.Int32": _whole,
    "Edm.Int64": _whole,
    "Edm.Decimal": _number,
    "Edm.Double": _number,
    "Edm.Boolean": _truth,
    "Edm.Guid": _guid,
    "Edm.DateTimeOffset": _moment,
    "Edm.Date": _date,
}


def compute(table: Table, row: Row, *, changed: set[str]) -> Row:
    """Return what the server derives from the values that changed."""
    return dict(_computed(table, row, changed))


def _computed(
    table: Table, row: Row, changed: set[str]
) -> Iterator[tuple[str, object]]:
    if "fullname" in table.by_wire and changed & {"firstname", "lastname"}:
        names = (row.get("firstname"), row.get("lastname"))
        yield "fullname", " ".join(str(name) for name in names if name) or None
    if "address1_composite" in table.by_wire and any(
        name.startswith("address1_") for name in changed
    ):
        yield "address1_composite", _composite(row)
    if changed & {"scheduledstart", "scheduledend"}:
        yield "scheduleddurationminutes", _minutes(row)
    for column in table.columns:
        has_base = column.type == "Money" and f"{column.name}_base" in table.by_wire
        if has_base and changed & {column.name, "exchangerate"}:
            yield f"{column.name}_base", _in_base(row, column)


def _composite(row: Row) -> str | None:
    parts = ("line1", "line2", "line3", "city", "country")
    lines = (row.get(f"address1_{part}") for part in parts)
    return "\n".join(str(line) for line in lines if line) or None


def _minutes(row: Row) -> int | None:
    start, end = row.get("scheduledstart"), row.get("scheduledend")
    if start is None or end is None:
        return None
    between = datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))
    return max(0, int(between.total_seconds() // 60))


def _in_base(row: Row, column: Column) -> Decimal | None:
    value = row.get(column.name)
    if value is None:
        return None
    rate = Decimal(str(row.get("exchangerate") or 1))
    return (Decimal(str(value)) / rate).quantize(Decimal("0.0001"))
