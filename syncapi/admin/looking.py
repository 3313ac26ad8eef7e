"""Looking with a user's eyes: his whole set, and why he sees a row or does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from project.errors import SyncError
from provisioning.models import Organization
from replication.services import looking, oversight
from replication.visibility.explained import Explanation, Outcome
from syncapi.parsing import is_guid

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_LONGEST_TEXT = 1_000

VERDICTS: Mapping[Outcome, StrOrPromise] = {
    Outcome.VISIBLE: _("The user sees the row."),
    Outcome.UNKNOWN_TABLE: _("The table is unknown."),
    Outcome.UNKNOWN_ROW: _("The row is unknown in staging."),
    Outcome.UNKNOWN_USER: _("The user is unknown."),
    Outcome.DISABLED_USER: _("The user is disabled."),
    Outcome.BLOCKED_USER: _("The user is blocked."),
    Outcome.NO_ROLE: _("The user holds no role."),
    Outcome.NO_PROFILE: _("The user has no profile."),
    Outcome.NOT_IN_PROFILES: _("No profile of the user takes the table along."),
    Outcome.NO_PRIVILEGE: _("The user may not read the table."),
    Outcome.NOT_OPENED: _("The user's rights do not open this row."),
    Outcome.ORGANIZATION_FILTER: _("The organization filter leaves the row out."),
    Outcome.NOT_TAKEN: _("No profile item takes the row."),
    Outcome.CATCHING_UP: _("The rule is being brought up to date."),
}


def asked(organization: Organization, query: QueryDict) -> dict[str, Any]:
    """Who is looked for and who is found, for both pages."""
    text = query.get("who", "").strip()[:_LONGEST_TEXT].replace("\x00", "")
    context: dict[str, Any] = {"who": text, "people": (), "person": None}
    if not oversight.has_staging(organization):
        return context | {"trouble": _("There is no staging database in this state.")}
    wanted = query.get("user", "")
    if not text and not is_guid(wanted):
        return context
    try:
        found = looking.people(organization.pk, text=text or wanted)
    except SyncError as error:
        return context | {"trouble": str(error)}
    person = found[0] if len(found) == 1 else None
    return context | {"people": found, "person": person, "has_asked": True}


def whole_set(organization: Organization, person: looking.Person) -> dict[str, Any]:
    try:
        taken = looking.whole_set(organization.pk, user_id=person.id)
    except SyncError as error:
        return {"trouble": str(error)}
    return {"taken": taken, "total": sum(one.rows for one in taken)}


def explanation(
    organization: Organization, user_id: UUID, query: QueryDict
) -> dict[str, Any]:
    table = query.get("table", "").strip()[:_LONGEST_TEXT].replace("\x00", "")
    key = query.get("key", "").strip()[:_LONGEST_TEXT].replace("\x00", "")
    context: dict[str, Any] = {"table": table, "key": key}
    if not table or not key:
        return context
    try:
        found: Explanation = looking.explanation(
            organization.pk, user_id=user_id, table=table, key=key
        )
    except SyncError as error:
        return context | {"trouble": str(error)}
    return context | {"explanation": found, "verdict": VERDICTS[found.outcome]}


def rules(organization: Organization) -> dict[str, Any]:
    """Rules and suspended items, for the organization's page."""
    if not oversight.has_staging(organization):
        return {}
    try:
        return {
            "rules": looking.rules_of(organization.pk),
            "problems": looking.effective_problems(organization.pk),
        }
    except SyncError:
        # The page says above that staging does not answer.
        return {}
