"""What operators see of an organization's tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from replication.staging import connections, registry


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """`mode` is how changes are found, see `domain.modes`."""

    table: str
    mode: str
    rows: int
    loaded: bool
    cursor_kind: str | None
    last_complete_at: datetime | None
    set_aside: int
    stripped_nuls: int


def table_status(organization_id: UUID) -> list[TableStatus]:
    """Return the status of every table, by name.

    :raises StagingUnavailableError: the staging database does not answer.
    """
    # One snapshot: while metadata loads, tables appear between two statements.
    with connections.reading(organization_id) as conn, connections.snapshot(conn):
        figures = {
            name: rest
            for name, *rest in conn.execute(
                "SELECT s.name, s.row_count + (SELECT coalesce(sum(p.row_count), 0)"
                " FROM sync.part p WHERE p.source_id = s.id)::bigint,"
                " s.last_complete_at, s.stripped_nuls,"
                " (SELECT count(*) FROM sync.set_aside a WHERE a.source_id = s.id)"
                " FROM sync.source s"
            )
        }
        return [
            TableStatus(
                table=table.definition.name,
                mode=table.mode,
                rows=figures[table.definition.name][0],
                loaded=table.is_complete,
                cursor_kind=table.cursor.kind if table.cursor else None,
                last_complete_at=figures[table.definition.name][1],
                stripped_nuls=figures[table.definition.name][2],
                set_aside=figures[table.definition.name][3],
            )
            for table in registry.tables(conn)
        ]
