"""Share what a source bears among all workers: slots, pauses and the breaker.

Everything stands in the catalog. A slot is taken once for a run of requests, so that
a page costs nothing more; it falls back when whoever holds it stops renewing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from provisioning import queries
from provisioning.domain import budgets
from provisioning.domain.budgets import Standing, Trouble
from provisioning.models import Organization, SourceBudget, SourceSlot, WorkItem

# Sources that nobody may ask now: paused, broken, or with all their slots taken; the
# last ones may still be asked by uploads, which have a slot more. While the breaker is
# half open, only the first slot counts. None of the ids is null.
SHUT = """
SELECT b.id, false AS is_full FROM provisioning_sourcebudget b
WHERE b.paused_until > statement_timestamp() OR b.open_until > statement_timestamp()
UNION ALL
SELECT b.id, true
FROM provisioning_sourceslot k JOIN provisioning_sourcebudget b ON b.id = k.budget_id
WHERE k.holder IS NOT NULL AND k.held_until > statement_timestamp()
  AND k.number < CASE WHEN b.open_until IS NULL THEN floor(b.window) ELSE 1 END
GROUP BY b.id
HAVING count(*) >= CASE WHEN b.open_until IS NULL THEN floor(b.window) ELSE 1 END
"""

_TAKE = """
WITH budget AS (
    SELECT id, pace, "window",
           CASE WHEN open_until IS NULL
                THEN floor("window") + %(reserve)s ELSE 1 END AS allowed
    FROM provisioning_sourcebudget
    WHERE id = %(budget)s
      AND (paused_until <= statement_timestamp()) IS NOT FALSE
      AND (open_until <= statement_timestamp()) IS NOT FALSE
), free AS (
    SELECT k.id, budget.pace, budget."window"
    FROM provisioning_sourceslot k JOIN budget ON k.budget_id = budget.id
    WHERE k.number < budget.allowed
      AND (k.held_until <= statement_timestamp()) IS NOT FALSE
    ORDER BY k.number LIMIT 1
    FOR UPDATE OF k SKIP LOCKED
)
UPDATE provisioning_sourceslot k
SET holder = %(holder)s, held_until = statement_timestamp() + %(hold)s
FROM free WHERE k.id = free.id
RETURNING k.id, free.pace, free."window"
"""

# The slot, the item's counters and the source's, in one round trip. A success closes
# the breaker, unless it was opened meanwhile.
_GIVE_BACK = """
WITH freed AS (
    UPDATE provisioning_sourceslot SET holder = NULL, held_until = NULL
    WHERE id = %(slot)s AND holder = %(holder)s
), counted AS (
    UPDATE provisioning_workitem
    SET requests = requests + %(requests)s,
        throttled_seconds = throttled_seconds + %(throttled_seconds)s
    WHERE id = %(item)s AND %(requests)s > 0
)
UPDATE provisioning_sourcebudget
SET requests = requests + %(requests)s,
    streak = least(streak + %(answers)s, 1000000),
    failures = CASE WHEN %(recovers)s THEN 0 ELSE failures END,
    trips = CASE WHEN %(recovers)s AND (open_until <= statement_timestamp())
                      IS NOT FALSE THEN 0 ELSE trips END,
    open_until = CASE WHEN %(recovers)s AND open_until <= statement_timestamp()
                      THEN NULL ELSE open_until END
