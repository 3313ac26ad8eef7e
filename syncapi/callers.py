"""Find out who asks: which organization, whose token, whose device.

Plain values in and out, so that a view of any framework can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from syncapi import identity
from syncapi.identity import Principal
from syncapi.services import devices, directory
from syncapi.services.devices import DeviceFacts
from syncapi.services.directory import OrganizationFacts


@dataclass(frozen=True, slots=True)
class Caller:
    """A person with a valid token for an organization that exists."""

    organization: OrganizationFacts
    principal: Principal


def caller_of(authorization: str | None, *, organization: str) -> Caller:
    """:raises SyncError: no such organization, or no token that is valid for it."""
    facts = directory.organization_named(organization)
    principal = identity.verifier.device_user(
        authorization, trust=directory.trust_of(facts)
    )
    return Caller(facts, principal)


def served_caller_of(authorization: str | None, *, organization: str) -> Caller:
    """The same, of an organization that serves devices now.

    :raises SyncError: also when it is suspended or not provisioned far enough.
    """
    caller = caller_of(authorization, organization=organization)
    directory.insist_on_service(caller.organization)
    return caller


def device_of(caller: Caller, *, device_id: UUID) -> DeviceFacts:
    """:raises SyncError: it is not the caller's, or was revoked."""
    return devices.held_by(
        caller.organization.id,
        device_id=device_id,
        object_id=caller.principal.object_id,
    )
