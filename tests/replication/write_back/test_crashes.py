"""Workers killed by SIGKILL at each step: every edit is done once, in order."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.replication.checks import assert_sound
from tests.replication.write_back.dying import KeptSource, WorkerProcess
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

KILLED = -signal.SIGKILL
STEPS = (
    "begun",
    "sent",
    "handed_over",
    "read_back",
    "tables_locked",
    "merged",
    "stored",
    "recorded",
)
POINTS = [f"upload.{step}:{nth}" for step in STEPS for nth in (1, 3)]


@pytest.fixture(scope="module")
def worker(django_db_setup: None) -> Iterator[WorkerProcess]:
    process = WorkerProcess()
    yield process
    process.stop()


@pytest.fixture(params=[True, False], ids=["marked", "unmarked"])
def has_markers(request):
    return request.param


@pytest.fixture
def busy(world, tmp_path, has_markers):
    """Two devices of Ada's with edits of each kind; the source outlives processes."""
    world.path = tmp_path / "source"
    world.queues = {uuid4(): ("Airport", "Depot"), uuid4(): ("Harbour", "Station")}
    for device, (first, second) in world.queues.items():
        created = guid(f"created on {device}")
        if second == "Station":
            world.add_account("Station", owner="Ada", unit="North")
            world.pull("account")
        seen = world.version(first)
        for revenue in (11, 12):
            world.accept(
                "update",
                guid(first),
                device=device,
                base_version=seen,
                values={"revenue": revenue},
            )
        world.accept("create", created, device=device, values={"name": "New"})
        world.accept("update", created, device=device, values={"name": "Newer"})
        world.accept(
            "delete", guid(second), device=device, base_version=world.version(second)
        )
    world.sink = KeptSource(world.path, world.source, has_markers=has_markers)
    return world


def carry_on(world):
    """Workers that live, until nothing waits."""
    for _ in range(20):
        world.try_again_now()
        world.carry(threads=2)
        if not world.values("SELECT id FROM sync.mutation WHERE status = 'accepted'"):
            return


def assert_done_once(world):
    world.sink.load()
    world.source = world.sink.fake
    for device, (first, second) in world.queues.items():
        created = guid(f"created on {device}")
        own = {str(guid(first)), str(guid(second)), str(created)}
        done = [
            (one.op, one.key, one.values.get("revenue") or one.values.get("name"))
            for one in world.sink.journal
            if one.key in own
        ]
        assert done == [
            ("update", str(guid(first)), 11),
            ("update", str(guid(first)), 12),
            ("create", str(created), "New"),
            ("update", str(created), "Newer"),
            ("delete", str(guid(second)), None),
        ]
        assert world.statuses(device) == ["applied"] * 5
    assert sorted(map(str, world.values("SELECT accountid FROM data.account"))) == (
        sorted(world.source.rows("account"))
    )
    assert_sound(world)


def test_a_run_that_nothing_kills_does_everything_once(busy, worker, has_markers):
    status = worker.carry(busy, busy.path, fail="nowhere:1", has_markers=has_markers)

    assert status == 0
    assert_done_once(busy)


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_anywhere_loses_nothing_and_repeats_nothing(
    busy, worker, has_markers, point
):
    killed = worker.carry(busy, busy.path, fail=point, has_markers=has_markers)
    carry_on(busy)

    assert killed == KILLED
    assert_done_once(busy)


def test_a_worker_killed_again_and_again_still_gets_there(busy, worker, has_markers):
    points = [f"upload.{step}:1" for step in (*STEPS, "found_out", "sent", "begun")]
    for point in points:
        busy.try_again_now()
        worker.carry(busy, busy.path, fail=point, has_markers=has_markers)

    carry_on(busy)

    assert_done_once(busy)


def test_every_marked_write_bears_the_marker_of_its_mutation(busy, worker):
    if not busy.sink.has_markers:
        pytest.skip("There is no marker table.")
    worker.carry(busy, busy.path, fail="upload.sent:2", has_markers=True)
    carry_on(busy)

    busy.sink.load()
    expected = [
        (marker, json.loads(bytes(body).decode()))
        for marker, body in busy.fetch("SELECT id, body FROM sync.mutation")
    ]
    assert {one.marker for one in busy.sink.journal} == {m for m, _ in expected}
    assert len(busy.sink.journal) == len(expected)
