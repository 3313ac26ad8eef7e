"""Values that rows had before a page changed them.

What a row reaches by a lookup depends on the lookup's old value as well as on its new
one. The old ones are read under the table's fence, before the merge.
"""

from __future__ import annotations

from collections.abc import Collection

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, schema

FORMER = sql.Identifier("former")


def prepare(conn: psycopg.Connection) -> None:
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS former"
        " (column_name text NOT NULL, value text NOT NULL) ON COMMIT DELETE ROWS"
    )


def note(
    conn: psycopg.Connection,
    table: TableDef,
    names: Collection[str],
    *,
    rows: sql.Composable,
) -> None:
    """Keep the values of these columns. `rows` is a query for row ids."""
    if not names:
        return
    values = sql.SQL(", ").join(
        sql.SQL("({}, t.{}::text)").format(sql.Literal(name), columns.quoted(name))
        for name in sorted(names)
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO former SELECT DISTINCT v.* FROM {relation} t"
            " CROSS JOIN LATERAL (VALUES {values}) v (column_name, value)"
            " WHERE t.{row_id} IN ({rows}) AND v.value IS NOT NULL"
        ).format(
            relation=schema.relation(table),
            values=values,
            row_id=columns.row_id(table),
            rows=rows,
        )
    )
