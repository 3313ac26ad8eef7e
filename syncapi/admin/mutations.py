"""The page of an organization's device edits: what waits, what failed, and the verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from project.errors import SyncError
from provisioning.models import Organization
from replication.services import oversight, upload_oversight, upload_verbs
from replication.services.upload_oversight import STATUSES, UNSETTLED, Filter, Pending
from syncapi.parsing import is_guid

MOST_SHOWN = 200
VALUES_RIGHT = "provisioning.view_uploaded_values"

WORDS = {
    "accepted": gettext_lazy("waits"),
    "parked": gettext_lazy("parked"),
    "conflict": gettext_lazy("conflict"),
    "rejected": gettext_lazy("rejected"),
    "applied": gettext_lazy("done"),
}
MOODS = {"parked": "warn", "conflict": "warn", "rejected": "bad", "applied": "good"}


def page_of(organization: Organization) -> str:
    name = "admin:provisioning_organization_mutations"
    return reverse(name, args=[organization.pk])


def shown(request: HttpRequest, organization: Organization) -> dict[str, Any]:
    """What the page says; without the right to see values, none of them."""
    status, device = _chosen(request.GET)
    context: dict[str, Any] = {
        "statuses": [(name, WORDS[name]) for name in STATUSES],
        "chosen_status": status,
        "chosen_device": device,
        "most": MOST_SHOWN,
        "may_act": request.user.has_perm("provisioning.change_workitem"),
        "sees_values": request.user.has_perm(VALUES_RIGHT),
        "guards_rows": organization.kind == Organization.Kind.DATAVERSE,
    }
    if not oversight.has_staging(organization):
        return context | {"trouble": _("There is no staging database in this state.")}
    wanted = Filter(
        statuses=(status,) if status else UNSETTLED,
        device_id=UUID(device) if device else None,
        limit=MOST_SHOWN,
    )
    try:
        lines = upload_oversight.mutations(
            organization.pk, wanted, with_values=context["sees_values"]
        )
        pending = upload_oversight.pending(organization.pk)
    except SyncError as error:
        return context | {"trouble": str(error)}
    told = [
        {"line": line, "word": WORDS[line.status], "mood": MOODS.get(line.status, "")}
        for line in lines
    ]
    return context | {"lines": told, "pending": pending}


def acted(request: HttpRequest, organization: Organization) -> HttpResponseRedirect:
    """Do what the operator asked for, and go back to the page."""
    if not request.user.has_perm("provisioning.change_workitem"):
        raise PermissionDenied
    mutation, device = (request.POST.get(name, "") for name in ("mutation", "device"))
    if is_guid(mutation):
        device_id = UUID(device) if is_guid(device) else None
        try:
            _act(request, organization, UUID(mutation), device_id=device_id)
        except SyncError as error:
            messages.warning(request, str(error))
    return HttpResponseRedirect(page_of(organization))


def _act(
    request: HttpRequest,
    organization: Organization,
    mutation_id: UUID,
    *,
    device_id: UUID | None,
) -> None:
    operator = request.user.get_username()
    if request.POST.get("verb") == "discard":
        upload_verbs.discard(
            organization.pk, mutation_id, operator=operator, device_id=device_id
        )
        messages.success(request, _("The edit was discarded."))
        return
    values = None
    if request.POST.get("verb") == "edit":
        if not request.user.has_perm(VALUES_RIGHT):
            raise PermissionDenied
        values = _values(request.POST)
    upload_verbs.retry(
        organization.pk,
        mutation_id,
        operator=operator,
        device_id=device_id,
        values=values,
        onto_present="onto_present" in request.POST,
    )
    messages.success(request, _("The edit is tried again."))


def _values(posted: QueryDict) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(posted.get("values", ""), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = _("The values are no JSON object: %(reason)s")
        raise upload_verbs.MutationStateError(text % {"reason": error}) from error


def tiles(organization: Organization, *, answers: bool) -> list[dict[str, Any]]:
    """What the organization's own page says of uploads."""
    pending = _pending(organization) if answers else None
    url = page_of(organization)
    return [
        {
            "label": _("Edits that wait"),
            "value": pending.waiting if pending else None,
            "url": url,
        },
        {
            "label": _("Oldest edit that waits"),
            "seconds": pending.oldest_seconds if pending else None,
            "is_time": True,
        },
        {
            "label": _("Edits parked or failed"),
            "value": pending.parked + pending.failed if pending else None,
            "mood": "warn" if pending and pending.parked + pending.failed else "",
            "url": url,
        },
    ]


def _pending(organization: Organization) -> Pending | None:
    try:
        return upload_oversight.pending(organization.pk)
    except SyncError:
        # The page says above that staging does not answer.
        return None


def _chosen(query: QueryDict) -> tuple[str, str]:
    status, device = query.get("status", ""), query.get("device", "")
    return status if status in STATUSES else "", device if is_guid(device) else ""
