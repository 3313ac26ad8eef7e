"""What all workers together may ask of a source, and what its trouble means for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from provisioning.domain import budgets as domain
from provisioning.domain.budgets import Kind, Standing, Trouble
from provisioning.models import Organization, SourceBudget, SourceSlot
from provisioning.queries import due_item_count
from provisioning.secrets import seal
from provisioning.services import budgets, leases
from provisioning.services.budgets import Spent
from tests.provisioning import factories
from tests.provisioning.factories import LEASE

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
THROTTLED = Trouble(kind=Kind.THROTTLED, retry_after=MINUTE)
TIMED_OUT = Trouble(kind=Kind.TIMED_OUT)
FAILED = Trouble(kind=Kind.FAILED)


def take(budget, *, hold=LEASE, urgent=False):
    return budgets.take(budget, holder=uuid4(), hold=hold, urgent=urgent)


def tell(budget, trouble):
    return budgets.tell(budget, trouble, jitter=0)


def row(budget):
    return SourceBudget.objects.get(pk=budget)


def shut_for(budget):
    return budgets.outlook(budget).shut_for or timedelta()


def over(budget):
    """Let the breaker's time pass."""
    SourceBudget.objects.filter(pk=budget).update(
        open_until=Now() - SECOND, paused_until=None
    )


@pytest.fixture
def contoso():
    return factories.organization()


@pytest.fixture
def budget(contoso):
    return budgets.budget_of(contoso)


def sealed(organization, **members):
    organization.credential_sealed = seal(
        repr(members).replace("'", '"').encode(),
        identity=organization.credential_identity,
    )
    return organization


def test_two_requests_may_be_in_flight_at_first(budget):
    held = [take(budget), take(budget)]

    assert None not in held
    assert take(budget) is None


def test_an_upload_never_waits_for_pulls(budget):
    take(budget)
    take(budget)

    assert take(budget, urgent=True) is not None
    assert take(budget, urgent=True) is None


def test_a_slot_that_is_given_back_is_free_at_once(budget):
    slot, _ = take(budget), take(budget)

    budgets.give_back(slot, Spent(requests=1, answers=1), work_item_id=None)

    assert take(budget) is not None


def test_the_slot_of_a_killed_worker_comes_back(budget):
    take(budget, hold=timedelta(0))
    take(budget)

    assert take(budget) is not None


def test_a_late_worker_does_not_free_the_slot_of_its_successor(budget):
    late = take(budget, hold=timedelta(0))
    take(budget)
    take(budget)

    budgets.give_back(late, Spent(requests=0, answers=0), work_item_id=None)

    assert take(budget) is None


def test_a_slot_is_kept_while_its_holder_lives(budget):
    slot = take(budget, hold=SECOND)

    budgets.renew(slot.holder, hold=MINUTE)

    assert SourceSlot.objects.filter(held_until__gt=Now() + 30 * SECOND).count() == 1


@pytest.mark.django_db(transaction=True)
def test_slots_are_never_given_to_two(contoso):
    budget = budgets.budget_of(contoso)
    SourceBudget.objects.update(window=2)

    def grab(_number):
        try:
            return take(budget)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as workers:
        slots = [slot for slot in workers.map(grab, range(24)) if slot]

    assert sorted(slot.id for slot in slots) == sorted({slot.id for slot in slots})
    assert len(slots) == 2


def test_the_pause_that_a_source_asks_for_holds_for_everybody(budget):
    factories.work_item(Organization.objects.get())

    tell(budget, THROTTLED)

    assert take(budget) is None
    assert take(budget, urgent=True) is None
    assert leases.claim(lease=LEASE) is None
    assert due_item_count(limit=16) == 0
    assert shut_for(budget) > 59 * SECOND


def test_a_pause_is_never_shortened(budget):
    tell(budget, THROTTLED)

    tell(budget, Trouble(kind=Kind.THROTTLED, retry_after=SECOND))

    assert shut_for(budget) > 59 * SECOND


def test_one_bad_source_takes_nobodys_turn(budget):
    bad = Organization.objects.get()
    good = factories.organization(unique_name="good")
    for number in range(5):
        factories.work_item(bad, table=f"table{number}", next_due_at=factories.NOON)
    factories.work_item(good)

    tell(budget, TIMED_OUT)

    assert factories.claimed().organization_id == good.pk
    assert leases.claim(lease=LEASE) is None


def test_items_wait_while_all_slots_of_their_source_are_taken(budget):
    factories.work_item(Organization.objects.get())
    slot, _ = take(budget), take(budget)

    assert leases.claim(lease=LEASE) is None
    budgets.give_back(slot, Spent(requests=0, answers=0), work_item_id=None)

    assert leases.claim(lease=LEASE) is not None


