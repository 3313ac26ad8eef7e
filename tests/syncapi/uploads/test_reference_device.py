"""The reference device and the service agree on what PROTOCOL §7 says."""

from __future__ import annotations

from uuid import UUID

import pytest

from replication.services import heads
from sandbox.device.client import Device
from sandbox.device.editor import Create, Editor, Update
from tests.staged import guid
from tests.syncapi.uploads import bridge
from tests.syncapi.uploads.deciding import decide

AIRPORT = str(guid("Airport"))
DEVICE = UUID(int=77)


@pytest.fixture
def bridged(phone):
    return bridge.session(phone.client)


@pytest.fixture
def device(bridged):
    session, _ = bridged
    with Device(
        ":memory:",
        bridge.URL,
        "contoso",
        DEVICE,
        lambda: "token",
        session=session,
        sleep=lambda _seconds: None,
    ) as made:
        made.register(name="Tablet", platform="test", app_version="1")
        made.sync()
        yield made


@pytest.fixture
def editor(device):
    return Editor(device.store)


def stored(world):
    return world.fetch("SELECT sequence, op FROM sync.mutation ORDER BY sequence")


def forget_uploads(world):
    """As after a restore from a backup that is older than all uploads."""
    world.execute("DELETE FROM sync.mutation")
    world.execute("UPDATE sync.device SET next_sequence = 1")
    world.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")
    heads.drop_head(world.id)


def test_edits_of_every_kind_are_accepted(world, device, editor):
    editor.update("account", AIRPORT, {"name": "Aerodrome"})
    made = editor.create("account", {"name": "Canal"})
    editor.edit(
        Update("account", str(made.key), {"name": "Canal Street"}),
        Create("account", {"name": "Dock"}),
    )
    editor.delete("account", str(made.key))
    taken_back = editor.create("account", {"name": "Never mind"})
    editor.undo(taken_back.number)

    result = device.sync()

    assert (result.sent, editor.pending().undecided) == (6, 6)
    assert stored(world) == [
        (1, "update"),
        (2, "create"),
        (3, "update"),
        (4, "create"),
        (5, "delete"),
        (6, "void"),
    ]


def test_an_answer_that_was_lost_is_asked_for_again(world, bridged, device, editor):
    _, between = bridged
    editor.update("account", AIRPORT, {"name": "Aerodrome"})
    lost = iter([True])
    between.loses = lambda path: path.endswith("/mutations") and next(lost, False)

    device.sync()

    assert (stored(world), editor.pending().undecided) == ([(1, "update")], 1)


def test_an_applied_edit_goes_with_the_answer_that_says_so(world, device, editor):
    editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.sync()

    decide(world, DEVICE, 1, version="9")
    device.sync()

    assert editor.edits() == []


def test_a_conflict_is_told_with_the_servers_row(world, device, editor):
    edit = editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.sync()
    decide(world, DEVICE, 1, "conflict", lost=["name"])

    device.sync()

    (dispute,) = editor.disputes()
    assert dispute.theirs is not None
    assert (dispute.theirs["name"], dispute.edit.number) == ("Airport", edit.number)
    (again,) = editor.keep_mine(edit.number)
    device.sync()
    assert stored(world) == [(1, "update"), (again.sequence, "update")]


def test_an_outcome_of_something_parked_names_what_it_waits_behind(
    world, device, editor
):
    bad = editor.update("account", AIRPORT, {"name": ""})
    good = editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.sync()
    decide(world, DEVICE, 1, "rejected", reason="invalid")
    decide(world, DEVICE, 2, "parked", blocked_by=bad.id)
    device.sync()

    editor.undo(bad.number)
    device.sync()

    assert [edit.body for edit in editor.edits()] == [good.body]
    assert stored(world)[-1] == (3, "update")


def test_a_database_that_forgot_is_told_again(world, device, editor):
    first = editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.sync()
    forget_uploads(world)
    editor.update("account", AIRPORT, {"name": "Airfield"})

    device.sync()

    assert stored(world) == [(1, "update"), (2, "update")]
    assert world.values("SELECT id FROM sync.mutation WHERE sequence = 1") == [
        UUID(first.id)
    ]


def test_a_database_that_forgot_is_told_again_by_a_device_without_a_checkpoint(
    world, device, editor
):
    first = editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.store.forget_checkpoint()
    device.upload()
    forget_uploads(world)

    device.sync()

    assert world.values("SELECT id FROM sync.mutation") == [UUID(first.id)]
    decide(world, DEVICE, 1, version="9")
    device.sync()
    assert editor.edits() == []


def test_sequences_that_the_service_misses_are_filled_with_voids(world, device, editor):
    device.store.start_sequences_at(3)
    editor.update("account", AIRPORT, {"name": "Aerodrome"})

    device.sync()

    assert stored(world) == [(1, "void"), (2, "void"), (3, "update")]


def test_a_restored_device_moves_behind_what_it_forgot(world, device, editor):
    editor.update("account", AIRPORT, {"name": "Aerodrome"})
    device.sync()
    device.store.wipe()
    device.store.wipe_confirmed()
    device.store.bind(organization="contoso", device=str(DEVICE))
    device.sync()
    editor.update("account", AIRPORT, {"name": "Airfield"})

    device.sync()

    assert stored(world) == [(1, "update"), (2, "update")]
