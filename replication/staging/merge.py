"""Bring one page of changes into `data.<table>`, inside the page's transaction.

What changed is left in the temporary table `touched`, from which the feed is
derived once the clock is locked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import psycopg
from psycopg import sql

from replication.domain.pages import Page, SetAside
from replication.domain.tables import TableDef
from replication.source import RowCodec
from replication.staging import columns, former, quarantine, schema
from replication.staging.registry import SourceTable

_INCOMING = sql.Identifier("incoming")
# A statement around a MERGE of which nobody asks what it did.
_FORGOTTEN = sql.SQL("SELECT count(*) FROM merged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a page did to the table."""

    written: int
    # How many of the written rows were not there before.
    inserted: int
    deleted: int
    unchanged: int

    @property
    def touched(self) -> int:
        return self.written + self.deleted


def prepare(conn: psycopg.Connection, table: TableDef) -> None:
    """Create the connection's temporary tables, once before the first page; again
    after the table's definition changed."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.incoming")
    conn.execute(
        sql.SQL(
            "CREATE TEMP TABLE {incoming} ({columns}) ON COMMIT DELETE ROWS"
        ).format(incoming=_INCOMING, columns=schema.column_definitions(table))
    )
    prepare_touched(conn)


def prepare_touched(conn: psycopg.Connection) -> None:
    """Create the list of rows whose feed entries are to be looked at."""
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS touched (row_id uuid NOT NULL,"
        " changed boolean NOT NULL, inserted boolean NOT NULL DEFAULT false)"
        " ON COMMIT DELETE ROWS"
    )


def merge_page(
    conn: psycopg.Connection,
    source: SourceTable,
    page: Page,
    codec: RowCodec,
    *,
    watched: Collection[str] = (),
) -> Merged:
    """Write what is new in the page; rows that staging has already stay as they are.

    The newest version of a row wins. Rows that cannot be stored are set aside and
    their previous version stays. Former values of the `watched` columns are noted.
    """
    table = source.definition
    newest = newest_rows(page.rows, codec, numbered=table.version_column is not None)
    # What a full load meets is kept for its sweep; what a page of several brings,
    # for deletes that later pages of the run may name.
    is_run = source.is_complete or source.is_repaired
    notes_seen = source.loading == "full" or (is_run and not page.is_last)
    if source.copies or source.fills:
        changed = list(newest.values())
    else:
        changed = _news(conn, source, newest, codec, notes_seen=notes_seen)
    written, inserted, unfit = _write(conn, source, changed, codec, watched)
    refused = [*page.set_aside, *unfit]
    quarantine.note(
        conn, source.id, refused=refused, stored=newest, nuls=page.stripped_nuls
    )
    if notes_seen:
        known = [row.key for row in refused if row.key]
        written_anyway = newest if source.fills else ()
        _note_seen(conn, source, [*known, *page.met, *written_anyway])
    deleted = _delete(conn, table, page.deletes, watched)
    if page.deletes:
        quarantine.forget(conn, source.id, page.deletes)
    return Merged(
        written=written,
        inserted=inserted,
        deleted=deleted,
        unchanged=len(newest) - len(changed) + len(page.met),
    )


def newest_rows(
    rows: Sequence[Any], codec: RowCodec, *, numbered: bool
) -> dict[str, Any]:
    """Return one row per key: the one with the highest version, else the last."""
    keys = [codec.key(row) for row in rows]
    newest: dict[str, Any] = dict(zip(keys, rows, strict=True))
    if numbered and len(newest) < len(rows):
        for key, row in zip(keys, rows, strict=True):
            if int(codec.version(row)) > int(codec.version(newest[key])):
                newest[key] = row
    return newest


def row_ids(table: TableDef, keys: Iterable[str]) -> list[str]:
    """The feed's row ids for keys in the form of PROTOCOL §5."""
    if table.has_guid_key:
        return list(keys)
    return [md5(key.encode(), usedforsecurity=False).hexdigest() for key in keys]


def _news(
    conn: psycopg.Connection,
    source: SourceTable,
    newest: Mapping[str, Any],
    codec: RowCodec,
    *,
    notes_seen: bool,
) -> list[Any]:
    """The rows whose version staging lacks: comparing is cheaper than copying."""
    table = source.definition
    rows = list(newest.values())
    versions = [codec.version(row) for row in rows]
    noting = sql.SQL(", s AS (INSERT INTO {} SELECT row_id FROM i)").format(
        schema.seen(source.id)
    )
    found = conn.execute(
        sql.SQL(
            "WITH i AS MATERIALIZED (SELECT * FROM unnest(%s::uuid[], %s::{kind}[])"
            " WITH ORDINALITY AS i (row_id, version, place)){noting}"
            " SELECT place FROM i LEFT JOIN {relation} t"
            " ON t.{row_id} = i.row_id AND t.{version} = i.version"
            " WHERE t.{row_id} IS NULL ORDER BY place"
        ).format(
            kind=columns.version_type(table),
            noting=noting if notes_seen else sql.SQL(""),
            relation=schema.relation(table),
            row_id=columns.row_id(table),
            version=sql.Identifier(columns.VERSION),
        ),
        (
            _array(row_ids(table, newest)),
            _array(versions) if table.version_column else versions,
        ),
    )
    return [rows[place - 1] for (place,) in found]


def _array(items: Iterable[str]) -> str:
    """An array of ids or numbers as PostgreSQL reads it; a list costs far more."""
    return "{" + ",".join(items) + "}"


