"""Wait for another thread or process, until a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg

PATIENCE_SECONDS = 20.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It never came to that."
        threading.Event().wait(0.002)


def until_blocked(conn: psycopg.Connection, *, seen_by: psycopg.Connection) -> None:
    """Wait until the statement that runs on `conn` waits for a lock."""
    pid = conn.info.backend_pid
    until(
        lambda: (
            seen_by.execute(
                "SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)
            ).fetchone()
            == (True,)
        )
    )
