"""What other apps may ask about organizations."""

from __future__ import annotations

import json
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from project.errors import RejectedError
from provisioning.domain.states import WORKING
from provisioning.models import Organization, WorkItem
from provisioning.secrets import unseal


class UnknownOrganizationError(RejectedError):
    """No organization has this name or id."""

    code = "unknown_organization"


def organization_named(unique_name: str) -> Organization:
    """Return the organization that bears this name now, in whatever state.

    A deprovisioned one has given its name up.

    :raises UnknownOrganizationError: nobody bears it.
    """
    live = live_organizations().filter(unique_name=unique_name)
    organization = live.select_related("server").first()
    if organization is None:
        raise UnknownOrganizationError("There is no organization of this name.")
    return organization


def organization(organization_id: UUID) -> Organization:
    """Return the organization, deprovisioned ones included.

    :raises UnknownOrganizationError: there never was one.
    """
    known = Organization.objects.filter(pk=organization_id).select_related("server")
    found = known.first()
    if found is None:
        raise UnknownOrganizationError(f"There is no organization {organization_id}.")
    return found


def live_organizations() -> QuerySet[Organization]:
    return Organization.objects.exclude(state=Organization.State.DEPROVISIONED)


def work_items_of(organization_id: UUID) -> QuerySet[WorkItem]:
    items = WorkItem.objects.filter(organization_id=organization_id)
    return items.order_by("kind", "table")


def due_item_count(*, limit: int) -> int:
    """Count the work items that may run now, up to a limit.

    Those of sources that asked for patience, or are broken, may not.
    """
    due = WorkItem.objects.filter(
        state__in=[WorkItem.State.DUE, WorkItem.State.POSTPONED],
        next_due_at__lte=Now(),
        organization__state__in=WORKING,
    ).exclude(
        Q(organization__budget__paused_until__gt=Now())
        | Q(organization__budget__open_until__gt=Now())
    )
    return due[:limit].count()


def credential_of(organization: Organization) -> dict[str, str]:
    """Return the members of the credential, secrets included, for a source client.

    :raises SealBrokenError: the encryption key is not the one it was sealed with.
    """
    sealed = bytes(organization.credential_sealed)
    if not sealed:
        return {"type": organization.credential_type}
    text = unseal(sealed, identity=organization.credential_identity)
    members: dict[str, str] = json.loads(text)
    return members
