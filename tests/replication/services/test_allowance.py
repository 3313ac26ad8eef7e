"""Work items ask their source within its budget, and take nobody's thread meanwhile."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from provisioning.domain.budgets import Kind, Trouble
from provisioning.models import Organization, SourceBudget, SourceSlot, WorkItem
from provisioning.services import budgets
from replication.odata.measured import SourceShutError
from replication.services import run
from replication.services.allowance import asking
from replication.services.sources import source_of
from tests.provisioning import factories
from tests.replication.odata.servers import Answer
from tests.replication.services.fronts import JSON, SOON, answer, delay_of, run_again


def budget_of(world):
    return SourceBudget.objects.get(organization=world.organization.pk)


def due(item):
    WorkItem.objects.filter(pk=item.pk).update(next_due_at=factories.NOON)
    return item


def held():
    return SourceSlot.objects.exclude(holder=None).count()


def test_a_pull_counts_its_requests_and_gives_its_slot_back(world):
    before = budget_of(world).requests

    run_again(world.accounts)

    assert budget_of(world).requests == before + 1
    assert world.accounts.requests >= 1
    assert held() == 0


def test_a_throttled_page_holds_back_every_table_and_no_thread(world):
    world.front.instead["accounts"] = answer(status=429, Retry_After="120")

    item = run_again(world.accounts)
    due(world.contacts)

    assert (item.state, item.last_error_code) == ("postponed", "source_throttled")
    assert item.throttled_seconds >= 120
    assert not run.run_due_item()
    assert (budget_of(world).window, budget_of(world).throttled) == (1, 1)
    assert held() == 0


def test_a_source_that_is_down_is_left_alone_by_all_its_tables(world):
    world.front.instead["accounts"] = answer(status=503)
    for _ in range(3):
        WorkItem.objects.filter(pk=world.accounts.pk).update(next_due_at=factories.NOON)
        run.run_item(factories.claimed(only=world.accounts))
    due(world.contacts)

    assert not run.run_due_item()
    assert budget_of(world).open_until is not None


def test_one_answer_closes_the_breaker(world):
    SourceBudget.objects.update(open_until=factories.NOON, trips=3, failures=3)

    due(world.contacts)
    run.run_item(factories.claimed(only=world.contacts))

    assert budget_of(world).open_until is None
    assert budget_of(world).failures == 0


def test_who_finds_no_slot_comes_back_without_a_failure(world):
    held_before = factories.claimed(only=due(world.contacts))
    budget = budget_of(world).pk
    for _ in range(2):
        budgets.take(
            budget,
            holder=uuid4(),
            hold=timedelta(minutes=1),
        )

    run.run_item(held_before)

    world.contacts.refresh_from_db()
    assert (world.contacts.state, world.contacts.attempts) == ("due", 0)
    assert world.contacts.last_error == ""
    assert delay_of(world.contacts) in range(3)


def test_what_other_workers_met_stops_the_next_request(world):
    organization = Organization.objects.get(pk=world.id)
    world.front.instead["WhoAmI"] = Answer(headers=JSON, body=b'{"OrganizationId":"x"}')
    with asking(organization, source_of(organization)) as (source, allowed):
        source.who_am_i()
        pause = Trouble(kind=Kind.THROTTLED, retry_after=timedelta(minutes=1))
        budgets.tell(allowed.slot.budget_id, pause, jitter=0)
        allowed.look(news=0)

        with pytest.raises(SourceShutError):
            source.who_am_i()

    assert allowed.requests == 1


def test_a_source_that_says_how_many_rows_it_has_is_asked_once_an_hour(world):
    world.front.instead["$count"] = Answer(
        headers={"Content-Type": "text/plain"}, body=b"\xef\xbb\xbf4711"
    )
    WorkItem.objects.update(source_rows_at=None)

    run_again(world.accounts)
    world.front.instead["$count"] = Answer(
        headers={"Content-Type": "text/plain"}, body=b"9"
    )
    run_again(world.accounts)

    assert world.accounts.source_rows == 4711
    assert world.accounts.source_rows_at is not None


@pytest.mark.parametrize(
    "reply", [answer(status=404), answer(b"many"), answer(status=503)]
)
def test_a_source_that_does_not_count_is_no_failure(world, reply):
    world.front.instead["$count"] = reply
    WorkItem.objects.update(source_rows_at=None)

    item = run_again(world.accounts)

    assert (item.state, item.source_rows, item.last_error) == ("due", None, "")


def test_a_wrong_secret_halts_everything_of_the_organization_with_the_reason(world):
    Organization.objects.filter(pk=world.id).update(
        credential_type="basic", credential_sealed=b""
    )

    item = run_again(world.accounts)
    world.contacts.refresh_from_db()

    assert (item.state, item.last_error_code) == ("halted", "credential_refused")
    assert (world.contacts.state, world.contacts.last_error) == (
        "halted",
        item.last_error,
    )


def test_a_source_that_refuses_a_fresh_token_halts_everything_at_the_third_time(world):
    world.front.instead["accounts"] = answer(status=401)

    states = [run_again(world.accounts).state for _ in range(3)]
    world.contacts.refresh_from_db()

    assert states == ["postponed", "postponed", "halted"]
    assert world.contacts.state == "halted"


def test_a_privilege_that_is_missing_for_one_table_halts_no_other(world):
    world.front.instead["accounts"] = answer(status=403)

    for _ in range(8):
        run_again(world.accounts)

    assert world.accounts.state == "halted"
    assert run_again(world.contacts).state == "due"


def test_a_failure_keeps_the_first_delay_short(world):
    world.front.instead["accounts"] = answer(status=500)

    assert delay_of(run_again(world.accounts)) in SOON
