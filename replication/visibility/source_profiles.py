"""Profiles that are written at the source: translated when their rows change."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from replication.domain import source_profiles
from replication.domain.source_profiles import (
    DEFAULT_PROFILE,
    NEEDED_TABLES,
    ORGANIZATION,
    PROFILE_TABLES,
    Relationship,
    Row,
    Rows,
)
from replication.staging import registry, schema
from replication.staging.registry import SourceTable
from replication.visibility import policy

logger = logging.getLogger(__name__)

# Another number makes every organization's profiles be read again, by a newer release.
_READER = 2


class Relationships(Protocol):
    def load_relationships(
        self, tables: tuple[str, ...]
    ) -> tuple[Relationship, ...]: ...


def refresh(conn: psycopg.Connection, source: Relationships) -> None:
    """Publish what the staged rows say, if they changed since it was last done.

    Nothing is done while profiles are authored here, or before every table of theirs
    is loaded. Repeatable: what was translated is remembered with the result.

    :raises SyncError: the source does not tell its relationships now.
    """
    published = policy.published(conn)
    if published.origin != "source":
        return
    rows = _staged_rows(conn)
    if rows is None:
        return
    fingerprint = _fingerprint(rows)
    if published.translated_from == fingerprint:
        return
    tables = tuple(sorted(source_profiles.tables_of(rows)))
    found = source_profiles.translated(rows, source.load_relationships(tables))
    for problem in found.problems:
        logger.warning("A profile of the source is not as expected: %s", problem)
    changed = msgspec.structs.replace(
        published, profiles=found.profiles, translated_from=fingerprint
    )
    policy.replace(conn, changed, instead_of=published)


def _staged_rows(conn: psycopg.Connection) -> Rows | None:
    """None while a table that is needed is missing or not complete."""
    tables: Mapping[str, SourceTable] = {
        table.definition.name: table
        for table in registry.tables(conn)
        if table.definition.name in PROFILE_TABLES and table.is_complete
    }
    if not tables.keys() >= set(NEEDED_TABLES):
        return None
    rows = {name: _rows(conn, table) for name, table in tables.items()}
    # The organization's other settings change for other reasons.
    return rows | {ORGANIZATION: _defaults(rows.get(ORGANIZATION, ()))}


def _defaults(organizations: Iterable[Row]) -> list[Row]:
    named = (row.get(DEFAULT_PROFILE) for row in organizations)
    return [{DEFAULT_PROFILE: profile} for profile in named if profile]


def _rows(conn: psycopg.Connection, table: SourceTable) -> list[Row]:
    query = sql.SQL("SELECT * FROM {} ORDER BY 1").format(
        schema.relation(table.definition)
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(query))


def _fingerprint(rows: Rows) -> str:
    content = [_READER, *((name, _texts(rows[name])) for name in sorted(rows))]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]


def _texts(rows: Iterable[Row]) -> list[str]:
    return [str(sorted(row.items())) for row in rows]
