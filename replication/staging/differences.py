"""Compares keys and versions that were read at the source with those in staging."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from replication.domain.pages import Outline
from replication.staging import columns, merge, schema
from replication.staging.registry import SourceTable


def split(
    conn: psycopg.Connection, source: SourceTable, outline: Outline
) -> tuple[list[str], list[str]]:
    """Return the keys whose rows staging lacks or has otherwise, and the others."""
    table = source.definition
    found = conn.execute(
        sql.SQL(
            "SELECT place FROM unnest(%s::uuid[], %s::{kind}[])"
            " WITH ORDINALITY AS i (row_id, version, place)"
            " JOIN {relation} t ON t.{row_id} = i.row_id AND t.{version} = i.version"
        ).format(
            kind=columns.version_type(table),
            relation=schema.relation(table),
            row_id=columns.row_id(table),
            version=sql.Identifier(columns.VERSION),
        ),
        (merge.row_ids(table, outline.keys), outline.versions),
    )
    alike = {place - 1 for (place,) in found}
    differing = [key for n, key in enumerate(outline.keys) if n not in alike]
    return differing, [outline.keys[place] for place in sorted(alike)]


def missing(
    conn: psycopg.Connection,
    source: SourceTable,
    *,
    present: Iterable[str],
    most: int,
) -> list[str]:
    """Return keys of rows that this generation has not met; at most so many.

    `present`: keys of the page that is about to be committed.
    """
    table = source.definition
    key = columns.row_id(table)
    if not table.has_guid_key:
        key = sql.Identifier(columns.ROW_KEY)
    found = conn.execute(
        sql.SQL(
            "SELECT t.{key}::text FROM {relation} t WHERE NOT EXISTS"
            " (SELECT FROM {seen} s WHERE s.row_id = t.{row_id})"
            " AND t.{row_id} <> ALL(%s::uuid[]) LIMIT %s"
        ).format(
            key=key,
            relation=schema.relation(table),
            seen=schema.seen(source.id),
            row_id=columns.row_id(table),
        ),
        (merge.row_ids(table, present), most),
    )
    return [row_key for (row_key,) in found]
