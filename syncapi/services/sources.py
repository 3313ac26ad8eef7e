"""How an organization's source bears us, and what each table costs and lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from project.errors import SyncError
from provisioning import queries
from provisioning.models import Organization, SourceBudget, WorkItem
from replication.services import oversight
from replication.services.oversight import TableStanding

# How long Dataverse keeps what a delta link needs, unless its administrators have
# chosen another time.
CURSOR_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """What all workers together may ask of the source now."""

    origin: str
    breaker: str
    window: int
    in_flight: int
    pace: float | None
    paused_seconds: int | None
    open_seconds: int | None
    requests: int
    throttled: int
    throttled_seconds: int
    last_trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """One table on both sides. None: nobody knows."""

    table: str
    mode: str | None
    rows: int | None
    source_rows: int | None
    source_rows_at: datetime | None
    lag_seconds: int | None
    last_complete_at: datetime | None
    cursor_age_seconds: int | None
    cursor_expires_seconds: int | None
    requests: int
    throttled_seconds: int
    set_aside: int | None

    @property
    def is_expiring(self) -> bool:
        """Whether an operator should see to it before the table must load anew."""
        left = self.cursor_expires_seconds
        return left is not None and left < CURSOR_LIFETIME.total_seconds() / 4


def budget_of(organization: Organization, *, now: datetime) -> BudgetStanding | None:
    """Return the standing of the source; None until it is first asked."""
    budget = organization.budget
    if budget is None:
        return None
    return BudgetStanding(
        origin=budget.origin,
        breaker=_breaker(budget, now=now),
        window=int(budget.window),
        in_flight=budget.slots.filter(held_until__gt=now).count(),
        pace=budget.pace,
        paused_seconds=_until(budget.paused_until, now=now),
        open_seconds=_until(budget.open_until, now=now),
        requests=budget.requests,
        throttled=budget.throttled,
        throttled_seconds=int(budget.throttled_seconds),
        last_trouble=budget.last_trouble,
    )


def tables_of(organization: Organization, *, now: datetime) -> list[SourceTable]:
    """Every table, by name, as far as the catalog and staging know."""
    held = _held(organization)
    items = queries.work_items_of(organization.pk).filter(kind=WorkItem.Kind.TABLE)
    lives = CURSOR_LIFETIME if organization.kind == "dataverse" else None
    return [_line(item, held.get(item.table), lives, now=now) for item in items]


def _held(organization: Organization) -> Mapping[str, TableStanding]:
    if not oversight.has_staging(organization):
        return {}
    try:
        found = oversight.tables(organization.pk)
    except SyncError:
        # What the catalog knows is shown all the same.
        return {}
    return {one.table: one for one in found}


def _line(
    item: WorkItem,
    held: TableStanding | None,
    lives: timedelta | None,
    *,
    now: datetime,
) -> SourceTable:
    follows = held is not None and held.mode == "delta"
    age = _since(held.last_page_at, now=now) if held and follows else None
    left = None
    if age is not None and lives is not None:
        left = max(0, int(lives.total_seconds()) - age)
    return SourceTable(
        table=item.table,
        mode=held.mode if held else None,
        rows=held.rows if held else None,
        source_rows=item.source_rows,
        source_rows_at=item.source_rows_at,
        lag_seconds=_since(item.last_succeeded_at, now=now)
        if item.completed_once
        else None,
        last_complete_at=held.last_complete_at if held else None,
        cursor_age_seconds=age,
        cursor_expires_seconds=left,
        requests=item.requests,
        throttled_seconds=int(item.throttled_seconds),
        set_aside=held.set_aside if held else None,
    )


def _breaker(budget: SourceBudget, *, now: datetime) -> str:
    if budget.open_until is None:
        return "closed"
    return "open" if budget.open_until > now else "half_open"


def _until(moment: datetime | None, *, now: datetime) -> int | None:
    return int((moment - now).total_seconds()) if moment and moment > now else None


def _since(moment: datetime | None, *, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment).total_seconds()))
