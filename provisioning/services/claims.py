"""Hand out the fairest due work item, with a lease for as long as it may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from provisioning.domain.states import WORKING
from provisioning.services.budgets import SHUT

FAIREST = 100
# How old the source's word on a table's size may be.
SIZE_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A worker's right to a work item until its epoch moves on."""

    work_item_id: UUID
    organization_id: UUID
    kind: str
    table: str
    epoch: int
    attempts: int
    resync_requested: bool = False
    completed_once: bool = False
    sweep_accepted: bool = False
    # The source has not been asked for long how many rows it has.
    size_wanted: bool = False
    # Which part of the table; 0: the table itself.
    part: int = 0


# Items of one lane are capped together.
_LANE = (
    "CASE WHEN w.part > 0 THEN 'part' WHEN w.kind = 'uploads' THEN 'uploads'"
    " ELSE 'other' END"
)

# Organizations that hold the fewest leases go first, then those served longest
# ago. The counts are read without locks: two claims at the same instant may
# overshoot the cap by one, which is cheaper than claims that wait in a line.
# last_served_at is left alone when somebody else holds the organization's row,
# so that a claim never waits. Sources that are shut take nobody's turn.
# Parts of a load have a cap of their own: the source's budget bounds them, and tables of
# the same organization must not wait until all parts are read. The edits of its devices
# wait for neither: there is one item of them, and inside the organization it goes first.
# Items are looked at for the fairest organizations only: after an outage everything
# is due, and sorting it for each claim would cost more than the claim. They are
# enough for every worker that claims in the same instant.
_CLAIM = f"""
WITH shut AS MATERIALIZED ({SHUT}), leased AS (
    SELECT organization_id, count(*) AS items,
           count(*) FILTER (WHERE part > 0) AS parts,
           count(*) FILTER (WHERE part = 0 AND kind <> 'uploads') AS others
    FROM provisioning_workitem WHERE state = 'leased' GROUP BY organization_id
), due AS (
    SELECT organization_id, {_LANE} AS lane, min(next_due_at) AS since
    FROM provisioning_workitem w
    WHERE w.state IN ('due', 'postponed')
      AND w.next_due_at <= statement_timestamp()
      AND (%(only)s::uuid IS NULL OR w.id = %(only)s::uuid)
    GROUP BY organization_id, lane
), fair AS MATERIALIZED (
    SELECT o.id, due.lane, coalesce(l.items, 0) AS items, o.last_served_at
    FROM due
    JOIN provisioning_organization o ON o.id = due.organization_id
    LEFT JOIN leased l ON l.organization_id = o.id
    WHERE o.state = ANY(%(working)s)
      AND CASE due.lane WHEN 'part' THEN coalesce(l.parts, 0) < %(parts_cap)s
                        WHEN 'other' THEN coalesce(l.others, 0) < %(cap)s
                        ELSE true END
      AND NOT EXISTS (
          SELECT FROM shut WHERE shut.id = o.budget_id
          AND (due.lane <> 'uploads' OR NOT shut.is_full)
      )
    ORDER BY coalesce(l.items, 0), o.last_served_at NULLS FIRST,
             due.lane <> 'uploads', due.since, o.id
    LIMIT {FAIREST}
), candidate AS (
    SELECT w.id, w.organization_id
    FROM fair JOIN provisioning_workitem w
        ON w.organization_id = fair.id AND {_LANE} = fair.lane
    WHERE w.state IN ('due', 'postponed')
      AND w.next_due_at <= statement_timestamp()
      AND (%(only)s::uuid IS NULL OR w.id = %(only)s::uuid)
    ORDER BY fair.items, fair.last_served_at NULLS FIRST,
             fair.lane <> 'uploads', w.next_due_at, w.id
    LIMIT 1
    FOR UPDATE OF w SKIP LOCKED
), served AS (
    UPDATE provisioning_organization o
    SET last_served_at = clock_timestamp()
    FROM (
        SELECT p.id FROM provisioning_organization p
        JOIN candidate ON candidate.organization_id = p.id
        FOR NO KEY UPDATE OF p SKIP LOCKED
    ) AS free
    WHERE o.id = free.id
)
UPDATE provisioning_workitem w
SET state = 'leased',
    leased_until = statement_timestamp() + %(lease)s,
    last_started_at = statement_timestamp(),
    epoch = epoch + 1,
    attempts = attempts + 1,
    run_again = false
FROM candidate
WHERE w.id = candidate.id
RETURNING w.id, w.organization_id, w.kind, w."table", w.epoch, w.attempts,
          w.resync_requested, w.completed_once, w.sweep_accepted,
          (w.source_rows_at > statement_timestamp() - %(size_age)s) IS NOT TRUE,
          w.part
"""


def claim(*, lease: timedelta, only: UUID | None = None) -> Lease | None:
    """Lease the fairest due item, or only the given one if it is due.

    None means that nothing may run now.
    """
    parameters: dict[str, Any] = {
        "working": sorted(WORKING),
        "cap": settings.ORGANIZATION_CONCURRENCY,
        "parts_cap": settings.PARTS_AT_ONCE,
        "only": only,
        "lease": lease,
        "size_age": SIZE_AGE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        row = cursor.fetchone()
    if row is None:
        return None
    return Lease(
        work_item_id=row[0],
        organization_id=row[1],
        kind=row[2],
        table=row[3],
        epoch=row[4],
        attempts=row[5],
        resync_requested=row[6],
        completed_once=row[7],
        sweep_accepted=row[8],
        size_wanted=row[9],
        part=row[10],
    )
