"""Which organizations there are, as devices may know it; two seconds old at most."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from project.errors import MisconfiguredError, RejectedError, TransientError
from provisioning.models import UNIQUE_NAME_PATTERN, Organization
from syncapi.expiring import Expiring
from syncapi.identity import Trust

AGE_SECONDS = 2.0
CAPACITY = 2_000

_NAME = re.compile(UNIQUE_NAME_PATTERN, re.ASCII)
_GONE = frozenset({Organization.State.DEPROVISIONING, Organization.State.DEPROVISIONED})


class UnknownOrganizationError(RejectedError):
    """No organization has this name, or none any more."""

    code = "unknown_organization"


class NotReadyError(TransientError):
    """The organization is still being set up, or that failed."""

    code = "not_ready"


class SuspendedError(TransientError):
    """An operator suspended the organization."""

    code = "unavailable"


class IdentityMissingError(MisconfiguredError):
    """The organization's identity names no authority, issuers, audience or tenant."""

    code = "identity_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationFacts:
    """What an answer to a device needs to know of its organization."""

    id: UUID
    unique_name: str
    state: str
    may_serve: bool
    authority: str
    audience: str
    trust: Trust | None


# Names that do not exist have a store of their own, so that guessing names does
# not push the real ones out, and takes the same time.
_known: Expiring[str, OrganizationFacts] = Expiring(
    capacity=CAPACITY, seconds=AGE_SECONDS
)
_unknown: Expiring[str, bool] = Expiring(capacity=CAPACITY, seconds=AGE_SECONDS)


def organization_named(name: str) -> OrganizationFacts:
    """:raises UnknownOrganizationError: there is none that devices may know of."""
    facts = _known.get(name)
    if facts is None and not _unknown.get(name):
        facts = _look_up(name)
    if facts is None:
        raise UnknownOrganizationError("There is no such organization.")
    return facts


def insist_on_service(facts: OrganizationFacts) -> None:
    """Let only organizations pass whose devices may download.

    :raises SuspendedError: an operator suspended it.
    :raises NotReadyError: it is not provisioned far enough.
    """
    if facts.may_serve:
        return
    if facts.state == Organization.State.SUSPENDED:
        raise SuspendedError(
            "The organization is suspended.", retry_after=timedelta(minutes=5)
        )
    raise NotReadyError(
        f"The organization is {facts.state}.", retry_after=timedelta(seconds=10)
    )


def trust_of(facts: OrganizationFacts) -> Trust:
    """:raises IdentityMissingError: whose tokens to take is not configured."""
    if facts.trust is None:
        message = f"Organization {facts.unique_name} has no complete identity."
        raise IdentityMissingError(message)
    return facts.trust


def forget() -> None:
    """Drop what is remembered, so that the next question asks the catalog."""
    _known.clear()
    _unknown.clear()


def _look_up(name: str) -> OrganizationFacts | None:
    found = None
    if _NAME.fullmatch(name):
        live = Organization.objects.exclude(state__in=_GONE)
        found = live.filter(unique_name=name).first()
    if found is None:
        _unknown.put(name[:41], True)
        return None
    facts = _facts_of(found)
    _known.put(name, facts)
    return facts


def _facts_of(organization: Organization) -> OrganizationFacts:
    identity = organization.identity
    return OrganizationFacts(
        id=organization.id,
        unique_name=organization.unique_name,
        state=organization.state,
        may_serve=organization.may_serve,
        authority=str(identity.get("authority", "")),
        audience=str(identity.get("audience", "")),
        trust=Trust.from_identity(
            identity,
            ca_certificate=organization.ca_certificate,
            makes_users=organization.kind != Organization.Kind.DATAVERSE,
        ),
    )
