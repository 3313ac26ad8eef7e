"""An edit of the user, from the moment it is made until its outcome is settled. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sandbox.device.values import compact_json

Body = Mapping[str, object]
Values = Mapping[str, object]
NO_VALUES: Values = {}


class Status(StrEnum):
    """What is known of an edit; `queued` is the device's own word for: not known yet."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    APPLIED = "applied"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    PARKED = "parked"


# The user decides what becomes of these.
FAILED = frozenset({Status.CONFLICT, Status.REJECTED, Status.PARKED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the service says became of a mutation; `document` is all that it said."""

    id: str
    status: Status
    document: Values


def outcome_of(document: object) -> Outcome | None:
    """Read an outcome; None if it has a status that is not known here.

    :raises TypeError: it is no outcome.
    """
    if not isinstance(document, Mapping):
        raise TypeError("an outcome is an object")
    id_, status = document.get("id"), document.get("status")
    if not isinstance(id_, str) or not isinstance(status, str):
        raise TypeError("an outcome has id and status")
    if status not in set(Status) - {Status.QUEUED}:
        return None
    return Outcome(id_, Status(status), document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit; `number` is its name on this device and the order of making.

    `body` is the mutation as it is sent, without id and sequence. It has no sequence
    when it will not be sent any more. `was_sent`: the service may know it.
    """

    number: int
    id: str
    sequence: int | None
    status: Status
    was_sent: bool
    body: Body
    outcome: Values = field(default_factory=dict)

    @property
    def op(self) -> str:
        return str(self.body["op"])

    @property
    def table(self) -> str | None:
        return _text_or_none(self.body.get("table"))

    @property
    def key(self) -> str | None:
        return _text_or_none(self.body.get("key"))

    @property
    def group(self) -> str | None:
        return _text_or_none(self.body.get("group"))

    @property
    def has_failed(self) -> bool:
        return self.status in FAILED

    @property
    def can_be_withdrawn(self) -> bool:
        return self.status is Status.QUEUED and not self.was_sent

    @property
    def values(self) -> Values:
        """The values that are still the user's wish.

        Of a conflict that lost only some columns the others were written: those are
        the server's by now.
        """
        values = _mapping(self.body.get("values"))
        lost = self.outcome.get("lost")
        if self.status is Status.CONFLICT and isinstance(lost, list) and lost:
            return {name: value for name, value in values.items() if name in lost}
        return values

    @property
    def base_values(self) -> Values:
        return _mapping(self.body.get("base_values"))

    @property
    def reason(self) -> str:
        return str(self.outcome.get("reason") or "")

    @property
    def message(self) -> str:
        return str(self.outcome.get("message") or "")

    @property
    def blocked_by(self) -> str | None:
        return _text_or_none(self.outcome.get("blocked_by"))

    @property
    def server_row(self) -> Values | None:
        """The server's row as the outcome of a conflict told it."""
        row = self.outcome.get("row")
        return row if isinstance(row, Mapping) else None

    def mutation(self) -> bytes:
        """Return it as JSON for the request."""
        document = {"id": self.id, "sequence": self.sequence, **self.body}
        return compact_json(document).encode()


def body_of(text: str) -> Body:
    body: Body = json.loads(text)
    return body


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _mapping(value: object) -> Values:
    return value if isinstance(value, Mapping) else NO_VALUES
