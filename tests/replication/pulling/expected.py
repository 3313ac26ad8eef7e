"""What a row of the source is in staging, said naively and value by value."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.staging import columns, schema


def staged(conn: psycopg.Connection[Any], table: TableDef) -> dict[str, list[Any]]:
    """Rows as devices would get them, by key."""
    key = columns.row_id(table)
    if not table.has_guid_key:
        key = sql.Identifier(columns.ROW_KEY)
    values = sql.SQL(", ").join(columns.as_json(c, alias="t") for c in table.columns)
    found = conn.execute(
        sql.SQL("SELECT t.{}::text, json_build_array({})::text FROM {} t").format(
            key, values, schema.relation(table)
        )
    )
    return {row_key: json.loads(text) for row_key, text in found}


def at_source(
    table: TableDef, rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """The same of the source's rows."""
    return {
        _key(table, row): [_value(table, column, row) for column in table.columns]
        for row in rows.values()
    }


def _key(table: TableDef, row: Mapping[str, Any]) -> str:
    values = [_value(table, table.column(name), row) for name in table.key]
    if len(values) == 1:
        return values[0] if isinstance(values[0], str) else json.dumps(values[0])
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _value(table: TableDef, column: ColumnDef, row: Mapping[str, Any]) -> Any:
    if column.undeclared:
        declared = {c.source_name for c in table.columns if not c.undeclared}
        rest = {n: v for n, v in row.items() if n not in declared and "@" not in n}
        return rest or None
    value = row.get(column.source_name)
    if value is None:
        return None
    if column.type is ColumnType.DECIMAL:
        return _decimal(Decimal(value), column.scale)
    return _READ.get(column.type, lambda same: same)(value)


def _decimal(value: Decimal, scale: int | None) -> str:
    text = format(value, "f")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(scale or 0, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    whole = moment.replace(microsecond=0).isoformat()
    fraction = f"{moment.microsecond:06}".rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def _bytes(text: str) -> str:
    return base64.b64encode(base64.urlsafe_b64decode(text)).decode()


_READ: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.GUID: str.lower,
    ColumnType.STRING: lambda text: text.replace("\0", ""),
    ColumnType.BIGINT: str,
    ColumnType.DATETIME: _moment,
    ColumnType.BINARY: _bytes,
}
