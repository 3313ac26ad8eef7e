"""What a user may write now: tables, columns, and rows that he has.

Asked when an edit is about to be sent, in one snapshot of staging. Where the source
has rights of its own, it judges again, because edits are made in the user's name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import psycopg
from psycopg import sql

from replication.domain.tables import ColumnDef
from replication.staging import clock, columns, connections, merge, registry, schema
from replication.visibility import entries, member
from replication.visibility.access import Access, TableAccess
from replication.visibility.cached_access import cached_access
from replication.visibility.member import NotReadyError, OfflineNotAllowedError

ColumnRight = Literal["cancreate", "canupdate"]
Row = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRow:
    """A row as staging has it. `is_visible`: the user's devices may hold it."""

    version: str | None
    is_visible: bool


ABSENT = StagedRow(version=None, is_visible=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """One user's access, and the rows that he was asked about."""

    # None: he may take nothing along now.
    access: Access | None
    rows: Mapping[Row, StagedRow] = field(default_factory=dict)
    # (table, column) of secured columns by what may be done.
    secured: Mapping[ColumnRight, frozenset[tuple[str, str]]] = field(
        default_factory=dict
    )

    def table(self, name: str | None) -> TableAccess | None:
        if self.access is None or name is None:
            return None
        return self.access.tables.get(name)

    def row(self, row: Row) -> StagedRow:
        return self.rows.get(row, ABSENT)

    def may_write(
        self, table: TableAccess, column: ColumnDef, right: ColumnRight
    ) -> bool:
        if column.computed or column.name == table.source.definition.version_column:
            return False
        if not column.secured:
            return True
        name = table.source.definition.name
        return (name.lower(), column.name.lower()) in self.secured[right]


def writable(
    conn: psycopg.Connection, user_id: UUID, rows: Collection[Row]
) -> Writable:
    """Find out what the user may write, and where staging has these rows.

    :raises NotReadyError: staging cannot tell now.
    """
    with connections.snapshot(conn):
        reading = clock.read(conn)
        if reading is None:
            raise NotReadyError("The database began a new epoch.")
        try:
            access = cached_access(conn, user_id, reading)
        except OfflineNotAllowedError:
            return Writable(access=None)
        found: dict[Row, StagedRow] = {}
        for name, table in access.tables.items():
            keys = sorted({key for of, key in rows if of == name})
            if keys:
                found |= _staged(conn, table, keys)
        return Writable(
            access=access, rows=found, secured=_secured(conn, user_id, access)
        )


def _staged(
    conn: psycopg.Connection, table: TableAccess, keys: Sequence[str]
) -> dict[Row, StagedRow]:
    definition = table.source.definition
    usable = [key for key in keys if _is_usable(table, key)]
    ids = merge.row_ids(definition, usable)
    query = _STAGED.format(
        visible=entries.visible(
            entries.probes(table.grants), sql.SQL("d.row_id"), arrays=entries.literals
        ),
        relation=schema.relation(definition),
        row_id=columns.row_id(definition),
        version=sql.Identifier(columns.VERSION),
    )
    rows = conn.execute(query, (ids, usable))
    return {
        (definition.name, key): StagedRow(version=version, is_visible=is_visible)
        for key, version, is_visible in rows
    }


_STAGED = sql.SQL(
    "SELECT d.key, t.{version}::text, {visible}"
    " FROM unnest(%s::uuid[], %s::text[]) d (row_id, key)"
    " JOIN {relation} t ON t.{row_id} = d.row_id"
)


def _is_usable(table: TableAccess, key: str) -> bool:
    if not table.source.definition.has_guid_key:
        return True
    try:
        UUID(key)
    except ValueError:
        return False
    return True


def _secured(
    conn: psycopg.Connection, user_id: UUID, access: Access
) -> dict[ColumnRight, frozenset[tuple[str, str]]]:
    """Asked only where there is a secured column at all."""
    has_any = any(
        column.secured for table in access.tables.values() for column in table.columns
    )
    if not has_any:
        return {"cancreate": frozenset(), "canupdate": frozenset()}
    replicated = [table.definition.name for table in registry.tables(conn)]
    who = member.member_of(conn, user_id, replicated=replicated)
    return {
        right: member.granted_columns(conn, who, replicated=replicated, right=right)
        for right in ("cancreate", "canupdate")
    }
