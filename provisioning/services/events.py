"""Take provisioning events in: check them, seal their secrets, store them once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.utils import timezone

from project.errors import RejectedError
from provisioning.domain.event_bodies import MemberError, faults, moment
from provisioning.models import ProvisioningEvent
from provisioning.secrets import fingerprint, fingerprint_matches, seal

# An event from the future would make everything before it look superseded.
CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told; `repeated` means that the event was known."""

    event_id: UUID
    repeated: bool


class InvalidEventError(RejectedError):
    """The body breaks the protocol; `errors` names each member and its fault."""

    code = "malformed"

    def __init__(self, found: tuple[MemberError, ...]) -> None:
        members = ", ".join(fault.member for fault in found)
        super().__init__(f"The event is malformed: {members}.")
        self.errors: list[dict[str, str]] = [asdict(fault) for fault in found]


class ReusedEventError(RejectedError):
    """The id was used before, for an event with another body."""

    code = "reused"


def receive(body: Mapping[str, object]) -> Receipt:
    """Store an event for `process`; the same event may come any number of times.

    What is stored holds no secret in the clear.

    :raises InvalidEventError: nothing was stored.
    :raises ReusedEventError: another body came under this id before.
    """
    _check(body)
    event = _event_of(cast("Mapping[str, Any]", body))
    data = _canonical(body)
    event.fingerprint = fingerprint(data, identity=str(event.pk))
    known, created = ProvisioningEvent.objects.get_or_create(
        pk=event.pk,
        defaults={
            name: getattr(event, name)
            for name in (
                "type",
                "organization_id",
                "occurred_at",
                "body",
                "credential_sealed",
                "fingerprint",
            )
        },
    )
    if not created and not fingerprint_matches(
        known.fingerprint, data=data, identity=str(known.pk)
    ):
        raise ReusedEventError(f"Event {known.pk} came before with another body.")
    return Receipt(event_id=event.pk, repeated=not created)


def _check(body: Mapping[str, object]) -> None:
    found = faults(body)
    if not found and moment(str(body["occurred_at"])) > _latest_believable():
        found = (MemberError("occurred_at", "must not lie in the future"),)
    if found:
        raise InvalidEventError(found)


def _latest_believable() -> datetime:
    return timezone.now() + CLOCK_TOLERANCE


def _event_of(body: Mapping[str, Any]) -> ProvisioningEvent:
    event = ProvisioningEvent(
        pk=UUID(body["id"]),
        type=body["type"],
        organization_id=UUID(body["organization"]["id"]),
        occurred_at=moment(body["occurred_at"]),
        body=_without_credential(body),
    )
    credential = body["organization"].get("credential")
    if credential is not None:
        event.credential_sealed = seal(
            _canonical(credential), identity=event.credential_identity
        )
    return event


def _without_credential(body: Mapping[str, Any]) -> dict[str, Any]:
    organization = dict(body["organization"])
    if "credential" in organization:
        organization["credential"] = {"type": organization["credential"]["type"]}
    return {**body, "organization": organization}


def _canonical(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
