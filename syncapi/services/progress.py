"""How far an organization's tables have come: catalog and staging side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from project.errors import SyncError
from provisioning import queries
from provisioning.models import Organization, WorkItem
from replication.services import status
from replication.services.status import TableStatus

_WITHOUT_STAGING = frozenset(
    {
        Organization.State.REQUESTED,
        Organization.State.CREATING,
        Organization.State.DEPROVISIONING,
        Organization.State.DEPROVISIONED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProgress:
    """One table: its work item, and what staging holds of it, if that answers."""

    table: str
    work_item_id: UUID
    state: str
    mandatory: bool
    completed: bool
    last_succeeded_at: datetime | None
    lag_seconds: int | None
    attempts: int
    next_due_at: datetime
    last_error: str
    last_error_code: str
    mode: str | None
    rows: int | None
    loaded: bool | None
    set_aside: int | None
    stripped_nuls: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The tables of one organization, summed up."""

    tables: int
    completed: int
    mandatory: int
    mandatory_completed: int
    in_trouble: int
    # None: staging does not answer, or there is nothing in it yet.
    rows: int | None
    # Of the table that is furthest behind.
    lag_seconds: int | None


def tables_of(organization: Organization, *, now: datetime) -> list[TableProgress]:
    held = _held_by_staging(organization)
    items = queries.work_items_of(organization.id).filter(kind=WorkItem.Kind.TABLE)
    return [_progress(item, held.get(item.table), now=now) for item in items]


def summary(tables: Iterable[TableProgress]) -> Progress:
    tables = list(tables)
    mandatory = [table for table in tables if table.mandatory]
    rows = [table.rows for table in tables if table.rows is not None]
    lags = [table.lag_seconds for table in tables if table.lag_seconds is not None]
    return Progress(
        tables=len(tables),
        completed=sum(table.completed for table in tables),
        mandatory=len(mandatory),
        mandatory_completed=sum(table.completed for table in mandatory),
        in_trouble=sum(bool(table.last_error) for table in tables),
        rows=sum(rows) if rows else None,
        lag_seconds=max(lags, default=None),
    )


def _held_by_staging(organization: Organization) -> Mapping[str, TableStatus]:
    if organization.state in _WITHOUT_STAGING or not organization.database_name:
        return {}
    try:
        found = status.table_status(organization.id)
    except SyncError:
        # Exactly when staging is in trouble the operator needs the rest.
        return {}
    return {one.table: one for one in found}


def _progress(
    item: WorkItem, held: TableStatus | None, *, now: datetime
) -> TableProgress:
    succeeded_at = item.last_succeeded_at
    lag = None
    if item.completed_once and succeeded_at is not None:
        lag = max(0, int((now - succeeded_at).total_seconds()))
    return TableProgress(
        table=item.table,
        work_item_id=item.pk,
        state=item.state,
        mandatory=item.mandatory,
        completed=item.completed_once,
        last_succeeded_at=succeeded_at,
        lag_seconds=lag,
        attempts=item.attempts,
        next_due_at=item.next_due_at,
        last_error=item.last_error,
        last_error_code=item.last_error_code,
        mode=held.mode if held else None,
        rows=held.rows if held else None,
        loaded=held.loaded if held else None,
        set_aside=held.set_aside if held else None,
        stripped_nuls=held.stripped_nuls if held else None,
    )
