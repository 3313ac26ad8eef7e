"""Remembers every run of a work item: when it was due, and when it was done."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

# A claim leaves the moment at which an item was due alone, and its end changes it.
_LOG = """
CREATE TABLE IF NOT EXISTS bench_run (
    item uuid NOT NULL, organization uuid NOT NULL, due timestamptz NOT NULL,
    started timestamptz NOT NULL, done timestamptz NOT NULL, changes bigint NOT NULL
);
CREATE OR REPLACE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench_run VALUES (OLD.id, OLD.organization_id, OLD.next_due_at,
        OLD.last_started_at, clock_timestamp(), NEW.changes - OLD.changes);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bench_run AFTER UPDATE ON provisioning_workitem
    FOR EACH ROW WHEN (OLD.state = 'leased'
        AND NEW.last_succeeded_at IS DISTINCT FROM OLD.last_succeeded_at)
    EXECUTE FUNCTION bench_note();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    item: UUID
    due: datetime
    started: datetime
    done: datetime
    changes: int

    @property
    def delay(self) -> float:
        """Seconds from the moment it was due until all was committed."""
        return (self.done - self.due).total_seconds()


def note() -> None:
    """Begin to remember runs that succeed."""
    _execute(_LOG)


def since(moment: datetime) -> list[Run]:
    """Runs of items that were due since then, in the order in which they ended."""
    rows = _execute(
        "SELECT item, due, started, done, changes FROM bench_run WHERE due >= %s"
        " ORDER BY done",
        [moment],
    )
    return [
        Run(item=item, due=due, started=started, done=done, changes=changes)
        for item, due, started, done, changes in rows
    ]


def now() -> datetime:
    """PostgreSQL's clock."""
    moment: datetime = _execute("SELECT clock_timestamp()")[0][0]
    return moment


def percentile(values: list[float], share: float) -> float:
    """:raises IndexError: there are no values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def mean(values: list[float]) -> float:
    return statistics.fmean(values)


def _execute(statement: str, parameters: list[Any] | None = None) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
