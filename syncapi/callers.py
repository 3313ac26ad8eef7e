"""Find out who asks: which organization, whose token, whose device.

Plain values in and out, so that a view of any framework can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from project.errors import RejectedError
from replication.services.serving import SyncUser, Uploader
from syncapi import identity
from syncapi.engine import Engine
from syncapi.identity import Principal
from syncapi.services import devices, directory
from syncapi.services.devices import DeviceFacts
from syncapi.services.directory import OrganizationFacts


class UnknownUserError(RejectedError):
    """The source knows no enabled user for this person."""

    code = "offline_not_allowed"


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
        object_id=caller.principal.person,
    )


def sole_device_of(caller: Caller) -> DeviceFacts:
    """The device of a caller who has but one, so that it need not be named.

    :raises MalformedError: there are several, and it has to be named.
    :raises SyncError: there is none.
    """
    return devices.sole(caller.organization.id, object_id=caller.principal.person)


def uploader_of(caller: Caller, device: DeviceFacts) -> Uploader:
    principal = caller.principal
    return Uploader(
        device_id=device.device_id,
        user_id=device.user_id,
        # Only where the source has users it can be asked to act for one.
        object_id=None if principal.told else principal.object_id,
        user_name=device.user_name,
        token_id=principal.token_id or None,
    )


def user_of(caller: Caller, *, engine: Engine) -> SyncUser:
    """The user whom the caller's token speaks for, in whatever way users are known.

    :raises UnknownUserError: the source knows no enabled user for this person.
    :raises SyncError: an operator blocked the user, or a claim cannot be served.
    """
    organization_id = caller.organization.id
    if caller.principal.told is not None:
        return engine.sign_in(organization_id, told=caller.principal.told)
    object_id = caller.principal.object_id
    user = engine.find_user(organization_id, object_id=object_id)
    if user is None:
        raise UnknownUserError("The source knows no enabled user for this person.")
    return user
