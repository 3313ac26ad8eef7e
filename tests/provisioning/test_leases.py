"""Leases: who gets which work item, for how long, and what a late worker may say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from project.errors import MisconfiguredError, TransientError
from provisioning.domain.retries import HOPELESS_AFTER, LOST_LEASES_TOLERATED
from provisioning.models import WorkItem
from provisioning.services import leases
from provisioning.services.leases import DefectReport, LeaseLostError
from tests.provisioning import factories
from tests.provisioning.factories import LEASE, NOON, claimed

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NO_SPREAD = 0.5

WORDS_OF_A_WORKER = {
    "renew": lambda held: leases.renew(held, lease=LEASE),
    "finish": leases.finish,
    "yield back": leases.yield_back,
    "postpone": lambda held: leases.postpone(
        held, TransientError("Busy."), jitter=NO_SPREAD
    ),
    "resync taken": leases.resync_taken,
}
every_word = pytest.mark.parametrize(
    "say", WORDS_OF_A_WORKER.values(), ids=WORDS_OF_A_WORKER.keys()
)


def let_the_lease_run_out(item):
    WorkItem.objects.filter(pk=item.pk).update(leased_until=NOON)


def snapshot():
    return list(WorkItem.objects.order_by("pk").values())


def lease_length():
    items = WorkItem.objects.annotate(length=F("leased_until") - F("last_started_at"))
    return items.get().length


def due_in(item):
    """How long from now the database holds the item to be due."""
    items = WorkItem.objects.filter(pk=item.pk).annotate(wait=F("next_due_at") - Now())
    return round(items.get().wait.total_seconds())


def test_a_due_item_is_leased_and_its_attempt_counted():
    item = factories.work_item(table="account")

    held = leases.claim(lease=LEASE)

    assert held == leases.Lease(
        work_item_id=item.pk,
        organization_id=item.organization_id,
        kind="table",
        table="account",
        epoch=1,
        attempts=1,
        size_wanted=True,
    )
    assert lease_length() == LEASE


def test_a_renewed_lease_lasts_from_now():
    factories.work_item()
    held = claimed(lease=timedelta(seconds=1))

    leases.renew(held, lease=HOUR)

    assert lease_length() >= HOUR


def test_a_success_makes_the_item_due_after_its_interval():
    item = factories.work_item(interval=HOUR, last_error="Busy.", attempts=3)

    leases.finish(claimed())

    item.refresh_from_db()
    assert (item.state, item.attempts, item.last_error) == ("due", 0, "")
    assert item.completed_once
    assert due_in(item) == 3600


def test_an_item_asked_for_while_it_runs_runs_again():
    item = factories.work_item(interval=HOUR)
    held = claimed()

    leases.run_now(item.pk)
    leases.finish(held)
    again = claimed()
    leases.finish(again)

    assert leases.claim(lease=LEASE) is None


def test_an_item_given_back_is_due_behind_the_others():
    acme = factories.organization()
    factories.work_item(acme, table="account", next_due_at=NOON)
    factories.work_item(acme, table="task", next_due_at=NOON + HOUR)
    held = claimed()

    leases.yield_back(held)

    item = WorkItem.objects.get(table="account")
    assert (held.table, claimed().table, claimed().table) == (
        "account",
        "task",
        "account",
    )
    assert (item.attempts, item.completed_once) == (0, False)


def test_a_transient_failure_postpones_the_item_and_says_why():
    item = factories.work_item()

    leases.postpone(claimed(), TransientError("Busy."), jitter=NO_SPREAD)

    item.refresh_from_db()
    assert (item.state, item.last_error_code) == ("postponed", "transient")
    assert (item.last_error, item.attempts) == ("Busy.", 1)
    assert due_in(item) == 5


def test_a_misconfiguration_halts_the_item_at_the_eighth_attempt():
    item = factories.work_item(
        attempts=HOPELESS_AFTER - 1, last_failure="misconfigured"
    )

    leases.postpone(claimed(), MisconfiguredError("Bad key."), jitter=NO_SPREAD)

    item.refresh_from_db()
    assert (item.state, item.last_error) == ("halted", "Bad key.")


def test_a_new_kind_of_failure_is_counted_from_one():
    item = factories.work_item(attempts=40, last_failure="transient")

    leases.postpone(claimed(), MisconfiguredError("Bad key."), jitter=NO_SPREAD)

    item.refresh_from_db()
    assert (item.state, item.attempts) == ("postponed", 1)


def test_a_defect_is_recorded_with_its_type():
    item = factories.work_item()
    report = DefectReport(type_name="KeyError", message="'name'")

    leases.postpone(claimed(), report, jitter=NO_SPREAD)

    item.refresh_from_db()
    assert (item.last_error_code, item.last_error) == ("defect", "KeyError: 'name'")


def test_a_lost_lease_is_nobodys_failure():
    factories.work_item()
    held = claimed()
    before = snapshot()

    leases.postpone(held, LeaseLostError("Lost."), jitter=NO_SPREAD)

    assert snapshot() == before


def test_an_expired_lease_is_reaped_and_the_attempt_kept():
    item = factories.work_item()
    claimed()
    let_the_lease_run_out(item)

    assert leases.reap() == 1

    item.refresh_from_db()
    assert (item.state, item.attempts, item.epoch) == ("due", 1, 1)


def test_a_lease_that_still_lasts_is_not_reaped():
    factories.work_item()
    claimed()

    assert leases.reap() == 0


def test_an_item_that_always_takes_its_worker_down_comes_to_a_halt():
    item = factories.work_item(attempts=LOST_LEASES_TOLERATED - 1)
    claimed()
    let_the_lease_run_out(item)

    leases.reap()

    item.refresh_from_db()
    assert (item.state, item.last_error_code) == ("halted", "lease_lost")


@every_word
@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_lease_was_reaped_is_refused(say):
    item = factories.work_item()
    held = claimed()
    let_the_lease_run_out(item)
    leases.reap()
    before = snapshot()

    with pytest.raises(LeaseLostError):
        say(held)

    assert snapshot() == before


@every_word
def test_a_worker_whose_item_another_one_holds_is_refused(say):
    item = factories.work_item()
    held = claimed()
    let_the_lease_run_out(item)
    leases.reap()
    claimed()
    before = snapshot()

    with pytest.raises(LeaseLostError):
        say(held)

    assert snapshot() == before


@every_word
def test_a_worker_whose_item_was_paused_is_refused(say):
    item = factories.work_item()
    held = claimed()
    leases.pause(item.pk)
    before = snapshot()

    with pytest.raises(LeaseLostError):
        say(held)

    assert snapshot() == before


@pytest.mark.parametrize("state", ["paused", "halted"])
def test_a_stopped_item_runs_when_it_is_resumed(state):
    item = factories.work_item(
        state=state, attempts=8, last_failure="defect", next_due_at=Now() + HOUR
    )

    leases.resume(item.pk)

    assert claimed().attempts == 1


def test_only_stopped_items_can_be_resumed():
    item = factories.work_item()

    with pytest.raises(leases.WorkItemStateError):
        leases.resume(item.pk)


@pytest.mark.parametrize("state", ["paused", "halted"])
def test_a_stopped_item_has_to_be_resumed_before_it_can_run(state):
    item = factories.work_item(state=state)

    with pytest.raises(leases.WorkItemStateError):
        leases.run_now(item.pk)


def test_a_postponed_item_can_be_run_now():
    item = factories.work_item(state="postponed", next_due_at=Now() + HOUR)

    leases.run_now(item.pk)

    assert leases.claim(lease=LEASE) is not None


def test_a_request_for_a_full_load_is_served_once():
    item = factories.work_item(resync_requested=True)
    held = claimed()

    leases.resync_taken(held)
    leases.yield_back(held)

    assert held.resync_requested
    assert not claimed(only=item).resync_requested
