"""Have edits of devices carried to the source soon, whatever becomes of a message."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from celery import current_app
from django.db import OperationalError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Least, Now
from django.utils import timezone
from kombu.exceptions import KombuError

from provisioning.domain.intervals import staggered
from provisioning.models import WorkItem

# Nobody waits for it: edits that nothing announced are found by it.
INTERVAL = timedelta(minutes=10)
# A run begins so soon after edits were announced, even if nobody says that they came.
NET = timedelta(seconds=30)
# An announcement that is younger than this holds for the next edits, too.
FRESH = timedelta(seconds=5)
# Dispatches find the item meanwhile.
HINT_EXPIRES = 10

_State = WorkItem.State


def expect(organization_id: UUID) -> None:
    """Announce edits that are about to be stored: a run begins within `NET`.

    Call it before the commit. A run that is going on, or ends meanwhile, does not
    count. Paused and halted items stay so.
    """
    announced = _item(organization_id).filter(
        Q(expected_by__isnull=True) | Q(expected_by__lt=Now() + (NET - FRESH))
    )
    if _announce(announced) or _item(organization_id).exists():
        return
    ensure(organization_id)
    _announce(_item(organization_id))


def wake(organization_id: UUID) -> None:
    """Let the edits be carried on now. Whatever fails, `expect` has seen to it."""
    try:
        item = _item(organization_id)
        item.filter(state=_State.LEASED, run_again=False).update(run_again=True)
        item.filter(state=_State.DUE, next_due_at__gt=Now()).update(next_due_at=Now())
        current_app.send_task(
            "replication.run_due_items",
            queue="writeback",
            expires=HINT_EXPIRES,
            retry=False,
        )
    except (OperationalError, KombuError, OSError):
        # Only a hint is lost.
        return


def note_waiting(
    organization_id: UUID, *, waiting: int, since: datetime | None
) -> None:
    """Write down how many edits wait, and since when the oldest, for operators."""
    _item(organization_id).exclude(waiting=waiting, waiting_since=since).update(
        waiting=waiting, waiting_since=since
    )


def ensure(organization_id: UUID) -> None:
    """Create the organization's item if it has none."""
    item = WorkItem(
        organization_id=organization_id,
        kind=WorkItem.Kind.UPLOADS,
        interval=staggered(INTERVAL, identity=organization_id),
        # There is nothing to carry before somebody announces it.
        next_due_at=timezone.now() + INTERVAL,
    )
    WorkItem.objects.bulk_create([item], ignore_conflicts=True)


def _announce(items: QuerySet[WorkItem]) -> int:
    by = Now() + NET
    return items.update(
        expected_by=by,
        next_due_at=Least(F("next_due_at"), by),
    )


def _item(organization_id: UUID) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(
        organization=organization_id, kind=WorkItem.Kind.UPLOADS
    )
