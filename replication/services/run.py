"""Run one leased work item, and say on its row what became of it.

The only place that catches everything: a defect is recorded like a failure of the
source, counts as an attempt, and leaves the other items alone.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta

import psycopg
from django.conf import settings
from django.db import OperationalError

from project.errors import (
    MisconfiguredError,
    RejectedError,
    SyncError,
    TransientError,
)
from provisioning import queries
from provisioning.models import Organization, WorkItem
from provisioning.services import leases, progress
from provisioning.services.leases import DefectReport, Lease, LeaseLostError
from replication.odata.client import ODataSource
from replication.odata.measured import SourceShutError
from replication.services import allowance, heartbeat, sizes, upload_oversight
from replication.services.allowance import Allowance
from replication.services.division import Divider
from replication.services.load_metadata import load_metadata
from replication.services.pull import Progress, PullOrder, pull_table
from replication.services.pull_part import PartOrder, pull_part
from replication.services.sources import source_of
from replication.services.write_back import WriteBackOrder, write_back
from replication.staging import connections
from replication.staging.connections import StagingUnavailableError
from replication.staging.registry import FencedError

logger = logging.getLogger(__name__)

# The last of a table's parts wakes the table up; this is for the case that it cannot.
PARTS_TAKE = timedelta(seconds=10)
# Whatever kept edits from their source is over, or still there, after so long.
UPLOADS_AGAIN = timedelta(seconds=5)


def run_due_item() -> bool:
    """Claim the fairest due item and run it; False when nothing is due."""
    held = leases.claim(lease=settings.LEASE)
    if held is None:
        return False
    run_item(held)
    return True


def run_item(held: Lease) -> None:
    """Run the item. Whatever happens is recorded; nothing is raised."""
    labels = {
        "organization_id": str(held.organization_id),
        "table": held.table,
        "work_item_id": str(held.work_item_id),
    }
    try:
        with heartbeat.kept(held, lease=settings.LEASE):
            done = _run(held)
        done()
    except FencedError as error:
        logger.warning("Lease lost", extra=labels)
        leases.outrun(held, epoch=error.epoch)
    except LeaseLostError:
        logger.warning("Lease lost", extra=labels)
    except SourceShutError as error:
        _set_back(held, error)
    except SyncError as error:
        logger.warning("Work item failed", extra={**labels, "code": error.code})
        _postpone(held, error)
        _suspect_metadata(held, error)
    except psycopg.OperationalError as error:
        logger.warning("Staging failed", extra={**labels, "sqlstate": error.sqlstate})
        message = f"The staging database failed ({error.sqlstate or 'no answer'})."
        _postpone(held, StagingUnavailableError(message))
    except OperationalError:
        # The catalog is down, so nothing can be written; the reaper frees the item.
        logger.warning("Catalog failed", extra=labels)
    except Exception as error:
        logger.exception("Defect", extra=labels)
        _postpone(held, DefectReport(type(error).__name__, _told(error)))


def _suspect_metadata(held: Lease, error: SyncError) -> None:
    """A source that refuses what it used to answer may look different by now."""
    is_refusal = isinstance(error, MisconfiguredError | RejectedError)
    if is_refusal and held.kind != WorkItem.Kind.METADATA:
        progress.metadata_may_have_changed(held.organization_id)


def _told(error: Exception) -> str:
    """What to show of a defect. PostgreSQL's details quote rows: not those."""
    if isinstance(error, psycopg.Error):
        return f"{error.sqlstate} {error.diag.message_primary or ''}".strip()
    return str(error)


def _run(held: Lease) -> Callable[[], None]:
    """Do the item's work; return how to record it once the heartbeat has stopped."""
    organization = queries.organization(held.organization_id)
    opened = source_of(organization)
    if held.kind == WorkItem.Kind.UPLOADS:
        return _write_back(held, organization, opened)
    asked = allowance.asking(organization, opened, work_item_id=held.work_item_id)
    with asked as (source, allowed):
        if held.kind == WorkItem.Kind.METADATA:
            load_metadata(organization, source)
            return lambda: leases.finish(held)
        with connections.lent(organization) as conn:
            if held.kind == WorkItem.Kind.PART:
                return _pull_part(held, conn, source, allowed)
            pulled = pull_table(conn, source, _order(held, allowed))
            if pulled.is_finished and held.size_wanted:
                sizes.ask(conn, opened.watched(allowed.lenient()), held)
    _log(held, pulled)
    if pulled.is_finished:
        return lambda: _finish_table(held, pulled, organization)
    if pulled.waits:
        return lambda: leases.set_back(held, delay=PARTS_TAKE)
    return lambda: leases.yield_back(
        held, pages=pulled.pages, changes=pulled.written + pulled.deleted
    )


