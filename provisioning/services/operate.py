"""What operators do to organizations and work items, each with an audit entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from django.db import transaction

from project.errors import RejectedError
from provisioning.models import AuditEntry, Organization, WorkItem
from provisioning.services import leases
from provisioning.services.effects import Ask, carry_out

ORGANIZATION_VERBS = ("suspend", "resume", "resync", "deprovision")


class OrganizationStateError(RejectedError):
    """The organization's state does not allow what was asked."""

    code = "organization_state"


@transaction.atomic
def organization(organization_id: UUID, *, verb: str, operator: str) -> None:
    """Do one of `ORGANIZATION_VERBS` as an event would, in the operator's name.

    :raises OrganizationStateError: the state does not allow it, or there is none.
    """
    known = Organization.objects.select_for_update(no_key=True)
    ask = Ask(verb=verb, organization_id=organization_id, actor=operator)
    refusal = carry_out(ask, organization=known.filter(pk=organization_id).first())
    if refusal is not None:
        raise OrganizationStateError(refusal.reason)


@transaction.atomic
def work_item(work_item_id: UUID, *, verb: str, operator: str) -> None:
    """Do one of `WORK_ITEM_VERBS` in the operator's name.

    :raises leases.WorkItemStateError: the state does not allow it, or there is none.
    """
    WORK_ITEM_VERBS[verb](work_item_id)
    item = WorkItem.objects.get(pk=work_item_id)
    AuditEntry.objects.create(
        actor=operator,
        verb=f"{verb} work item",
        organization_id=item.organization_id,
        detail={"kind": item.kind, "table": item.table},
    )


WORK_ITEM_VERBS: Mapping[str, Callable[[UUID], None]] = {
    "pause": leases.pause,
    "resume": leases.resume,
    "run_now": leases.run_now,
    "resync": leases.resync,
    "accept_sweep": leases.accept_sweep,
}
