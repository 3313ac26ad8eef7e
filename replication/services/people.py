"""Who has signed in where the source has no users, and whom an operator blocks."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from project.errors import RejectedError
from provisioning.models import AuditEntry
from replication.services.heads import drop_head
from replication.staging import connections
from replication.visibility import token_users
from replication.visibility.token_users import TokenUser

__all__ = ["NoSuchUserError", "TokenUser", "block", "found", "page", "unblock"]


class NoSuchUserError(RejectedError):
    """Nobody of this id has signed in."""

    code = "not_found"


def page(
    organization_id: UUID, *, after: UUID | None, most: int
) -> tuple[TokenUser, ...]:
    """Users in the order of their ids, behind a position."""
    with connections.reading(organization_id) as conn:
        return token_users.page(conn, after=after, most=most)


def found(organization_id: UUID, *, text: str, most: int) -> tuple[TokenUser, ...]:
    """Users by id, subject or a part of their name; who came last stands first."""
    with connections.reading(organization_id) as conn:
        return token_users.latest(conn, text=text, most=most)


def block(organization_id: UUID, *, user: UUID, actor: str) -> None:
    """Hand nothing out to the user from now on; what his devices hold stays on them.

    :raises NoSuchUserError: nobody of this id has signed in.
    """
    _decide(organization_id, user, actor=actor, is_blocked=True)


def unblock(organization_id: UUID, *, user: UUID, actor: str) -> None:
    """Let the user have again what profiles give.

    :raises NoSuchUserError: nobody of this id has signed in.
    """
    _decide(organization_id, user, actor=actor, is_blocked=False)


def _decide(organization_id: UUID, user: UUID, *, actor: str, is_blocked: bool) -> None:
    with transaction.atomic():
        AuditEntry.objects.create(
            actor=actor,
            verb="block user" if is_blocked else "unblock user",
            organization_id=organization_id,
            detail={"user": str(user)},
        )
        # Last, so that nothing is decided that nobody can look up.
        with connections.reading(organization_id) as conn:
            is_known = token_users.set_blocked(conn, user, is_blocked=is_blocked)
        if not is_known:
            raise NoSuchUserError("Nobody of this id has signed in.")
    drop_head(organization_id)