def _write_back(
    held: Lease, organization: Organization, opened: ODataSource
) -> Callable[[], None]:
    order = WriteBackOrder(
        work_item_id=held.work_item_id,
        epoch=held.epoch,
        threads=settings.WRITE_BACK_THREADS,
        time_slice=settings.TIME_SLICE,
        renew=lambda: leases.renew(held, lease=settings.LEASE),
    )
    try:
        done = write_back(organization, opened, order)
    except (FencedError, LeaseLostError, SourceShutError):
        raise
    except TransientError as error:
        # Edits wait by themselves, each for its time; the budget spares the source.
        logger.warning("Write-back broke off", extra={"code": error.code})
        delay = error.retry_after or UPLOADS_AGAIN
        return lambda: leases.set_back(held, delay=delay)
    finally:
        upload_oversight.note_waiting(held.organization_id)
    if done.has_more:
        return lambda: leases.yield_back(held, changes=done.settled)
    return lambda: leases.finish(held, changes=done.settled, next_in=done.next_in)


def _pull_part(
    held: Lease, conn: psycopg.Connection, source: ODataSource, allowed: Allowance
) -> Callable[[], None]:
    order = PartOrder(
        table=held.table,
        number=held.part,
        epoch=held.epoch,
        time_slice=settings.TIME_SLICE,
        renew=lambda: _renew(held, allowed),
    )
    pulled = pull_part(conn, source, order)
    _log(held, pulled)
    record = leases.finish_part if pulled.is_finished else leases.yield_back
    changes = pulled.written + pulled.deleted
    return lambda: record(held, pages=pulled.pages, changes=changes)


def _renew(held: Lease, allowed: Allowance) -> None:
    leases.renew(held, lease=settings.LEASE)
    allowed.look()


def _finish_table(held: Lease, pulled: Progress, organization: Organization) -> None:
    leases.finish(held, pages=pulled.pages, changes=pulled.written + pulled.deleted)
    if not (held.completed_once and organization.state == organization.State.ACTIVE):
        progress.table_completed(held)


def _log(held: Lease, pulled: Progress) -> None:
    if pulled.written or pulled.deleted or not pulled.is_finished:
        logger.info(
            "Table pulled",
            extra={
                "organization_id": str(held.organization_id),
                "table": held.table,
                "pages": pulled.pages,
                "written": pulled.written,
                "deleted": pulled.deleted,
            },
        )


def _order(held: Lease, allowed: Allowance) -> PullOrder:
    may_divide = allowed.slot.window >= 2
    divider = Divider(
        rows=settings.DIVIDE_FROM if may_divide else None,
        planned=lambda parts: progress.parts_planned(held, parts),
    )
    return PullOrder(
        table=held.table,
        epoch=held.epoch,
        time_slice=settings.TIME_SLICE,
        renew=lambda: _renew(held, allowed),
        wants_resync=held.resync_requested,
        accepts_sweep=held.sweep_accepted,
        resync_begun=lambda: leases.resync_taken(held),
        reconcile_every=settings.RECONCILE_INTERVAL,
        divider=divider,
        cursor_expired=lambda: progress.metadata_may_have_changed(held.organization_id),
    )


def _set_back(held: Lease, error: TransientError) -> None:
    """Its source may not be asked now, which is not this item's failure."""
    spread = 1 + random.random() / 4  # noqa: S311  not a secret
    delay = (error.retry_after or allowance.CROWDED) * spread
    try:
        leases.set_back(held, delay=delay)
    except (LeaseLostError, OperationalError) as reason:
        _not_recorded(held, reason)


def _postpone(held: Lease, error: SyncError | DefectReport) -> None:
    try:
        leases.postpone(held, error, jitter=random.random())  # noqa: S311  not a secret
    except (LeaseLostError, OperationalError) as reason:
        _not_recorded(held, reason)


def _not_recorded(held: Lease, reason: Exception) -> None:
    logger.warning(
        "Failure not recorded",
        extra={
            "work_item_id": str(held.work_item_id),
            "reason": type(reason).__name__,
        },
    )
