"""The published profiles, as the staging database keeps them.

They live beside the rows that they govern, so that one snapshot shows both. What was
published takes effect once the rules that it needs are built: until then everybody
keeps what the profiles before it gave.
"""

from __future__ import annotations

import msgspec
import psycopg

from replication.domain.profiles import Policy
from replication.staging import clock
from replication.staging.clock import LockedClock


def published(conn: psycopg.Connection) -> Policy:
    """What an administrator published last."""
    return _read(conn, "body")


def effective(conn: psycopg.Connection) -> Policy:
    """What users are served by."""
    return _read(conn, "effective")


def _read(conn: psycopg.Connection, column: str) -> Policy:
    row = conn.execute(f"SELECT {column}::text FROM sync.policy").fetchone()
    if row is None or row[0] is None:
        return Policy()
    return msgspec.json.decode(row[0], type=Policy)


def is_in_effect(conn: psycopg.Connection) -> bool:
    """Compared as they are read: what was stored lacks members that came later."""
    return published(conn) == effective(conn)


def publish(conn: psycopg.Connection, policy: Policy) -> None:
    """Replace the published profiles. Publishing the same again changes nothing."""
    body = msgspec.json.encode(policy).decode()
    with conn.transaction():
        held = clock.lock(conn)
        changed = conn.execute(
            "INSERT INTO sync.policy AS p (body) VALUES (%s)"
            " ON CONFLICT (singleton) DO UPDATE"
            " SET body = excluded.body, published_at = now()"
            " WHERE p.body <> excluded.body",
            (body,),
        )
        held.changed_access = changed.rowcount > 0
        clock.store(conn, held)


def replace(conn: psycopg.Connection, changed: Policy, *, instead_of: Policy) -> None:
    """Publish, unless somebody published something else meanwhile."""
    with conn.transaction():
        # Whoever publishes holds the clock.
        clock.lock(conn)
        if published(conn) == instead_of:
            publish(conn, changed)


def take_effect(conn: psycopg.Connection, policy: Policy, *, held: LockedClock) -> None:
    """Serve users by this policy from now on; the caller holds the clock."""
    changed = conn.execute(
        "UPDATE sync.policy SET effective = %s::jsonb"
        " WHERE effective IS DISTINCT FROM %s::jsonb",
        (msgspec.json.encode(policy).decode(),) * 2,
    )
    held.changed_access = held.changed_access or changed.rowcount > 0
