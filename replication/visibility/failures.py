"""Rules that could not be built: left out for a while, and shown to operators.

One that is impossible, such as an index on values that are too long for it, must keep
neither pulls nor other profile items waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from replication.visibility.planning import RuleOrder

RETRY_AFTER = "1 hour"


def note(conn: psycopg.Connection, order: RuleOrder, error: psycopg.Error) -> None:
    """Remember why. PostgreSQL's details quote rows, hence its message alone."""
    reason = f"{error.sqlstate}: {error.diag.message_primary or 'no message'}"
    with conn.transaction():
        forget(conn, order)
        conn.execute(
            "INSERT INTO sync.failed_rule (source_id, spec, reason) VALUES (%s, %s, %s)",
            (order.source.id, order.spec.text, reason),
        )


def recent(conn: psycopg.Connection) -> frozenset[tuple[int, str]]:
    """(source id, spec) of the rules that are not to be tried again yet."""
    rows = conn.execute(
        "SELECT source_id, spec FROM sync.failed_rule"
        " WHERE failed_at > now() - %s::interval",
        (RETRY_AFTER,),
    )
    return frozenset((source, spec) for source, spec in rows)


def reasons(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """Table and reason of every rule that failed last time."""
    rows = conn.execute(
        "SELECT s.name, f.reason FROM sync.failed_rule f"
        " JOIN sync.source s ON s.id = f.source_id ORDER BY s.name, f.reason"
    )
    return [(name, reason) for name, reason in rows]


def forget(conn: psycopg.Connection, order: RuleOrder) -> None:
    """The rule was built after all."""
    conn.execute(
        "DELETE FROM sync.failed_rule WHERE source_id = %s AND spec = %s",
        (order.source.id, order.spec.text),
    )