def test_the_first_time_out_opens_the_breaker_and_failures_do_in_a_row(budget):
    tell(budget, FAILED)
    tell(budget, FAILED)
    assert row(budget).open_until is None

    tell(budget, FAILED)
    assert row(budget).open_until is not None
    budgets.mend(budget)
    tell(budget, TIMED_OUT)

    assert row(budget).open_until is not None


def test_a_success_between_failures_starts_their_count_anew(budget):
    tell(budget, FAILED)
    tell(budget, FAILED)

    budgets.give_back(
        take(budget), Spent(requests=1, answers=1, recovers=True), work_item_id=None
    )
    tell(budget, FAILED)

    assert row(budget).open_until is None


def test_one_worker_tries_when_the_breaker_s_time_is_over(budget):
    factories.work_item(Organization.objects.get())
    tell(budget, TIMED_OUT)
    over(budget)

    slot = take(budget)

    assert slot is not None
    assert take(budget) is None
    assert leases.claim(lease=LEASE) is None
    budgets.give_back(
        slot, Spent(requests=1, answers=1, recovers=True), work_item_id=None
    )
    assert (row(budget).open_until, row(budget).trips) == (None, 0)


def test_an_attempt_that_fails_opens_the_breaker_for_longer(budget):
    tell(budget, FAILED), tell(budget, FAILED)
    first = tell(budget, FAILED)
    over(budget)

    second = tell(budget, FAILED)

    assert second > 1.5 * first


def test_an_old_success_does_not_close_a_breaker_that_opened_meanwhile(budget):
    slot = take(budget)
    tell(budget, TIMED_OUT)

    budgets.give_back(
        slot, Spent(requests=1, answers=1, recovers=True), work_item_id=None
    )

    assert row(budget).open_until is not None


def test_the_window_grows_by_one_after_a_good_while(budget):
    SourceBudget.objects.update(changed_at=Now() - MINUTE)

    budgets.give_back(take(budget), Spent(requests=20, answers=20), work_item_id=None)

    assert row(budget).window == 3
    assert row(budget).streak == 0
    assert [take(budget) is None for _ in range(4)] == [False, False, False, True]


def test_what_a_pull_cost_is_written_down_at_its_item(budget):
    item = factories.work_item(Organization.objects.get())

    budgets.give_back(
        take(budget),
        Spent(requests=3, answers=2, throttled_seconds=1.5),
        work_item_id=item.pk,
    )

    item.refresh_from_db()
    assert (item.requests, item.throttled_seconds) == (3, 1.5)
    assert row(budget).requests == 3


def test_organizations_share_a_budget_only_as_one_application_of_one_source():
    def made(name, **members):
        return sealed(factories.organization(unique_name=name), **members)

    secret = {"type": "client_secret", "tenant_id": "t", "client_secret": "s"}
    first = made("one", **secret, client_id="app")
    same = made("two", **secret | {"client_secret": "rotated"}, client_id="app")
    other = made("three", **secret, client_id="other")
    elsewhere = made("four", **secret, client_id="app")
    elsewhere.endpoint = "https://fabrikam.example/api"

    found = [budgets.budget_of(one) for one in (first, same, other, elsewhere)]

    assert found[0] == found[1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("kind", list(Kind))
def test_any_trouble_halves_the_window_once_for_all_who_met_it(kind):
    before = Standing(window=8, unchanged_for=MINUTE)

    once = domain.after_trouble(before, Trouble(kind=kind), jitter=0)
    again = domain.after_trouble(once, Trouble(kind=kind), jitter=0)

    assert (once.window, again.window) == (4, 4)


def test_a_throttled_source_is_asked_half_as_fast_as_before():
    trouble = Trouble(kind=Kind.THROTTLED, pace=10)

    after = domain.after_trouble(Standing(), trouble, jitter=0)

    assert after.pace == 5
    assert domain.faster(after.pace) == 6.25
    assert domain.faster(domain.FASTEST_PACE) is None


@pytest.mark.parametrize("jitter", [0, 1])
def test_a_requested_pause_is_a_floor_whatever_the_jitter(jitter):
    after = domain.after_trouble(Standing(), THROTTLED, jitter=jitter)

    assert MINUTE <= after.paused_for <= 1.1 * MINUTE


def test_a_source_that_hangs_gets_a_small_share_of_a_thread():
    hung = Trouble(kind=Kind.TIMED_OUT, took=MINUTE)

    after = domain.after_trouble(Standing(), hung, jitter=0)

    assert after.open_for == 4 * MINUTE


def test_the_breaker_is_never_open_for_much_longer_than_five_minutes():
    before = Standing(trips=1000, failures=1000)

    after = domain.after_trouble(before, TIMED_OUT, jitter=1)

    assert after.open_for
    assert after.open_for <= 6 * MINUTE
