"""Blocks of rows as JSON, built by PostgreSQL; Python passes the bytes on.

Each query returns what one chunk of an answer needs: the upserts and deletes as
JSON text without the outer brackets, how many there are, and how far it came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from replication.domain.tables import TableDef
from replication.staging import columns, schema
from replication.visibility import entries
from replication.visibility.access import TableAccess
from replication.visibility.checkpoints import Grant
from replication.visibility.entries import Arrays, Probe

Walk = Literal["scan", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of an answer for one table."""

    upserts: bytes = b""
    deletes: bytes = b""
    upsert_count: int = 0
    delete_count: int = 0
    # Entries read; fewer than asked for means that there are no more.
    entries: int = 0
    # Last row id (scan and drop) or rev (delta) that was read.
    reached: Any = None

    @property
    def rows(self) -> int:
        return self.upsert_count + self.delete_count

    @property
    def size(self) -> int:
        return len(self.upserts) + len(self.deletes)


def walked(
    conn: psycopg.Connection,
    table: TableAccess,
    grants: Collection[Grant],
    *,
    state: Walk,
    rev: int,
    after: str | None,
    up_to: str | None,
    limit: int,
) -> Block:
    """The next rows of these grants in row id order.

    In `scan`: rows with a live entry of at most `rev`, as upserts. In `drop`: rows
    that the lost grants gave, as deletes unless still visible; tombstones since
    `rev` count too, for the device may hold such a row.
    """
    if not grants:
        return Block()
    condition = (
        "e.live AND e.rev <= {}" if state == "scan" else "(e.live OR e.rev > {})"
    )
    query = (_SCANNED if state == "scan" else _DROPPED).format(
        ids=_row_ids(grants, sql.SQL(condition).format(rev), after, up_to, limit),
        visible=entries.visible(
            entries.probes(table.grants),
            sql.SQL("d.row_id"),
            arrays=entries.literals,
        ),
        **_names(table),
    )
    text, count, found, reached = _one(conn, query)
    if state == "scan":
        return Block(
            upserts=text or b"", upsert_count=count, entries=found, reached=reached
        )
    return Block(
        deletes=text or b"", delete_count=count, entries=found, reached=reached
    )


_SCANNED = sql.SQL(
    "WITH d AS MATERIALIZED ({ids})"
    " SELECT convert_to({upserts}, 'UTF8'), count(t.{row_id}), (SELECT count(*) FROM d),"
    " (SELECT row_id::text FROM d ORDER BY d.row_id DESC LIMIT 1)"
    " FROM d JOIN {relation} t ON t.{row_id} = d.row_id"
)
_DROPPED = sql.SQL(
    "WITH d AS MATERIALIZED ({ids}), v AS MATERIALIZED"
    " (SELECT d.row_id FROM d WHERE NOT {visible})"
    " SELECT convert_to({deletes}, 'UTF8'), count(v.row_id), (SELECT count(*) FROM d),"
    " (SELECT row_id::text FROM d ORDER BY d.row_id DESC LIMIT 1) FROM v {keys}"
)


def changed(
    conn: psycopg.Connection,
    table: TableAccess,
    grants: Collection[Grant],
    *,
    since_rev: int,
    limit: int,
) -> Block:
    """What became of the rows whose entries moved since, in rev order."""
    if not grants:
        return Block()
    query = changes(
        table,
        held=entries.probes(frozenset(grants)),
        since=sql.Literal(since_rev),
        limit=limit,
        arrays=entries.literals,
    )
    return changed_block(_one(conn, query))


def changes(
    table: TableAccess,
    *,
    held: Iterable[Probe],
    since: sql.Composable,
    limit: int,
    arrays: Arrays,
) -> sql.Composed:
    """A query for one row, which `changed_block` reads.

    Whether a row is sent or deleted is decided by what is visible now; whether
    the entry itself is live decides nothing. Rows are looked up one by one: there
    are few, whatever the planner believes.
    """
    return sql.SQL(
        "WITH m AS MATERIALIZED ({moved}), d AS (SELECT DISTINCT row_id FROM m),"
        " v AS MATERIALIZED (SELECT d.row_id, {visible} AS visible FROM d)"
        " SELECT convert_to(string_agg(t.content, ','), 'UTF8') AS upserts,"
        " count(t.content) AS upsert_count,"
        " convert_to({deletes} FILTER (WHERE t.content IS NULL), 'UTF8') AS deletes,"
        " count(*) FILTER (WHERE t.content IS NULL) AS delete_count,"
        " (SELECT count(*) FROM m) AS found, (SELECT max(rev) FROM m) AS reached"
        " FROM v LEFT JOIN LATERAL (SELECT {row} AS content FROM {relation} t"
        " WHERE v.visible AND t.{row_id} = v.row_id LIMIT 1) t ON true {keys}"
    ).format(
        moved=entries.moved(held, since=since, limit=sql.Literal(limit), arrays=arrays),
        visible=entries.visible(
            entries.probes(table.grants), sql.SQL("d.row_id"), arrays=arrays
        ),
        row=json_row(table),
        deletes=_json_keys(table.source.definition),
        keys=_key_join(table),
        **_places(table),
    )


# What `changes` returns.
CHANGED = (
    "upserts",
    "upsert_count",
    "deletes",
    "delete_count",
    "found",
    "reached",
)


