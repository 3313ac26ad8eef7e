"""Take note of who signs in, where users come from their tokens.

A device presents its token with every request, and hardly ever is there anything new
in it: what this process noted is not asked of staging again until rights change, the
token does, or the day.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from replication.domain.token_users import SignIn
from replication.services.heads import drop_head, head_of
from replication.staging import connections
from replication.visibility import token_users
from replication.visibility.member import OfflineNotAllowedError

MOST_NOTED = 20_000


class BlockedUserError(OfflineNotAllowedError):
    """An operator blocked the user."""


@dataclass(frozen=True, slots=True)
class _Noted:
    told: SignIn
    today: date
    # Of which history, and the newest change of rights in it.
    epoch: UUID
    access_rev: int


_lock = threading.Lock()
# Two devices of one user may have tokens of different age.
_noted: OrderedDict[tuple[UUID, UUID, int], _Noted] = OrderedDict()


def sign_in(organization_id: UUID, told: SignIn) -> UUID:
    """Return the user's id, kept from now on with what profiles ask of his token.

    :raises BlockedUserError: an operator blocked him.
    :raises UnusableClaimError: a claim is larger than can be served.
    :raises StagingUnavailableError: the organization's database does not answer.
    """
    head = head_of(organization_id)
    today = datetime.now(UTC).date()
    place = (organization_id, told.user, told.issued_at)
    present = _Noted(told, today, head.epoch, head.access_rev)
    if _noted.get(place) != present:
        with connections.reading(organization_id) as conn:
            user, has_moved = token_users.sign_in(conn, told, today=today)
        if user.is_blocked:
            raise BlockedUserError("An operator blocked the user.")
        if has_moved:
            drop_head(organization_id)
        _remember(place, present)
    return told.user


def forget() -> None:
    """Drop what is remembered, so that the next question asks staging."""
    _noted.clear()


def _remember(place: tuple[UUID, UUID, int], noted: _Noted) -> None:
    with _lock:
        _noted[place] = noted
        _noted.move_to_end(place)
        while len(_noted) > MOST_NOTED:
            _noted.popitem(last=False)
