"""Edits reach the source in the device's order, and come back with their outcomes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from replication.odata.errors import SourceUnavailableError, ThrottledError
from replication.odata.writing import WriteRefusedError
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_edit_is_written_in_its_users_name_and_its_row_comes_back(world, device):
    ada = world.device("Ada")
    sent = world.edit("Airport", device=device, name="Airfield")

    done = world.carry()
    ada.sync()

    assert done.settled == 1
    version = world.version("Airport")
    assert world.outcomes(device) == [("applied", {"version": version})]
    assert world.sink.journal[0].caller == guid("Ada@entra")
    assert world.sink.journal[0].marker == sent
    assert ada.names() == {"Airfield", "Depot", "Harbour"}


def test_edits_of_a_device_are_written_in_its_order(world, device):
    for name in ("Harbour", "Airport", "Depot"):
        world.edit(name, device=device, revenue=5)

    world.carry()

    assert world.statuses(device) == ["applied"] * 3
    assert [key for _, key in world.written] == [
        str(guid(name)) for name in ("Harbour", "Airport", "Depot")
    ]


def test_a_device_does_not_conflict_with_itself(world, device):
    seen = world.version("Airport")
    for revenue in (2, 3, 4):
        world.accept(
            "update",
            guid("Airport"),
            device=device,
            base_version=seen,
            values={"revenue": revenue},
        )

    world.carry()

    assert world.statuses(device) == ["applied"] * 3
    assert world.source.rows("account")[str(guid("Airport"))]["revenue"] == 4


def test_a_row_is_created_edited_and_deleted_by_one_queue(world, device):
    key = uuid4()
    owner = {"ownerid": str(guid("Ada")), "owningbusinessunit": str(guid("North"))}
    world.accept("create", key, device=device, values={"name": "New", **owner})
    world.accept("update", key, device=device, values={"name": "Newer"})
    world.accept("delete", key, device=device)

    world.carry()

    assert world.statuses(device) == ["applied"] * 3
    assert [op for op, _ in world.written] == ["create", "update", "delete"]
    assert world.staged_names() == ["Airport", "Depot", "Harbour"]


def test_a_void_takes_its_place_and_nothing_is_sent(world, device):
    world.accept("void", device=device)

    world.carry()

    assert world.outcomes(device) == [("applied", {})]
    assert world.written == []


def test_devices_do_not_wait_for_each_other(world):
    busy, calm = uuid4(), uuid4()
    world.edit("Airport", device=busy, revenue=2)
    world.edit("Depot", device=calm, revenue=2)

    def refuse(writes):
        if str(writes[0].key[0]) == str(guid("Airport")):
            raise ThrottledError("Later.")

    world.sink.before = refuse
    done = world.carry()

    assert world.statuses(busy) == ["accepted"]
    assert world.statuses(calm) == ["applied"]
    assert done.next_in is not None


def test_a_source_that_is_down_keeps_the_order(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.edit("Depot", device=device, revenue=2)
    down = [SourceUnavailableError("Away.")]

    def fail_once(_writes):
        if down:
            raise down.pop()

    world.sink.before = fail_once
    world.carry()
    before = world.statuses(device)
    world.try_again_now()
    world.carry()

    assert before == ["accepted", "accepted"]
    assert world.statuses(device) == ["applied", "applied"]
    assert [key for _, key in world.written] == [
        str(guid("Airport")),
        str(guid("Depot")),
    ]


def test_an_edit_that_waits_is_not_tried_before_its_time(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.execute("UPDATE sync.mutation SET next_try_at = now() + interval '1 hour'")

    done = world.carry()

    assert done.settled == 0
    assert done.next_in is not None
    assert world.written == []


def test_a_refused_edit_says_why_and_the_others_go_on(world, device):
    world.edit("Airport", device=device, revenue=-1)
    world.edit("Depot", device=device, revenue=2)

    def plug_in(writes):
        if writes[0].values.get("revenue") == -1:
            raise WriteRefusedError("Revenue is never negative.", reason="invalid")

    world.sink.before = plug_in
    world.carry()

    assert world.outcomes(device)[0] == (
        "rejected",
        {"reason": "invalid", "message": "Revenue is never negative."},
    )
    assert world.statuses(device) == ["rejected", "applied"]


def test_what_depends_on_a_failed_edit_is_parked_behind_it(world, device):
    def plug_in(writes):
        if writes[0].values.get("revenue") == -1:
            raise WriteRefusedError("No.", reason="invalid")

    world.sink.before = plug_in
    failed = world.edit("Airport", device=device, revenue=-1)
    world.edit("Airport", device=device, revenue=2)
    world.edit("Airport", device=device, revenue=3)
    world.edit("Depot", device=device, revenue=2)

    world.carry()

    parked = ("parked", {"blocked_by": str(failed)})
    assert world.outcomes(device)[1:3] == [parked, parked]
    assert world.statuses(device) == ["rejected", "parked", "parked", "applied"]


def test_an_edit_that_came_after_the_failure_was_known_is_not_parked(world, device):
    world.sink.before = lambda _writes: (_ for _ in ()).throw(
        WriteRefusedError("No.", reason="invalid")
    )
    world.edit("Airport", device=device, revenue=-1)
    world.carry()
    world.execute("UPDATE sync.mutation SET delivered_at = now()")
    world.sink.before = lambda _writes: None
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    assert world.statuses(device) == ["rejected", "applied"]


def test_outcomes_take_revs_of_their_own(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.accept("void", device=device)

    world.carry()

    revs = world.values("SELECT outcome_rev FROM sync.mutation ORDER BY sequence")
    entries = world.values("SELECT rev FROM sync.feed WHERE rev > 0")
    assert len({*revs, *entries}) == len(revs) + len(entries)
    assert max([*revs, *entries]) == world.rev
