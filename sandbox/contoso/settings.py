"""What can be set while the sandbox runs, and how it is read. Kept with the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sandbox.contoso.limits import WINDOW_SECONDS, Limits
from sandbox.contoso.people import ORGANIZATION_ID
from sandbox.contoso.store import meta

# Name on the wire to name in the store; all of them are whole numbers.
NAMES: Mapping[str, str] = {
    "token_life_seconds": "token_life",
    "expiry_status": "expiry_status",
    "access_token_seconds": "access_token_seconds",
    "limit_requests": "limit_requests",
    "limit_execution_seconds": "limit_execution_seconds",
    "limit_concurrent": "limit_concurrent",
    "limit_window_seconds": "limit_window_seconds",
}
EXPIRY_STATUSES = frozenset({400, 410, 500})
# As Dataverse has them, by user.
REAL_LIMITS: Mapping[str, int] = {
    "limit_requests": 6_000,
    "limit_execution_seconds": 1_200,
    "limit_concurrent": 52,
    "limit_window_seconds": WINDOW_SECONDS,
}


def limits_of(connection: sqlite3.Connection) -> Limits:
    found = dict(
        connection.execute("SELECT key, value FROM meta WHERE key GLOB 'limit_*'")
    )
    return Limits(
        requests=int(found.get("limit_requests", 0)),
        execution_seconds=int(found.get("limit_execution_seconds", 0)),
        concurrent=int(found.get("limit_concurrent", 0)),
        window_seconds=int(found.get("limit_window_seconds", WINDOW_SECONDS)),
    )


def organization_id(connection: sqlite3.Connection) -> str:
    """Return the id of the organization, which a restore may change."""
    return meta(connection, "organization_id") or ORGANIZATION_ID
