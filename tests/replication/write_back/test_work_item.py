"""The work item of uploads: over HTTP to a real source, and what is recorded of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning.models import Organization, WorkItem
from provisioning.services import leases, uploads_due
from replication.services import run
from syncapi.services import fleet
from tests.provisioning import factories
from tests.replication.odata import servers
from tests.replication.odata.servers import Answer

pytestmark = pytest.mark.django_db(transaction=True)


class Source:
    """Answers requests by their method and path; everything else is refused."""

    def __init__(self, world):
        self.world = world
        self.instead = None
        self.seen = []

    def __call__(self, request):
        self.seen.append((request.method, request.target))
        if self.instead is not None:
            return self.instead(request)
        return Answer(status=404, body=b"{}")


@pytest.fixture
def source(world):
    answers = Source(world)
    with servers.serving(answers) as server:
        Organization.objects.filter(pk=world.id).update(
            endpoint=server.endpoint, credential_type="none"
        )
        yield answers


def run_uploads(world):
    WorkItem.objects.filter(pk=world.item.pk).update(
        state="due", next_due_at=factories.NOON
    )
    held = leases.claim(lease=factories.LEASE, only=world.item.pk)
    assert held is not None
    run.run_item(held)
    world.item.refresh_from_db()
    return world.item


def test_a_run_without_edits_asks_nothing_and_is_due_in_its_interval(world, source):
    item = run_uploads(world)

    assert (item.state, item.last_error) == ("due", "")
    assert item.next_due_at - timezone.now() > uploads_due.NET
    assert source.seen == []


def test_a_run_over_edits_that_wait_is_due_when_the_first_may_be_tried(
    world, source, device
):
    world.edit("Airport", device=device, revenue=2)
    world.execute("UPDATE sync.mutation SET next_try_at = now() + interval '9 s'")

    item = run_uploads(world)

    assert item.next_due_at - timezone.now() <= timedelta(seconds=9)


def test_a_source_that_is_down_loses_nothing_and_is_tried_again_soon(
    world, source, device
):
    world.edit("Airport", device=device, revenue=2)
    source.instead = lambda _request: Answer(status=503, body=b"")

    item = run_uploads(world)

    assert item.state == "due"
    assert item.next_due_at - timezone.now() < timedelta(minutes=1)
    assert world.statuses(device) == ["accepted"]
    assert item.waiting == 1
    assert fleet.overview(now=timezone.now()).total("waiting") == 1


def test_a_refused_credential_halts_the_item_with_the_reason(world, source, device):
    world.edit("Airport", device=device, revenue=2)
    source.instead = lambda _request: Answer(status=401, body=b"{}")

    for _ in range(3):
        item = run_uploads(world)
        world.try_again_now()

    assert (item.state, item.last_error_code) == ("halted", "access_refused")
    assert world.statuses(device) == ["accepted"]
    assert world.values("SELECT sent_at FROM sync.mutation") == [None]


def test_a_worker_that_lost_its_lease_says_nothing_of_the_item(world, source, device):
    world.edit("Airport", device=device, revenue=2)
    held = leases.claim(lease=factories.LEASE, only=world.item.pk)
    assert held is not None
    world.execute("UPDATE sync.write_back SET fencing_epoch = 1000")
    WorkItem.objects.filter(pk=world.item.pk).update(epoch=1000)

    run.run_item(held)

    world.item.refresh_from_db()
    assert (world.item.epoch, world.item.state) == (1000, "leased")
    assert source.seen == []