def changed_block(row: Sequence[Any]) -> Block:
    upserts, upsert_count, deletes, delete_count, found, reached = row
    return Block(
        upserts=upserts or b"",
        upsert_count=upsert_count,
        deletes=deletes or b"",
        delete_count=delete_count,
        entries=found,
        reached=reached,
    )


def digest(conn: psycopg.Connection, table: TableAccess) -> tuple[int, str]:
    """Number of visible rows, and the sum of PROTOCOL §6 as 16 hex digits."""
    if not table.grants:
        return 0, f"{0:016x}"
    query = sql.SQL(
        "SELECT count(*), coalesce(sum(('x' || substr(md5({key} || ':' ||"
        " t.{version}::text), 1, 16))::bit(64)::bigint::numeric), 0)"
        " FROM ({ids}) d JOIN {relation} t ON t.{row_id} = d.row_id"
    ).format(
        ids=_visible_ids(table.grants),
        key=_key_text(table.source.definition),
        version=sql.Identifier(columns.VERSION),
        **_places(table),
    )
    number, total = _one(conn, query)
    return number, f"{int(total) % 2**64:016x}"


def expected(conn: psycopg.Connection, table: TableAccess) -> int:
    """How many rows a first download will bring; counted in the feed alone."""
    if not table.grants:
        return 0
    query = sql.SQL("SELECT count(*) FROM ({}) d").format(_visible_ids(table.grants))
    (number,) = _one(conn, query)
    return int(number)


def _visible_ids(grants: Collection[Grant]) -> sql.Composed:
    union = entries.of_each_rule(
        grants,
        lambda feed, condition: sql.SQL(
            "SELECT e.row_id FROM {} e WHERE e.live AND {}"
        ).format(feed, condition),
    )
    return sql.SQL("SELECT DISTINCT row_id FROM ({}) u").format(union)


def _row_ids(
    grants: Collection[Grant],
    wanted: sql.Composable,
    after: str | None,
    up_to: str | None,
    limit: int,
) -> sql.Composed:
    bounds = [sql.SQL("true")]
    if after is not None:
        bounds.append(sql.SQL("e.row_id > {}::uuid").format(after))  # type: ignore[arg-type]  # Composed is Composable
    if up_to is not None:
        bounds.append(sql.SQL("e.row_id <= {}::uuid").format(up_to))  # type: ignore[arg-type]  # Composed is Composable
    between = sql.SQL(" AND ").join(bounds)
    union = entries.of_each_rule(
        grants,
        lambda feed, condition: sql.SQL(
            "(SELECT DISTINCT e.row_id FROM {} e WHERE {} AND {} AND {}"
            " ORDER BY e.row_id LIMIT {})"
        ).format(feed, between, wanted, condition, limit),
    )
    return sql.SQL(
        "SELECT DISTINCT row_id FROM ({}) u ORDER BY row_id LIMIT {}"
    ).format(union, limit)


def _places(table: TableAccess) -> dict[str, sql.Composable]:
    definition = table.source.definition
    return {
        "relation": schema.relation(definition),
        "row_id": columns.row_id(definition),
    }


def _names(table: TableAccess) -> dict[str, sql.Composable]:
    definition = table.source.definition
    return {
        **_places(table),
        "upserts": _json_rows(table),
        "deletes": _json_keys(definition),
        "keys": _key_join(table),
    }


# PostgreSQL passes at most 100 arguments to a function.
_ARGUMENTS = 90


def _json_rows(table: TableAccess) -> sql.Composed:
    return sql.SQL("string_agg({}, ',')").format(json_row(table))


def json_row(table: TableAccess) -> sql.Composed:
    """An expression for a row `t` of the table as a JSON array."""
    values = [columns.as_json(column, alias="t") for column in table.columns]
    values.append(sql.SQL("t.{}::text").format(sql.Identifier(columns.VERSION)))
    arrays = [
        sql.SQL("json_build_array({})::text").format(sql.SQL(", ").join(group))
        for group in (
            values[i : i + _ARGUMENTS] for i in range(0, len(values), _ARGUMENTS)
        )
    ]
    row = arrays[0]
    for array in arrays[1:]:
        row = sql.SQL("left({}, -1) || ', ' || substr({}, 2)").format(row, array)
    return row


def _json_keys(table: TableDef) -> sql.SQL:
    if table.has_guid_key:
        return sql.SQL("""string_agg('"' || v.row_id || '"', ',')""")
    return sql.SQL("string_agg(to_json(rk.row_key)::text, ',')")


def _key_join(table: TableAccess) -> sql.Composable:
    if table.source.definition.has_guid_key:
        return sql.SQL("")
    return sql.SQL(
        "JOIN sync.row_key rk ON rk.source_id = {} AND rk.row_id = v.row_id"
    ).format(table.source.id)


def _key_text(table: TableDef) -> sql.Composable:
    if table.has_guid_key:
        return sql.SQL("t.{}::text").format(columns.row_id(table))
    return sql.SQL("t.{}").format(sql.Identifier(columns.ROW_KEY))


def _one(conn: psycopg.Connection, query: sql.Composed) -> tuple[Any, ...]:
    # Binary results hand bytea over as it is.
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(query).fetchone()
    assert row is not None
    return row
