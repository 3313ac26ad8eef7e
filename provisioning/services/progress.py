"""Note what an organization has loaded, and move its state along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from provisioning.domain.states import after_tables
from provisioning.models import Organization, WorkItem
from provisioning.services import leases
from provisioning.services.leases import Lease

_State = Organization.State

# Parts do not recur.
_PART_INTERVAL = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """A table that metadata says is to be replicated."""

    name: str
    interval: timedelta
    mandatory: bool


@transaction.atomic
def metadata_loaded(organization_id: UUID, *, tables: Sequence[PlannedTable]) -> None:
    """Create the work items that are missing, due now; remove none.

    Items that exist take the planned interval. Safe to repeat.
    """
    organization = _locked(organization_id)
    if organization.state == _State.LOADING_METADATA:
        organization.state = _State.LOADING_MANDATORY
        organization.save(update_fields=["state"])
    WorkItem.objects.bulk_create(
        [
            WorkItem(
                organization=organization,
                kind=WorkItem.Kind.TABLE,
                table=table.name,
                interval=table.interval,
                mandatory=table.mandatory,
            )
            for table in sorted(tables, key=lambda table: table.name)
        ],
        update_conflicts=True,
        unique_fields=["organization", "kind", "table", "part"],
        update_fields=["interval", "mandatory"],
    )
    advance(organization)


def parts_planned(held: Lease, parts: Sequence[int]) -> None:
    """Create the work items of a table's parts that are missing, due now.

    Safe to repeat.
    """
    WorkItem.objects.bulk_create(
        [
            WorkItem(
                organization_id=held.organization_id,
                kind=WorkItem.Kind.PART,
                table=held.table,
                part=part,
                interval=_PART_INTERVAL,
            )
            for part in parts
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def tables_changed(organization_id: UUID, tables: Collection[str]) -> None:
    """Let tables be pulled now whose definition changed; stopped ones stay so, except
    for what failed by the former definition."""
    items = _items(organization_id, tables)
    leases.revive(items)
    leases.make_due(items)


@transaction.atomic
def tables_removed(organization_id: UUID, tables: Collection[str]) -> None:
    """Stop the work on tables that the source has no longer, and say why."""
    _items(organization_id, tables).exclude(state=WorkItem.State.PAUSED).update(
        state=WorkItem.State.HALTED,
        leased_until=None,
        last_failure=WorkItem.Failure.MISCONFIGURED,
        last_error_code="table_removed",
        last_error="The source has this table no longer; devices have lost its rows.",
    )


def metadata_may_have_changed(organization_id: UUID) -> None:
    """Let the organization's metadata be looked at now."""
    leases.make_due(
        WorkItem.objects.filter(
            organization=organization_id, kind=WorkItem.Kind.METADATA
        )
    )


def _items(organization_id: UUID, tables: Collection[str]) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(
        organization=organization_id, kind=WorkItem.Kind.TABLE, table__in=tables
    )


@transaction.atomic
def table_completed(held: Lease) -> None:
    """Move the organization to ready or active if this table was the last missing.

    Call it after `finish`. Safe to repeat, also without the lease.
    """
    advance(_locked(held.organization_id))


def advance(organization: Organization) -> None:
    """Move a locked organization as far as its loaded tables bring it."""
    missing = WorkItem.objects.filter(
        organization=organization, kind=WorkItem.Kind.TABLE, completed_once=False
    )
    state = after_tables(
        organization.state,
        mandatory_loaded=not missing.filter(mandatory=True).exists(),
        all_loaded=not missing.exists(),
    )
    if state != organization.state:
        organization.state = state
        organization.save(update_fields=["state"])


def _locked(organization_id: UUID) -> Organization:
    # no_key: work items that refer to the row can be inserted meanwhile.
    organizations = Organization.objects.select_for_update(no_key=True)
    return organizations.get(pk=organization_id)
