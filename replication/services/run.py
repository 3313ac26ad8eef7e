"""Run one leased work item, and say on its row what became of it.

The only place that catches everything: a defect is recorded like a failure of the
source, counts as an attempt, and leaves the other items alone.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import psycopg
from django.conf import settings
from django.db import OperationalError

from project.errors import SyncError
from provisioning import queries
from provisioning.models import WorkItem
from provisioning.services import leases, progress
from provisioning.services.leases import DefectReport, Lease, LeaseLostError
from replication.services import heartbeat
from replication.services.load_metadata import load_metadata
from replication.services.pull import Progress, PullOrder, pull_table
from replication.services.sources import source_of
from replication.staging import connections
from replication.staging.connections import StagingUnavailableError
from replication.staging.registry import FencedError

logger = logging.getLogger(__name__)


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
    except SyncError as error:
        logger.warning("Work item failed", extra={**labels, "code": error.code})
        _postpone(held, error)
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


def _told(error: Exception) -> str:
    """What to show of a defect. PostgreSQL's details quote rows: not those."""
    if isinstance(error, psycopg.Error):
        return f"{error.sqlstate} {error.diag.message_primary or ''}".strip()
    return str(error)


def _run(held: Lease) -> Callable[[], None]:
    """Do the item's work; return how to record it once the heartbeat has stopped."""
    organization = queries.organization(held.organization_id)
    source = source_of(organization)
    if held.kind == WorkItem.Kind.METADATA:
        load_metadata(organization, source)
        return lambda: leases.finish(held)
    with connections.opened(held.organization_id) as conn:
        pulled = pull_table(conn, source, _order(held))
    _log(held, pulled)
    if pulled.is_finished:
        return lambda: _finish_table(held, pulled)
    return lambda: leases.yield_back(
        held, pages=pulled.pages, changes=pulled.written + pulled.deleted
    )


def _finish_table(held: Lease, pulled: Progress) -> None:
    leases.finish(held, pages=pulled.pages, changes=pulled.written + pulled.deleted)
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


def _order(held: Lease) -> PullOrder:
    return PullOrder(
        table=held.table,
        epoch=held.epoch,
        time_slice=settings.TIME_SLICE,
        renew=lambda: leases.renew(held, lease=settings.LEASE),
        wants_resync=held.resync_requested,
        accepts_sweep=held.sweep_accepted,
        resync_begun=lambda: leases.resync_taken(held),
    )


def _postpone(held: Lease, error: SyncError | DefectReport) -> None:
    try:
        leases.postpone(held, error, jitter=random.random())  # noqa: S311  not a secret
    except (LeaseLostError, OperationalError) as reason:
        logger.warning(
            "Failure not recorded",
            extra={
                "work_item_id": str(held.work_item_id),
                "reason": type(reason).__name__,
            },
        )
