"""Hand work items to workers, one at a time, for as long as a lease lasts.

Everything a worker says about an item after its claim names the lease's epoch;
once another worker holds the item, the first one is refused.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Case, DateTimeField, F, QuerySet, Value, When
from django.db.models.functions import Greatest, Least, Now

from project.errors import (
    MisconfiguredError,
    RejectedError,
    SyncError,
    TransientError,
)
from provisioning.domain.retries import (
    LOST_LEASES_TOLERATED,
    DefectReport,
    Failure,
    Halt,
    RetryAfter,
    after_failure,
    failure_of,
)
from provisioning.models import WorkItem
from provisioning.services.claims import Lease, claim

logger = logging.getLogger(__name__)

__all__ = [
    "DefectReport",
    "Lease",
    "LeaseLostError",
    "WorkItemStateError",
    "accept_sweep",
    "claim",
    "finish",
    "finish_part",
    "outrun",
    "pause",
    "postpone",
    "reap",
    "renew",
    "resume",
    "resync",
    "resync_taken",
    "run_now",
    "set_back",
    "yield_back",
]

LONGEST_MESSAGE = 2000

_State = WorkItem.State


class LeaseLostError(TransientError):
    """The lease ran out, or an operator paused the item; nothing was written."""

    code = "lease_lost"


class WorkItemStateError(RejectedError):
    """The item's state does not allow what was asked."""

    code = "work_item_state"


def renew(held: Lease, *, lease: timedelta) -> None:
    """Extend the lease from now.

    :raises LeaseLostError: it ran out and was taken, or the item was paused.
    """
    _change(held, leased_until=Now() + lease)


def finish(
    held: Lease,
    *,
    pages: int = 0,
    changes: int = 0,
    next_in: timedelta | None = None,
) -> None:
    """Record a success; the item is due again after its interval, or after `next_in`.

    The pages and changes that it brought are added to the item's totals.

    :raises LeaseLostError: the lease was lost.
    """
    latest = Now() + (F("interval") if next_in is None else next_in)
    next_due_at = Case(
        When(run_again=True, then=Now()),
        When(expected_by__gt=Now(), then=Least(latest, F("expected_by"))),
        default=latest,
        output_field=DateTimeField(),
    )
    _change(
        held,
        **_FREE,
        **_NO_FAILURE,
        **_more(pages=pages, changes=changes),
        next_due_at=next_due_at,
        last_succeeded_at=Now(),
        completed_once=True,
        sweep_accepted=False,
    )


@transaction.atomic
def finish_part(held: Lease, *, pages: int = 0, changes: int = 0) -> None:
    """Forget a part that was read, and let its table go on.

    What the part has cost is added to the table's totals.

    :raises LeaseLostError: the lease was lost.
    """
    item = _held(held).select_for_update().first()
    if item is None:
        raise _lost(held)
    table = WorkItem.objects.filter(
        organization=held.organization_id,
        kind=WorkItem.Kind.TABLE,
        table=held.table,
    )
    table.update(
        **_more(pages=item.pages + pages, changes=item.changes + changes),
        failures=F("failures") + item.failures,
        requests=F("requests") + item.requests,
        throttled_seconds=F("throttled_seconds") + item.throttled_seconds,
    )
    make_due(table)
    item.delete()


def yield_back(held: Lease, *, pages: int = 0, changes: int = 0) -> None:
    """Give the item back unfinished: due now, behind the others.

    :raises LeaseLostError: the lease was lost.
    """
    _change(
        held,
        **_FREE,
        **_NO_FAILURE,
        **_more(pages=pages, changes=changes),
        next_due_at=Now(),
    )


def set_back(held: Lease, *, delay: timedelta) -> None:
    """Give the item back untouched, because its source may not be asked now.

    Nothing failed: the attempt that the claim counted is taken back.

    :raises LeaseLostError: the lease was lost.
    """
    _change(
        held,
        **_FREE,
        next_due_at=Now() + delay,
        attempts=Greatest(F("attempts") - 1, 0),
    )


def outrun(held: Lease, *, epoch: int) -> None:
    """Raise the item's epoch above the one that staging knows; it is due at once.

    A catalog that was restored from a backup counts from lower epochs than staging
    remembers. Where another worker really holds the item, nothing happens.
    """
    changed = _held(held).update(**_FREE, next_due_at=Now(), epoch=epoch + 1)
    if changed:
        logger.warning("Epoch raised", extra={"work_item_id": str(held.work_item_id)})


def postpone(held: Lease, error: SyncError | DefectReport, *, jitter: float) -> None:
    """Record a failure and what it means: another attempt later, or a halt.

    A lost lease is nobody's failure and is not recorded.

    :raises LeaseLostError: the lease was lost.
    """
    if isinstance(error, LeaseLostError):
        return
    failure = failure_of(error)
    with transaction.atomic():
        item = _held(held).select_for_update().first()
        if item is None:
            raise _lost(held)
        # A 401 after hours of outage is the first of its kind, not the fortieth.
        attempts = item.attempts if item.last_failure in {"", failure} else 1
        decision = after_failure(error, attempts=attempts, jitter=jitter)
        _change(
            held,
            **_fate(decision),
            leased_until=None,
            attempts=attempts,
            failures=F("failures") + 1,
            last_failure=failure.value,
            last_error_code=_code(error),
            last_error=_message(error),
        )
        if isinstance(decision, Halt) and _concerns_all(error):
            _halt_others(held, error)


def resync_taken(held: Lease) -> None:
    """Clear the request for a full load that the holder has begun to serve.

    :raises LeaseLostError: the lease was lost.
    """
    _change(held, resync_requested=False)


