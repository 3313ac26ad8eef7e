"""The users of an organization whose source has none: kept, read and blocked.

A change that decides what somebody may hold takes a rev, like a change of a role.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from replication.domain import token_users
from replication.domain.token_users import Claims, Known, SignIn
from replication.staging import clock
from replication.visibility import claim_keys, policy
from replication.visibility.claims_named import claims_named


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUser:
    """Somebody who signed in. Days are those of UTC."""

    id: UUID
    issuer: str
    subject: str
    name: str
    issued_at: int
    claims: Claims
    is_blocked: bool
    first_seen: date
    last_seen: date

    @property
    def known(self) -> Known:
        return Known(name=self.name, issued_at=self.issued_at, claims=self.claims)


_COLUMNS = (
    "id, issuer, subject, name, issued_at, claims, is_blocked, first_seen, last_seen"
)


def find(conn: psycopg.Connection, user: UUID) -> TokenUser | None:
    found = _users(conn, "WHERE id = %s", user)
    return found[0] if found else None


def page(
    conn: psycopg.Connection, *, after: UUID | None, most: int
) -> tuple[TokenUser, ...]:
    """Users by id, from the position on."""
    begin = after or UUID(int=0)
    return _users(conn, "WHERE id > %s ORDER BY id LIMIT %s", begin, most)


def latest(
    conn: psycopg.Connection, *, text: str = "", most: int
) -> tuple[TokenUser, ...]:
    """Users with the text in their name or subject, or with this id; the most recently
    seen first."""
    return _users(
        conn,
        "WHERE %s IN (id::text, subject)"
        " OR position(lower(%s) IN lower(name)) > 0"
        " ORDER BY last_seen DESC, name, id LIMIT %s",
        text,
        text,
        most,
    )


def sign_in(
    conn: psycopg.Connection, told: SignIn, *, today: date
) -> tuple[TokenUser, bool]:
    """The user whom the token speaks for, as kept from now on, and whether that took a
    rev.

    Written is only what differs; a blocked user stays as he is.

    :raises UnusableClaimError: what the token says cannot be served.
    """
    user = find(conn, told.user)
    if user is not None and user.is_blocked:
        return user, False
    known = user.known if user else None
    claims = token_users.kept(known, told, named=claims_kept(conn))
    if user is None or claims != user.claims:
        return _written(conn, told, today), True
    has_news = told.issued_at > user.issued_at or today > user.last_seen
    if has_news and not _note(conn, user, told, today):
        return _written(conn, told, today), True
    return user, False


def _note(conn: psycopg.Connection, user: TokenUser, told: SignIn, today: date) -> bool:
    """Note a newer token, or another day, which concerns no device; False if somebody
    else has changed the claims meanwhile."""
    is_newer = told.issued_at > user.issued_at
    noted = conn.execute(
        "UPDATE sync.token_user SET name = %s, issued_at = greatest(issued_at, %s),"
        " last_seen = greatest(last_seen, %s) WHERE id = %s AND claims = %s::jsonb",
        (
            told.name if is_newer else user.name,
            told.issued_at,
            today,
            user.id,
            _encoded(user.claims),
        ),
    )
    return noted.rowcount > 0


def _written(conn: psycopg.Connection, told: SignIn, today: date) -> TokenUser:
    """Whoever publishes, blocks or signs in holds the clock, so that this is decided by
    what is true now."""
    with conn.transaction():
        held = clock.lock(conn)
        # Newer tokens are noted without the clock.
        conn.execute(
            "SELECT FROM sync.token_user WHERE id = %s FOR UPDATE", (told.user,)
        )
        before = find(conn, told.user)
        named = claims_kept(conn)
        claims = token_users.kept(before.known if before else None, told, named=named)
        _store(conn, before, told, claims, today)
        claim_keys.note(conn, {text for texts in claims.values() for text in texts})
        held.changed_access = before is None or any(
            claims.get(name) != before.claims.get(name) for name in named
        )
        clock.store(conn, held)
        user = find(conn, told.user)
    assert user is not None
    return user


def _store(
    conn: psycopg.Connection,
    before: TokenUser | None,
    told: SignIn,
    claims: Claims,
    today: date,
) -> None:
    newest: SignIn | TokenUser = told
    if before is not None and before.issued_at > told.issued_at:
        newest = before
    conn.execute(
        "INSERT INTO sync.token_user AS u (id, issuer, subject, name, issued_at, claims,"
        " first_seen, last_seen) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, claims = excluded.claims,"
        " issued_at = excluded.issued_at,"
        " last_seen = greatest(u.last_seen, excluded.last_seen)",
        (
            told.user,
            told.issuer,
            told.subject,
            newest.name,
            newest.issued_at,
            _encoded(claims),
            today,
            today,
        ),
    )


def set_blocked(conn: psycopg.Connection, user: UUID, *, is_blocked: bool) -> bool:
    """Whether there is such a user. Repeating changes nothing."""
    with conn.transaction():
        held = clock.lock(conn)
        changed = conn.execute(
            "UPDATE sync.token_user SET is_blocked = %s"
            " WHERE id = %s AND is_blocked <> %s",
            (is_blocked, user, is_blocked),
        )
        held.changed_access = changed.rowcount > 0
        clock.store(conn, held)
        return find(conn, user) is not None


def forget_unnamed(conn: psycopg.Connection) -> None:
    """Drop the claims that no profile names any more; nobody is served by them."""
    conn.execute(
        "UPDATE sync.token_user SET claims = ("
        "SELECT coalesce(jsonb_object_agg(key, value), '{}')"
        " FROM jsonb_each(claims) WHERE key = ANY(%(named)s)) WHERE EXISTS"
        " (SELECT FROM jsonb_object_keys(claims) k WHERE k <> ALL(%(named)s))",
        {"named": sorted(claims_kept(conn))},
    )


def names(conn: psycopg.Connection, users: Iterable[UUID]) -> dict[UUID, str]:
    rows = conn.execute(
        "SELECT id, name FROM sync.token_user WHERE id = ANY(%s)", (list(users),)
    )
    return dict(rows.fetchall())


def claims_kept(conn: psycopg.Connection) -> frozenset[str]:
    """Claims that are kept of users: those that are named by what is published, and by
    what users are served by until that takes effect."""
    return claims_named(policy.published(conn)) | claims_named(policy.effective(conn))


def _users(
    conn: psycopg.Connection, condition: str, *parameters: object
) -> tuple[TokenUser, ...]:
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM sync.token_user {condition}", parameters
    )
    return tuple(_user(row) for row in rows)


def _user(row: tuple[Any, ...]) -> TokenUser:
    user, issuer, subject, name, issued_at, claims, is_blocked, first, last = row
    return TokenUser(
        id=user,
        issuer=issuer,
        subject=subject,
        name=name,
        issued_at=issued_at,
        claims={claim: tuple(values) for claim, values in claims.items()},
        is_blocked=is_blocked,
        first_seen=first,
        last_seen=last,
    )


def _encoded(claims: Claims) -> str:
    return msgspec.json.encode(claims, order="sorted").decode()
