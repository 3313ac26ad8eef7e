"""Take organizations through the steps that reach outside the catalog.

A step's attempt is counted and the next one scheduled before it begins, so that a
crash in the middle is tried again, and never in a tight circle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from project.errors import SyncError, TransientError
from provisioning.domain.intervals import staggered
from provisioning.domain.retries import RetryAfter, after_failure, transient_delay
from provisioning.domain.states import STEPPING
from provisioning.failpoints import reach
from provisioning.models import AuditEntry, Organization, WorkItem
from provisioning.services import staging_databases, uploads_due, waiting_files
from provisioning.services.staging_databases import StagingServerBusyError

logger = logging.getLogger(__name__)

METADATA_INTERVAL = timedelta(hours=1)
ACTOR = "waystation"

_State = Organization.State


def run_due_steps(*, jitter: float) -> None:
    """Take every organization one step on that has one due. Safe to repeat."""
    for organization_id in _due().order_by("step_due_at").values_list("pk", flat=True):
        run_step(organization_id, jitter=jitter)


def run_step(organization_id: UUID, *, jitter: float) -> None:
    """Take the organization's step if it is due, and record how it went."""
    organization = _begin(organization_id, jitter=jitter)
    if organization is None:
        return
    try:
        _STEPS[organization.state](organization)
    except StagingServerBusyError:
        # The worker that is at it will say how it went.
        return
    except SyncError as error:
        _record(organization, error, jitter=jitter)


def _due() -> QuerySet[Organization]:
    return Organization.objects.filter(state__in=STEPPING, step_due_at__lte=Now())


@transaction.atomic
def _begin(organization_id: UUID, *, jitter: float) -> Organization | None:
    """Count the attempt; None if the step is no longer due or somebody has it."""
    due = _due().select_for_update(no_key=True, skip_locked=True)
    organization = due.filter(pk=organization_id).first()
    if organization is None:
        return None
    if organization.state == _State.REQUESTED:
        organization.state = _State.CREATING
    organization.step_attempts += 1
    organization.save(update_fields=["state", "step_attempts"])
    delay = transient_delay(attempts=organization.step_attempts, jitter=jitter)
    _the(organization).update(step_due_at=Now() + delay)
    return organization


def _create(organization: Organization) -> None:
    _assign(organization)
    reach("provisioning.names_assigned")
    staging_databases.create(organization)
    reach("provisioning.database_created_for_good")
    _created(organization)


@transaction.atomic
def _assign(organization: Organization) -> None:
    locked = Organization.objects.select_for_update(no_key=True)
    staging_databases.assign(locked.get(pk=organization.pk))
    organization.refresh_from_db()


@transaction.atomic
def _created(organization: Organization) -> None:
    if not _leave(organization, _State.LOADING_METADATA):
        return
    WorkItem.objects.get_or_create(
        organization=organization,
        kind=WorkItem.Kind.METADATA,
        table="",
        defaults={
            "interval": staggered(METADATA_INTERVAL, identity=organization.id),
            "mandatory": True,
        },
    )
    uploads_due.ensure(organization.id)
    _audit(organization, "created", {"database": organization.database_name})


def _remove(organization: Organization) -> None:
    # Nothing was assigned to one that goes before it was begun.
    if organization.server_id is not None:
        staging_databases.drop(organization)
    waiting_files.remove_all(organization.id)
    reach("provisioning.dropped_for_good")
    _removed(organization)


@transaction.atomic
def _removed(organization: Organization) -> None:
    """Forget what belonged to the organization, and note what that was."""
    if not _leave(organization, _State.DEPROVISIONED):
        return
    items, _ = WorkItem.objects.filter(organization=organization).delete()
    _the(organization).update(
        server=None,
        database_name="",
        role_name="",
        role_password_sealed=b"",
        credential_type=Organization.CredentialType.NONE,
        credential_sealed=b"",
    )
    detail = {
        "server": str(organization.server or ""),
        "database": organization.database_name,
        "role": organization.role_name,
        "work_items": items,
    }
    _audit(organization, "deprovisioned", detail)


_STEPS: dict[str, Callable[[Organization], None]] = {
    _State.CREATING: _create,
    _State.DEPROVISIONING: _remove,
}


def _record(organization: Organization, error: SyncError, *, jitter: float) -> None:
    """Note the failure on the organization, unless it has moved on meanwhile."""
    attempts = organization.step_attempts
    decision = after_failure(error, attempts=attempts, jitter=jitter)
    still = _the(organization).filter(state=organization.state)
    if isinstance(error, TransientError) and isinstance(decision, RetryAfter):
        still.update(last_error=str(error), step_due_at=Now() + decision.delay)
    else:
        still.update(
            last_error=str(error),
            step_due_at=None,
            state=_State.FAILED,
            failed_step=organization.state,
        )
    logger.warning(
        "Provisioning step failed",
        extra={
            "organization_id": str(organization.pk),
            "step": organization.state,
            "code": error.code,
        },
    )


def _leave(organization: Organization, state: str) -> bool:
    """Move on from the step just done; False if an event has intervened."""
    moved = (
        _the(organization)
        .filter(state=organization.state)
        .update(
            state=state,
            step_due_at=None,
            step_attempts=0,
            failed_step="",
            last_error="",
        )
    )
    return moved == 1


def _the(organization: Organization) -> QuerySet[Organization]:
    return Organization.objects.filter(pk=organization.pk)


def _audit(organization: Organization, verb: str, detail: dict[str, object]) -> None:
    AuditEntry.objects.create(
        actor=ACTOR, verb=verb, organization=organization, detail=detail
    )
