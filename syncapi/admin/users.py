"""Users who come from their tokens: the page that lists them, and its two verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from project.errors import SyncError
from provisioning.models import Organization
from replication.services import oversight, people
from syncapi.parsing import is_guid

MOST_USERS = 200
_LONGEST_TEXT = 300

VERBS: Mapping[str, Callable[..., None]] = {
    "block": people.block,
    "unblock": people.unblock,
}


def listed(organization: Organization, text: str) -> dict[str, Any]:
    """Who has signed in, the latest first; all of them or those who are looked for."""
    text = text.strip()[:_LONGEST_TEXT].replace("\x00", "")
    context: dict[str, Any] = {"who": text, "most": MOST_USERS, "users": ()}
    if not oversight.has_staging(organization):
        return context | {"trouble": _("There is no staging database in this state.")}
    try:
        found = people.found(organization.pk, text=text, most=MOST_USERS)
    except SyncError as error:
        return context | {"trouble": str(error)}
    return context | {"users": found}


def decide(request: HttpRequest, organization: Organization) -> None:
    """Block or unblock the user whom the form names, and tell what became of it."""
    decision = VERBS.get(request.POST.get("verb", ""))
    user = request.POST.get("user", "")
    if decision is None or not is_guid(user):
        raise Http404
    try:
        decision(organization.pk, user=UUID(user), actor=request.user.get_username())
    except SyncError as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("Done. The user's devices learn of it now."))
