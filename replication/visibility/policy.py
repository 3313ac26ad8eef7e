"""The published profiles, as the staging database keeps them.

They live beside the rows that they govern, so that one snapshot shows both.
"""

from __future__ import annotations

import msgspec
import psycopg

from replication.domain.profiles import Policy
from replication.staging import clock


def published(conn: psycopg.Connection) -> Policy:
    row = conn.execute("SELECT body::text FROM sync.policy").fetchone()
    return msgspec.json.decode(row[0], type=Policy) if row else Policy()


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
