"""Attempts whose answer nobody heard: found out, and never made twice."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from replication.domain.upload_order import HOPELESS_AFTER
from tests.replication.write_back.played import unknown
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

AIRPORT = str(guid("Airport"))
HOURS = timedelta(hours=1)


def carry_on(world):
    """The source answers again, and the time of the next attempt has come."""
    world.sink.before = world.sink.after = lambda _writes: None
    world.try_again_now()
    return world.carry()


def kinds(world, device):
    """Three edits of different kinds, each of a row of its own."""
    world.edit("Airport", device=device, revenue=2)
    world.accept("create", uuid4(), device=device, values={"name": "New"})
    world.accept(
        "delete", guid("Depot"), device=device, base_version=world.version("Depot")
    )


@pytest.mark.parametrize("has_markers", [True, False])
@pytest.mark.parametrize("was_done", [True, False])
def test_every_edit_is_done_once_whatever_became_of_the_first_attempt(
    world, device, has_markers, was_done
):
    world.sink.has_markers = has_markers
    kinds(world, device)
    for _ in range(3):
        if was_done:
            world.sink.after = unknown
        else:
            world.sink.before = unknown
        world.carry()
        world.try_again_now()
        world.sink.before = world.sink.after = lambda _writes: None
        world.carry()
        world.try_again_now()

    assert world.statuses(device) == ["applied"] * 3
    assert [op for op, _ in world.written] == ["update", "create", "delete"]
    assert not any(outcome.get("uncertain") for _, outcome in world.outcomes(device))


def test_later_edits_wait_until_the_first_is_found_out(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.edit("Depot", device=device, revenue=2)
    world.sink.before = unknown

    world.carry()
    waiting = world.statuses(device)
    carry_on(world)

    assert waiting == ["accepted", "accepted"]
    assert [key for _, key in world.written] == [AIRPORT, str(guid("Depot"))]


def test_without_a_marker_a_row_that_tells_nothing_is_never_written_again(
    world, device
):
    world.sink.has_markers = False
    world.edit("Airport", device=device, revenue=2)
    world.sink.before = unknown
    world.carry()
    world.source.put("account", AIRPORT, revenue=7)

    carry_on(world)

    (status, outcome), *_ = world.outcomes(device)
    assert (status, outcome["uncertain"]) == ("applied", True)
    assert world.written == []


def test_a_marker_decides_where_the_row_tells_nothing(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.sink.after = unknown
    world.carry()
    world.source.put("account", AIRPORT, revenue=7)

    carry_on(world)

    version = world.version("Airport")
    assert world.outcomes(device) == [("applied", {"version": version})]
    assert len(world.written) == 1


def test_what_nothing_guards_waits_until_the_first_attempt_is_over(world, device):
    world.sink.has_markers = False
    world.sink.time_limit = HOURS
    world.accept("create", uuid4(), device=device, values={"name": "New", "revenue": 1})
    world.accept("delete", AIRPORT, device=device)
    world.execute("DELETE FROM sync.mutation WHERE op = 'create'")
    world.execute(
        "UPDATE sync.mutation SET sent_at = now(), attempts = 1, attempt = '{}'"
    )

    waited = carry_on(world)

    assert world.statuses(device) == ["accepted"]
    assert waited.next_in is not None
    assert waited.next_in > HOURS / 2


def test_what_a_merge_was_to_do_is_remembered(uploading, device):
    world = uploading(conflicts="merge")
    world.accept(
        "update",
        AIRPORT,
        device=device,
        base_version=world.version("Airport"),
        values={"name": "Mine", "revenue": 2},
        base_values={"name": "Airport", "revenue": "1"},
    )
    world.source.put("account", AIRPORT, name="Theirs")
    world.sink.after = unknown
    world.carry()

    carry_on(world)

    assert world.outcomes(device) == [("conflict", {"lost": ["name"]})]
    assert len(world.written) == 1


@pytest.mark.parametrize("has_markers", [True, False])
def test_a_group_in_doubt_is_done_once_and_whole(world, device, has_markers):
    world.sink.has_markers = has_markers
    group = uuid4()
    for row in ("Airport", "Depot"):
        world.accept(
            "update",
            guid(row),
            device=device,
            group=group,
            base_version=world.version(row),
            values={"revenue": 2},
        )
    world.sink.after = unknown
    world.carry()

    carry_on(world)

    assert world.statuses(device) == ["applied", "applied"]
    assert len(world.written) == 2


def test_an_edit_that_always_breaks_the_source_holds_its_device_up_for_a_while_only(
    world, device
):
    world.edit("Airport", device=device, revenue=-1)
    world.edit("Depot", device=device, revenue=2)

    def break_down(writes):
        if writes[0].values.get("revenue") == -1:
            unknown(writes)

    world.sink.before = break_down
    for _ in range(HOPELESS_AFTER + 1):
        world.carry()
        world.try_again_now()

    assert world.statuses(device) == ["rejected", "applied"]
