"""Apply the events of the inbox, each organization's in the order they happened."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from project.errors import SyncError
from provisioning.models import Organization, ProvisioningEvent
from provisioning.secrets import unseal
from provisioning.services import steps
from provisioning.services.effects import (
    Ask,
    Refusal,
    carry_out,
    lock_for_this_transaction,
)

logger = logging.getLogger(__name__)

# Events may overtake each other on their way; one whose organization is unknown
# waits this long for the provisioning that should have come before.
PATIENCE = timedelta(hours=1)

_State = ProvisioningEvent.State


def process_events(*, jitter: float) -> None:
    """Apply what waits in the inbox, then take the steps that are due.

    Safe to repeat and to run twice at once. `jitter` is a random number from 0 to 1.
    """
    for organization_id in _organizations_with_events():
        try:
            apply_events_of(organization_id)
        except SyncError as error:
            # The events stay; the next round tries them again.
            logger.warning(
                "Events cannot be applied",
                extra={"organization_id": str(organization_id), "code": error.code},
            )
    steps.run_due_steps(jitter=jitter)


@transaction.atomic
def apply_events_of(organization_id: UUID) -> None:
    """Apply one organization's waiting events, oldest first, in one transaction."""
    if not lock_for_this_transaction(f"events {organization_id}"):
        return
    waiting = _waiting().filter(organization_id=organization_id)
    for event in waiting.order_by("occurred_at", "received_at", "id"):
        organization = _locked(organization_id)
        if organization is None and _may_still_come(event):
            return
        _apply(event, organization)


def _organizations_with_events() -> list[UUID]:
    ids = _waiting().order_by("organization_id").values_list("organization_id")
    return [organization_id for (organization_id,) in ids.distinct()]


def _waiting() -> QuerySet[ProvisioningEvent]:
    return ProvisioningEvent.objects.filter(state=_State.WAITING)


def _locked(organization_id: UUID) -> Organization | None:
    known = Organization.objects.select_for_update(no_key=True)
    return known.filter(pk=organization_id).first()


def _may_still_come(event: ProvisioningEvent) -> bool:
    """Say whether the organization of an early event may still be provisioned."""
    if event.type == ProvisioningEvent.Type.PROVISION:
        return False
    recent = _waiting().filter(pk=event.pk, received_at__gt=Now() - PATIENCE)
    return recent.exists()


def _apply(event: ProvisioningEvent, organization: Organization | None) -> None:
    last = organization.last_event_at if organization else None
    if last is not None and event.occurred_at < last:
        _close(event, _State.SUPERSEDED, reason="A later event was applied before.")
        return
    refusal = carry_out(_ask_of(event), organization=organization)
    if isinstance(refusal, Refusal):
        _close(event, _State.REFUSED, reason=refusal.reason)
        return
    Organization.objects.filter(pk=event.organization_id).update(
        last_event_at=event.occurred_at
    )
    _close(event, _State.APPLIED, reason="")


def _close(event: ProvisioningEvent, state: str, *, reason: str) -> None:
    ProvisioningEvent.objects.filter(pk=event.pk).update(
        state=state,
        reason=reason,
        handled_at=Now(),
        # The organization has it now, or nobody needs it.
        credential_sealed=b"",
    )
    logger.info(
        "Event handled",
        extra={
            "event_id": str(event.pk),
            "organization_id": str(event.organization_id),
            "state": state,
        },
    )


def _ask_of(event: ProvisioningEvent) -> Ask:
    body: dict[str, Any] = event.body
    return Ask(
        verb=event.type.removeprefix("organization."),
        organization_id=event.organization_id,
        actor=f"event {event.pk}",
        members=body["organization"],
        credential=_credential_of(event),
        tables=body.get("tables"),
    )


def _credential_of(event: ProvisioningEvent) -> dict[str, str] | None:
    sealed = bytes(event.credential_sealed)
    if not sealed:
        return None
    text = unseal(sealed, identity=event.credential_identity)
    members: dict[str, str] = json.loads(text)
    return members
