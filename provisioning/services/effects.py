"""Carry out what an event or an operator asks of one organization.

Runs inside the caller's transaction: state, work items and audit entry commit
together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from provisioning import queries
from provisioning.domain.states import STEPPING, Refusal, Standing, after_verb
from provisioning.models import AuditEntry, Organization, WorkItem
from provisioning.secrets import seal
from provisioning.services import leases, progress

__all__ = ["Ask", "Refusal", "carry_out", "lock_for_this_transaction"]

# Members of an event's organization that are columns of the same name.
_COLUMNS = (
    "unique_name",
    "kind",
    "display_name",
    "endpoint",
    "identity",
    "ca_certificate",
)
_WRITTEN = (
    *_COLUMNS,
    "credential_type",
    "credential_sealed",
    "budget",
    "tables",
    "state",
    "suspended_from",
    "failed_step",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A verb for an organization, and who speaks it."""

    verb: str
    organization_id: UUID
    actor: str
    members: Mapping[str, Any] = field(default_factory=dict)
    credential: Mapping[str, str] | None = field(default=None, repr=False)
    tables: list[str] | None = None


def lock_for_this_transaction(name: str) -> bool:
    """Take an advisory lock until the transaction ends; False if another has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"waystation {name}"],
        )
        (taken,) = cursor.fetchone()
    return bool(taken)


def carry_out(ask: Ask, *, organization: Organization | None) -> Refusal | None:
    """Do what is asked to a locked organization, or say why it does not fit.

    None stands for an organization that does not exist yet.
    """
    decision = after_verb(ask.verb, now=_standing(organization))
    if isinstance(decision, Refusal):
        return decision
    refusal = _further_refusal(ask)
    if refusal is not None:
        return refusal
    before = organization.state if organization else None
    organization = organization or Organization(pk=ask.organization_id)
    _describe(organization, ask)
    organization.state = decision.state
    organization.suspended_from = decision.suspended_from
    organization.failed_step = decision.failed_step
    _save(organization)
    if organization.state != before:
        _begin_step(organization)
    _wake_work(organization, ask)
    _audit(organization, ask)
    return None


def _standing(organization: Organization | None) -> Standing | None:
    if organization is None:
        return None
    return Standing(
        state=organization.state,
        suspended_from=organization.suspended_from,
        failed_step=organization.failed_step,
    )


def _further_refusal(ask: Ask) -> Refusal | None:
    if ask.verb == "provision" and _name_is_taken(ask):
        return Refusal("Another organization bears this unique name.")
    if ask.verb == "resync" and ask.tables:
        items = queries.work_items_of(ask.organization_id)
        unknown = set(ask.tables) - set(items.values_list("table", flat=True))
        if unknown:
            return Refusal(f"No such table: {', '.join(sorted(unknown))}.")
    return None


def _name_is_taken(ask: Ask) -> bool:
    # Two organizations that ask for one name at once are told apart here.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"waystation name {ask.members['unique_name']}"],
        )
    bearers = queries.live_organizations().filter(
        unique_name=ask.members["unique_name"]
    )
    return bearers.exclude(pk=ask.organization_id).exists()


def _describe(organization: Organization, ask: Ask) -> None:
    """Write down what the message says of the organization, its secrets sealed."""
    if ask.verb == "provision":
        _forget_earlier_life(organization)
    for name in _COLUMNS:
        if name in ask.members:
            setattr(organization, name, ask.members[name])
    if ask.credential is not None:
        organization.credential_type = ask.credential["type"]
        organization.credential_sealed = seal(
            json.dumps(ask.credential).encode(),
            identity=organization.credential_identity,
        )
    if ask.credential is not None or "endpoint" in ask.members:
        # Another source, or another identity there: found again when it is opened.
        organization.budget = None
    if ask.tables is not None and ask.verb != "resync":
        organization.tables = ask.tables
    if not organization.display_name:
        organization.display_name = organization.unique_name


def _forget_earlier_life(organization: Organization) -> None:
    organization.display_name = organization.ca_certificate = ""
    organization.tables = []
    organization.credential_type = Organization.CredentialType.NONE
    organization.credential_sealed = b""


def _save(organization: Organization) -> None:
    if organization._state.adding:
        organization.save(force_insert=True)
    else:
        organization.save(update_fields=_WRITTEN)


def _begin_step(organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(
        last_error="",
        step_attempts=0,
        step_due_at=Now() if organization.state in STEPPING else None,
    )


def _wake_work(organization: Organization, ask: Ask) -> None:
    items = queries.work_items_of(organization.pk)
    match ask.verb:
        case "update":
            leases.revive(items.filter(last_failure=WorkItem.Failure.MISCONFIGURED))
            leases.make_due(items.filter(kind=WorkItem.Kind.METADATA))
        case "resume":
            progress.advance(organization)
            leases.make_due(items)
        case "resync":
            wanted = items.filter(kind=WorkItem.Kind.TABLE)
            if ask.tables:
                wanted = wanted.filter(table__in=ask.tables)
            leases.request_resync(wanted)
        case "deprovision":
            # A worker that holds one is refused at its next word.
            leases.stop(items)


def _audit(organization: Organization, ask: Ask) -> None:
    detail: dict[str, object] = {"state": organization.state}
    if ask.members:
        detail["members"] = sorted(ask.members)
    if ask.tables is not None:
        detail["tables"] = len(ask.tables)
    AuditEntry.objects.create(
        actor=ask.actor, verb=ask.verb, organization=organization, detail=detail
    )
