"""How a column is stored in PostgreSQL, and how it is handed out as JSON."""

from __future__ import annotations

from psycopg import sql

from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.staging import names

_STORED_AS = {
    ColumnType.GUID: "uuid",
    ColumnType.STRING: "text",
    ColumnType.INT: "integer",
    ColumnType.BIGINT: "bigint",
    ColumnType.BOOL: "boolean",
    ColumnType.DOUBLE: "double precision",
    ColumnType.DECIMAL: "numeric",
    ColumnType.DATETIME: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.TIME: "text",
    ColumnType.DURATION: "text",
    ColumnType.CHOICES: "integer[]",
    ColumnType.BINARY: "bytea",
    ColumnType.JSON: "jsonb",
}

VERSION = "_version"
ROW_ID = "_row"
ROW_KEY = "_key"


def stored_type(column: ColumnDef) -> sql.SQL:
    return sql.SQL(_STORED_AS[column.type])


def version_type(table: TableDef) -> sql.SQL:
    """A version that orders rows is a number; any other is only compared."""
    return sql.SQL("bigint" if table.version_column else "text")


def quoted(name: str) -> sql.Identifier:
    return sql.Identifier(names.identifier(name))


def row_id(table: TableDef) -> sql.Identifier:
    """The uuid column that identifies a row in the feed."""
    return quoted(table.key[0]) if table.has_guid_key else sql.Identifier(ROW_ID)


def as_json(column: ColumnDef, *, alias: str) -> sql.Composable:
    """An expression for the canonical JSON value of PROTOCOL §5."""
    value = sql.SQL("{}.{}").format(sql.Identifier(alias), quoted(column.name))
    return _json_of(column).format(value=value)


def _json_of(column: ColumnDef) -> sql.SQL:
    if column.type is ColumnType.DECIMAL and column.scale is not None:
        # Padded to the column's scale; digits beyond it are the source's, and stay.
        least = str(int(column.scale))
        return sql.SQL(
            "round({value}, greatest(" + least + ", min_scale({value})))::text"
        )
    return _CANONICAL.get(column.type, sql.SQL("{value}"))


_CANONICAL = {
    ColumnType.BIGINT: sql.SQL("{value}::text"),
    ColumnType.DECIMAL: sql.SQL("trim_scale({value})::text"),
    # PostgreSQL writes "NaN" as the protocol does, but spells infinity out.
    ColumnType.DOUBLE: sql.SQL(
        "CASE WHEN abs({value}) = 'Infinity' THEN"
        " to_json(CASE WHEN {value} > 0 THEN 'INF' ELSE '-INF' END)"
        " ELSE to_json({value}) END"
    ),
    # Sessions run in UTC, so that the text needs only its T and Z.
    ColumnType.DATETIME: sql.SQL(
        "replace(({value} AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z'"
    ),
    ColumnType.BINARY: sql.SQL("replace(encode({value}, 'base64'), E'\\n', '')"),
}