def reap() -> int:
    """Free the items whose lease ran out; say how many.

    Attempts are kept, so that an item that kills its workers comes to a halt.
    """
    expired = WorkItem.objects.filter(state=_State.LEASED, leased_until__lt=Now())
    return expired.update(
        state=Case(
            When(attempts__gte=LOST_LEASES_TOLERATED, then=Value(_State.HALTED)),
            default=Value(_State.DUE),
        ),
        leased_until=None,
        next_due_at=Now(),
        failures=F("failures") + 1,
        last_error_code=LeaseLostError.code,
        last_error="The worker did not come back before its lease ran out.",
    )


def pause(work_item_id: UUID) -> None:
    """Stop the item until it is resumed; a worker that holds it loses its lease."""
    _insist(stop(WorkItem.objects.filter(pk=work_item_id)), work_item_id, verb="paused")


def resume(work_item_id: UUID) -> None:
    """Make a paused or halted item due now, as if it had never failed.

    :raises WorkItemStateError: it is neither paused nor halted.
    """
    stopped = WorkItem.objects.filter(
        pk=work_item_id, state__in=[_State.PAUSED, _State.HALTED]
    )
    changed = stopped.update(
        state=_State.DUE, next_due_at=Now(), attempts=0, last_failure=""
    )
    _insist(changed, work_item_id, verb="resumed")


def run_now(work_item_id: UUID) -> None:
    """Make the item due now; one that is running runs once more after this.

    :raises WorkItemStateError: it is paused or halted.
    """
    _insist(
        make_due(WorkItem.objects.filter(pk=work_item_id)), work_item_id, verb="run"
    )


def resync(work_item_id: UUID) -> None:
    """Ask for a full load of the item's table; a paused one does it once resumed.

    :raises WorkItemStateError: it is not a table's.
    """
    items = WorkItem.objects.filter(pk=work_item_id, kind=WorkItem.Kind.TABLE)
    _insist(items.count(), work_item_id, verb="resynced")
    request_resync(items)


def accept_sweep(work_item_id: UUID) -> None:
    """Let the running full load of the table delete however much it finds gone.

    Good for one complete pull; the item is tried again at once.

    :raises WorkItemStateError: it is not a table's.
    """
    items = WorkItem.objects.filter(pk=work_item_id, kind=WorkItem.Kind.TABLE)
    _insist(items.update(sweep_accepted=True), work_item_id, verb="swept")
    revive(items)
    make_due(items)


def make_due(items: QuerySet[WorkItem]) -> int:
    """Make these items due now, except paused and halted ones; say how many."""
    running = items.filter(state=_State.LEASED).update(run_again=True)
    waiting = items.filter(state__in=[_State.DUE, _State.POSTPONED]).update(
        state=_State.DUE, next_due_at=Now()
    )
    return running + waiting


def request_resync(items: QuerySet[WorkItem]) -> None:
    """Ask for a full load of these tables now; halted ones get another chance."""
    items.update(resync_requested=True)
    revive(items)
    make_due(items)


def revive(items: QuerySet[WorkItem]) -> None:
    """Make those of the items due now that failed, as if they never had."""
    failed = items.filter(state__in=[_State.HALTED, _State.POSTPONED])
    failed.update(state=_State.DUE, next_due_at=Now(), attempts=0, last_failure="")


def stop(items: QuerySet[WorkItem]) -> int:
    """Pause these items; workers that hold one lose their lease. Say how many."""
    return items.update(state=_State.PAUSED, leased_until=None)


_FREE = {"state": _State.DUE, "leased_until": None}
_NO_FAILURE = {
    "attempts": 0,
    "last_failure": "",
    "last_error_code": "",
    "last_error": "",
}


def _held(held: Lease) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(
        pk=held.work_item_id, epoch=held.epoch, state=_State.LEASED
    )


def _change(held: Lease, **columns: object) -> None:
    if _held(held).update(**columns) == 0:
        raise _lost(held)


def _more(*, pages: int, changes: int) -> dict[str, object]:
    return {"pages": F("pages") + pages, "changes": F("changes") + changes}


def _lost(held: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"Epoch {held.epoch} of work item {held.work_item_id} is over."
    )


def _fate(decision: RetryAfter | Halt) -> dict[str, object]:
    match decision:
        case RetryAfter(delay=delay):
            return {"state": _State.POSTPONED, "next_due_at": Now() + delay}
        case Halt():
            return {"state": _State.HALTED}


def _concerns_all(error: SyncError | DefectReport) -> bool:
    return isinstance(error, MisconfiguredError) and error.concerns_organization


def _halt_others(held: Lease, error: SyncError | DefectReport) -> None:
    """Stop what would fail for the same reason; a wrong secret may lock us out."""
    waiting = WorkItem.objects.filter(
        organization_id=held.organization_id,
        state__in=[_State.DUE, _State.POSTPONED],
    )
    waiting.update(
        state=_State.HALTED,
        last_failure=Failure.MISCONFIGURED.value,
        last_error_code=_code(error),
        last_error=_message(error),
    )


def _code(error: SyncError | DefectReport) -> str:
    return "defect" if isinstance(error, DefectReport) else error.code


def _message(error: SyncError | DefectReport) -> str:
    if isinstance(error, DefectReport):
        return f"{error.type_name}: {error.message}"[:LONGEST_MESSAGE]
    return str(error)[:LONGEST_MESSAGE]


def _insist(changed: int, work_item_id: UUID, *, verb: str) -> None:
    if changed == 0:
        raise WorkItemStateError(f"Work item {work_item_id} cannot be {verb} now.")