WHERE id = %(budget)s AND %(requests)s > 0
RETURNING streak >= %(grows)s AND changed_at < statement_timestamp() - %(after)s
          AND open_until IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A right to one request in flight at a source, until it is given back."""

    id: int
    budget_id: int
    holder: UUID
    # Requests a second; None: as fast as they come.
    pace: float | None
    # How many requests the source bears in flight.
    window: float = budgets.FIRST_WINDOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was done with a slot. `answers` counts requests without trouble.

    `recovers` says that the last word of the source was a good one.
    """

    requests: int
    answers: int
    throttled_seconds: float = 0
    recovers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Until when nobody may ask (None: now), and how fast whoever asks may."""

    shut_for: timedelta | None
    pace: float | None


def budget_of(organization: Organization) -> int:
    """Return the budget of the organization's source, made at the first call.

    :raises SealBrokenError: the credential cannot be opened.
    """
    if organization.budget_id is not None:
        return organization.budget_id
    origin = origin_of(organization.endpoint)
    identity = _identity(queries.credential_of(organization), organization.pk)
    key = hashlib.sha256(f"{origin}\0{identity}".encode()).hexdigest()
    budget, is_new = SourceBudget.objects.get_or_create(
        key=key, defaults={"origin": origin[:300]}
    )
    if is_new:
        # One more than may be used: uploads have it for themselves.
        _ensure_slots(budget.pk, int(budgets.FIRST_WINDOW) + 1)
    Organization.objects.filter(pk=organization.pk).update(budget=budget)
    organization.budget = budget
    return budget.pk


def origin_of(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _identity(credential: dict[str, str], organization_id: UUID) -> str:
    """Name whose requests the source counts; no secret goes in."""
    names = ("type", "tenant_id", "client_id", "username")
    parts = [credential.get(name, "") for name in names]
    if credential["type"] == "bearer":
        # Whose token it is, only the token says.
        parts.append(str(organization_id))
    return "\0".join(parts)


def take(
    budget_id: int, *, holder: UUID, hold: timedelta, urgent: bool = False
) -> Slot | None:
    """Take a slot, if the source may be asked and one is free.

    Urgent requests, those that carry a device's edits, have a slot more.
    """
    parameters: dict[str, Any] = {
        "budget": budget_id,
        "holder": holder,
        "hold": hold,
        "reserve": int(urgent),
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, parameters)
        row = cursor.fetchone()
    if row is None:
        return None
    slot, pace, window = row
    return Slot(id=slot, budget_id=budget_id, holder=holder, pace=pace, window=window)


def renew(holder: UUID, *, hold: timedelta) -> None:
    """Keep what this holder has, for as long again."""
    held = SourceSlot.objects.filter(holder=holder, held_until__gt=Now())
    held.update(held_until=Now() + hold)


def give_back(slot: Slot, spent: Spent, *, work_item_id: UUID | None) -> None:
    """Let go of the slot, and write down what was done with it."""
    parameters: dict[str, Any] = {
        "slot": slot.id,
        "holder": slot.holder,
        "budget": slot.budget_id,
        "item": work_item_id,
        "requests": spent.requests,
        "answers": spent.answers,
        "throttled_seconds": spent.throttled_seconds,
        "recovers": spent.recovers,
        "grows": budgets.GROWS_AFTER_ANSWERS,
        "after": budgets.GROWS_AFTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, parameters)
        row = cursor.fetchone()
    if row is not None and row[0]:
        _widen(slot.budget_id)


@transaction.atomic
def _widen(budget_id: int) -> None:
    budget = _locked(budget_id)
    if budget.streak < budgets.GROWS_AFTER_ANSWERS:
        return
    budget.window = min(budget.window + 1, budgets.WIDEST_WINDOW)
    budget.pace = budgets.faster(budget.pace)
    budget.streak = 0
    SourceBudget.objects.filter(pk=budget_id).update(
        window=budget.window, pace=budget.pace, streak=0, changed_at=Now()
    )
    _ensure_slots(budget_id, int(budget.window) + 1)


@transaction.atomic
def tell(budget_id: int, trouble: Trouble, *, jitter: float) -> timedelta:
    """Let everybody know of the trouble; return how long nobody should ask."""
    budget = _locked(budget_id)
    (now,) = _database_time()
    before = Standing(
        window=budget.window,
        pace=budget.pace,
        failures=budget.failures,
        trips=budget.trips,
        unchanged_for=now - budget.changed_at,
        paused_for=budget.paused_until - now if budget.paused_until else timedelta(),
        open_for=budget.open_until - now if budget.open_until else None,
    )
    after = budgets.after_trouble(before, trouble, jitter=jitter)
    is_throttled = trouble.kind is budgets.Kind.THROTTLED
    longer = max(timedelta(), after.paused_for - max(before.paused_for, timedelta()))
    SourceBudget.objects.filter(pk=budget_id).update(
        window=after.window,
        pace=after.pace,
        failures=after.failures,
        trips=after.trips,
        streak=0,
        changed_at=now - after.unchanged_for,
        paused_until=now + after.paused_for if after.paused_for else None,
        open_until=None if after.open_for is None else now + after.open_for,
        last_trouble=trouble.kind.value,
        throttled=F("throttled") + int(is_throttled),
        throttled_seconds=F("throttled_seconds") + longer.total_seconds(),
    )
    return max(after.paused_for, after.open_for or timedelta())


def outlook(budget_id: int) -> Outlook:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(paused_until, open_until) - statement_timestamp(), pace"
            " FROM provisioning_sourcebudget WHERE id = %s",
            [budget_id],
        )
        row = cursor.fetchone()
    if row is None:
        return Outlook(shut_for=None, pace=None)
    wait, pace = row
    return Outlook(shut_for=wait if wait and wait > timedelta() else None, pace=pace)


def mend(budget_id: int) -> None:
    """An operator has seen that the source answers: let everybody ask again."""
    SourceBudget.objects.filter(pk=budget_id).update(
        paused_until=None, open_until=None, failures=0, trips=0
    )


def note_source_rows(work_item_id: UUID, rows: int | None) -> None:
    """Write down what the source said of a table's size, or that it did not."""
    WorkItem.objects.filter(pk=work_item_id).update(
        source_rows=rows, source_rows_at=Now()
    )


def _locked(budget_id: int) -> SourceBudget:
    return SourceBudget.objects.select_for_update(no_key=True).get(pk=budget_id)


def _ensure_slots(budget_id: int, count: int) -> None:
    SourceSlot.objects.bulk_create(
        [SourceSlot(budget_id=budget_id, number=number) for number in range(count)],
        ignore_conflicts=True,
    )


def _database_time() -> tuple[datetime]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        row: tuple[datetime] = cursor.fetchone()
    return row
