"""Leases that stay alive while their worker waits, and no longer than that."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

from provisioning.models import WorkItem
from replication.services import heartbeat
from tests.provisioning import factories
from tests.replication import waiting

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(milliseconds=150)


@pytest.fixture
def held():
    return factories.claimed(only=factories.work_item())


def leased_until(held):
    return WorkItem.objects.get(pk=held.work_item_id).leased_until


def test_a_lease_is_renewed_while_its_worker_waits(held):
    first = leased_until(held)

    with heartbeat.kept(held, lease=LEASE):
        waiting.until(lambda: leased_until(held) != first)
        second = leased_until(held)
        waiting.until(lambda: leased_until(held) != second)

    assert leased_until(held) is not None


def test_a_lease_that_was_lost_is_not_taken_back(held, caplog):
    WorkItem.objects.update(epoch=99)
    until = leased_until(held)

    with caplog.at_level(logging.WARNING), heartbeat.kept(held, lease=LEASE):
        waiting.until(lambda: caplog.records)

    assert [record.getMessage() for record in caplog.records] == ["Lease lost"]
    assert leased_until(held) == until


def test_a_worker_that_fails_ends_its_heartbeat(held):
    with pytest.raises(RuntimeError), heartbeat.kept(held, lease=LEASE):
        raise RuntimeError

    assert heartbeat_threads() == []


def heartbeat_threads():
    return [t for t in threading.enumerate() if t.name == "heartbeat"]
