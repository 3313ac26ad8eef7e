"""Edits of devices are carried on soon, whatever becomes of messages and of runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from provisioning.models import WorkItem
from provisioning.services import leases, uploads_due
from tests.provisioning import factories
from tests.provisioning.factories import LEASE

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def acme():
    return factories.organization()


def item_of(organization):
    return WorkItem.objects.get(organization=organization, kind="uploads")


def idle(organization):
    """The item has run, and is due in its interval."""
    uploads_due.ensure(organization.pk)
    WorkItem.objects.update(next_due_at=factories.NOON)
    held = factories.claimed(only=item_of(organization))
    leases.finish(held)
    return item_of(organization)


def test_the_first_announcement_makes_the_item_and_it_is_due_within_the_net(acme):
    uploads_due.expect(acme.pk)

    assert item_of(acme).next_due_at - timezone.now() <= uploads_due.NET


def test_announced_edits_are_carried_within_the_net_without_any_message(acme):
    idle(acme)

    uploads_due.expect(acme.pk)

    assert item_of(acme).next_due_at - timezone.now() <= uploads_due.NET


def test_an_announcement_survives_a_run_that_ends_before_the_commit(acme):
    idle(acme)
    uploads_due.wake(acme.pk)
    held = factories.claimed()
    uploads_due.expect(acme.pk)
    leases.finish(held)

    assert item_of(acme).next_due_at - timezone.now() <= uploads_due.NET


def test_an_announcement_survives_a_whole_run_that_begins_after_it(acme):
    idle(acme)
    uploads_due.expect(acme.pk)
    WorkItem.objects.update(next_due_at=Now())
    leases.finish(factories.claimed())

    assert item_of(acme).next_due_at - timezone.now() <= uploads_due.NET


def test_without_an_announcement_the_interval_counts(acme):
    item = idle(acme)

    assert item.next_due_at - timezone.now() > uploads_due.NET


def test_a_wake_up_makes_it_due_now(acme):
    idle(acme)

    uploads_due.wake(acme.pk)

    assert factories.claimed().kind == "uploads"


def test_a_wake_up_during_a_run_makes_another_run(acme):
    idle(acme)
    uploads_due.wake(acme.pk)
    held = factories.claimed()

    uploads_due.wake(acme.pk)
    leases.finish(held)

    assert leases.claim(lease=LEASE) is not None


def test_a_wake_up_never_fails(acme, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    uploads_due.wake(acme.pk)


@pytest.mark.parametrize("state", ["halted", "paused"])
def test_stopped_items_stay_stopped(acme, state):
    idle(acme)
    WorkItem.objects.update(state=state)

    uploads_due.expect(acme.pk)
    uploads_due.wake(acme.pk)

    assert leases.claim(lease=LEASE) is None


def test_edits_that_wait_for_their_next_attempt_set_the_time(acme):
    uploads_due.ensure(acme.pk)
    uploads_due.wake(acme.pk)
    held = factories.claimed()

    leases.finish(held, next_in=timedelta(seconds=7))

    assert item_of(acme).next_due_at - timezone.now() <= timedelta(seconds=7)


def test_uploads_go_before_the_pulls_of_their_organization(acme):
    factories.work_item(acme, table="account")
    factories.work_item(acme, table="contact", next_due_at=factories.NOON - MINUTE)
    uploads_due.ensure(acme.pk)
    uploads_due.wake(acme.pk)

    assert factories.claimed().kind == "uploads"


def test_uploads_do_not_wait_for_pulls_that_are_running(acme, settings):
    settings.ORGANIZATION_CONCURRENCY = 1
    factories.work_item(acme, table="account")
    factories.work_item(acme, table="contact")
    factories.claimed()
    uploads_due.ensure(acme.pk)
    uploads_due.wake(acme.pk)

    assert factories.claimed().kind == "uploads"
    assert leases.claim(lease=LEASE) is None