def _write(
    conn: psycopg.Connection,
    source: SourceTable,
    rows: list[Any],
    codec: RowCodec,
    watched: Collection[str],
) -> tuple[int, int, Sequence[SetAside]]:
    if not rows:
        return 0, 0, ()
    table = source.definition
    if not table.has_guid_key:
        _note_row_keys(conn, source, [codec.key(row) for row in rows])
    lines = codec.copy_lines(rows)
    if source.copies and _copied(conn, schema.relation(table), table, lines):
        return len(rows), len(rows), ()
    refused: Sequence[SetAside] = ()
    if not _copied(conn, _INCOMING, table, lines):
        refused = quarantine.copy_what_fits(conn, _INCOMING, table, lines)
    coming = sql.SQL("SELECT {} FROM {}").format(columns.row_id(table), _INCOMING)
    former.note(conn, table, watched, rows=coming)
    _merge(conn, source)
    return *_count(conn), refused


def _copied(
    conn: psycopg.Connection, target: sql.Identifier, table: TableDef, lines: bytes
) -> bool:
    """COPY all lines, or nothing."""
    copy = sql.SQL("COPY {target} ({columns}) FROM STDIN").format(
        target=target, columns=schema.copied_columns(table)
    )
    try:
        with conn.transaction(), conn.cursor() as cursor, cursor.copy(copy) as stream:
            stream.write(lines)
    except quarantine.REFUSALS:
        return False
    return True


def _newer(source: SourceTable) -> sql.SQL:
    """What a version must be to replace the stored one.

    A full load takes the source as it is now: after a restore its versions are
    lower than those that were read before.
    """
    orders = source.definition.version_column and source.loading != "full"
    return sql.SQL(">" if orders else "IS DISTINCT FROM")


def _merge(conn: psycopg.Connection, source: SourceTable) -> None:
    if source.fills:
        # Rows that are only written in another form are no news to anybody yet.
        _note_newer(conn, source)
        _merge_incoming(conn, source, into=_FORGOTTEN, when=sql.SQL("true"))
        return
    newer = sql.SQL("i.{version} {newer} t.{version}").format(
        version=sql.Identifier(columns.VERSION), newer=_newer(source)
    )
    into = sql.SQL("INSERT INTO touched SELECT row_id, true, inserted FROM merged")
    _merge_incoming(conn, source, into=into, when=newer)


def _note_newer(conn: psycopg.Connection, source: SourceTable) -> None:
    table = source.definition
    conn.execute(
        sql.SQL(
            "INSERT INTO touched SELECT i.{row_id}, true, t.{row_id} IS NULL"
            " FROM {incoming} i LEFT JOIN {relation} t ON t.{row_id} = i.{row_id}"
            " WHERE t.{version} IS DISTINCT FROM i.{version}"
        ).format(
            row_id=columns.row_id(table),
            incoming=_INCOMING,
            relation=schema.relation(table),
            version=sql.Identifier(columns.VERSION),
        )
    )


def _merge_incoming(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    into: sql.Composable,
    when: sql.Composable,
) -> None:
    table = source.definition
    names = schema.copied_names(table)
    comma = sql.SQL(", ")
    conn.execute(
        sql.SQL(
            "WITH merged AS ("
            " MERGE INTO {relation} AS t USING {incoming} AS i"
            " ON t.{row_id} = i.{row_id}"
            " WHEN MATCHED AND {when} THEN UPDATE SET {assignments}"
            " WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
            " RETURNING t.{row_id} AS row_id, merge_action() = 'INSERT' AS inserted)"
            " {into}"
        ).format(
            relation=schema.relation(table),
            incoming=_INCOMING,
            row_id=columns.row_id(table),
            when=when,
            into=into,
            assignments=comma.join(sql.SQL("{0} = i.{0}").format(n) for n in names),
            names=comma.join(names),
            values=comma.join(sql.SQL("i.{}").format(n) for n in names),
        )
    )


def _delete(
    conn: psycopg.Connection,
    table: TableDef,
    keys: Sequence[str],
    watched: Collection[str],
) -> int:
    """Delete rows; keys that staging never had are no error."""
    if not keys:
        return 0
    going = sql.SQL("SELECT unnest({}::uuid[])").format(_array(row_ids(table, keys)))
    former.note(conn, table, watched, rows=going)
    deleted = conn.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {relation} WHERE {row_id} = ANY(%s::uuid[])"
            " RETURNING {row_id} AS row_id)"
            " INSERT INTO touched SELECT row_id, true FROM gone"
        ).format(relation=schema.relation(table), row_id=columns.row_id(table)),
        (_array(row_ids(table, keys)),),
    )
    return deleted.rowcount


def _note_seen(
    conn: psycopg.Connection, source: SourceTable, keys: Sequence[str]
) -> None:
    if keys:
        conn.execute(
            sql.SQL("INSERT INTO {} SELECT unnest(%s::uuid[])").format(
                schema.seen(source.id)
            ),
            (_array(row_ids(source.definition, keys)),),
        )


def _note_row_keys(
    conn: psycopg.Connection, source: SourceTable, keys: Sequence[str]
) -> None:
    """Remember the keys behind row ids: deletes name rows that are gone by then."""
    conn.execute(
        "INSERT INTO sync.row_key (source_id, row_id, row_key)"
        " SELECT %s, * FROM unnest(%s::uuid[], %s::text[]) ON CONFLICT DO NOTHING",
        (source.id, row_ids(source.definition, keys), list(keys)),
    )


def _count(conn: psycopg.Connection) -> tuple[int, int]:
    row = conn.execute(
        "SELECT count(*), count(*) FILTER (WHERE inserted) FROM touched"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
