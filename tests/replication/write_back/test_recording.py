"""Own edits come back into staging: never older than what is there, never undead."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from provisioning.models import AuditEntry
from replication.odata.errors import SourceUnavailableError
from replication.staging import write_backs
from replication.staging.registry import FencedError
from tests.replication.checks import assert_equals_source, assert_sound
from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

AIRPORT = str(guid("Airport"))


def once(act):
    """What happens the first time only."""
    left = [act]

    def happen():
        if left:
            left.pop()()

    return happen


def test_a_row_that_a_pull_deleted_since_it_was_read_stays_deleted(world, device):
    world.edit("Airport", device=device, revenue=2)

    def delete_and_pull():
        world.sink.before_read = lambda: None
        page = read_rows(world, AIRPORT)
        world.source.delete("account", AIRPORT)
        world.pull("account")
        # What the source answered before all that arrives now.
        world.sink.late = page

    world.sink.before_read = delete_and_pull
    answer = world.sink.fetch_rows

    def answered(table, keys):
        found = answer(table, keys)
        late, world.sink.late = getattr(world.sink, "late", None), None
        return late or found

    world.sink.fetch_rows = answered
    world.carry()

    assert world.statuses(device) == ["applied"]
    assert world.staged_names() == ["Depot", "Harbour"]


def read_rows(world, *keys):
    table = next(t for t in world.tables if t.name == "account")
    return world.source.source().fetch_rows(table, keys)


def test_a_pull_that_brought_a_newer_version_meanwhile_wins(world, device):
    world.edit("Airport", device=device, revenue=2)

    def change_and_pull():
        world.sink.before_read = lambda: None
        world.source.put("account", AIRPORT, name="Airfield")
        world.pull("account")

    world.sink.before_read = change_and_pull
    world.carry()

    assert "Airfield" in world.staged_names()
    assert_equals_source(world)


def test_an_edit_moves_its_row_in_the_feed_as_a_pull_would(world, device):
    grace = world.device("Grace")
    ada = world.device("Ada")
    world.edit("Airport", device=device, ownerid=str(guid("Grace")))

    world.carry()
    grace.sync()
    ada.sync()

    assert grace.names() == {"Airport"}
    assert ada.names() == {"Depot", "Harbour"}
    assert_sound(world)
    assert_equals_source(world)


def test_a_pull_afterwards_finds_nothing_new(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.carry()

    pulled = world.pull("account")

    assert (pulled.written, pulled.unchanged) == (0, 1)


def test_an_edit_during_a_full_load_is_not_swept_away(world, device):
    created = guid("New")
    world.page_size = 2
    world.pull("account", wants_resync=True, time_slice=timedelta(0))
    owner = {"ownerid": str(guid("Ada")), "owningbusinessunit": str(guid("North"))}
    world.accept("create", created, device=device, values={"name": "New", **owner})

    world.carry()
    during = world.staged_names()
    world.pull("account")

    assert "New" in during
    assert_equals_source(world)


def test_the_number_of_rows_is_kept(world, device):
    world.accept("create", uuid4(), device=device, values={"name": "New"})
    world.accept("create", uuid4(), device=device, values={"name": "Newer"})
    world.accept(
        "delete", AIRPORT, device=device, base_version=world.version("Airport")
    )

    world.carry()

    counted = world.values("SELECT row_count FROM sync.source WHERE name = 'account'")
    assert counted == world.values("SELECT count(*) FROM data.account") == [4]


def test_a_worker_whose_lease_was_taken_over_sends_nothing(world, device):
    world.edit("Airport", device=device, revenue=2)
    with world.staging() as conn:
        write_backs.fence(conn, epoch=1_000_000)

    with pytest.raises(FencedError):
        world.carry()

    assert world.written == []
    assert world.statuses(device) == ["accepted"]


def test_a_worker_that_loses_its_lease_while_it_sends_records_nothing(world, device):
    world.edit("Airport", device=device, revenue=2)

    def take_over(_writes):
        with world.staging() as conn:
            write_backs.fence(conn, epoch=1_000_000)

    world.sink.after = take_over
    before = world.rev
    with pytest.raises(FencedError):
        world.carry()
    world.sink.after = lambda _writes: None
    late = (world.rev, world.statuses(device))
    world.carry(epoch=1_000_001)

    assert late == (before, ["accepted"])
    assert world.statuses(device) == ["applied"]
    assert len(world.written) == 1


def test_a_worker_that_loses_its_lease_sends_nothing_more(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.edit("Depot", device=device, revenue=2)

    def take_over(_writes):
        with world.staging() as conn:
            write_backs.fence(conn, epoch=1_000_000)

    world.sink.after = take_over
    with pytest.raises(FencedError):
        world.carry()

    assert world.written == [("update", AIRPORT)]


def test_a_source_that_cannot_be_read_back_delays_the_outcome_only(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.sink.before_read = once(_raise_unavailable)

    with pytest.raises(SourceUnavailableError):
        world.carry()
    between = world.statuses(device)
    world.carry()

    assert between == ["accepted"]
    assert world.statuses(device) == ["applied"]
    assert len(world.written) == 1


def _raise_unavailable():
    raise SourceUnavailableError("Away.")


def test_parked_edits_go_on_once_what_they_waited_for_is_done(world, device):
    failed = world.edit("Airport", device=device, revenue=2)
    world.edit("Airport", device=device, revenue=3)
    world.execute(
        "UPDATE sync.mutation SET status = 'rejected', outcome_rev = 1,"
        " outcome = '{}' WHERE id = %s",
        failed,
    )
    world.carry()
    parked = world.statuses(device)
    world.execute("UPDATE sync.mutation SET status = 'accepted' WHERE id = %s", failed)

    world.carry()

    assert parked == ["rejected", "parked"]
    assert world.statuses(device) == ["applied", "applied"]


def test_in_whose_name_is_audited_where_the_source_cannot_know(world, device):
    world.sink.impersonates = False
    world.sink.has_markers = False
    world.edit("Airport", device=device, revenue=2)

    world.carry()

    entry = AuditEntry.objects.get(verb="write back")
    assert (entry.actor, entry.detail["table"]) == ("Ada", "account")
    assert world.sink.journal[0].caller is None


def test_many_devices_of_several_tables_are_recorded_together(world):
    devices = [uuid4() for _ in range(12)]
    for number, device in enumerate(devices):
        for row in ("Airport", "Depot", "Harbour"):
            world.accept(
                "create",
                guid(f"{row} {number}"),
                device=device,
                values={"name": f"{row} {number}"},
            )

    done = world.carry(threads=8)

    assert done.settled == 36
    assert {s for d in devices for s in world.statuses(d)} == {"applied"}
    assert_equals_source(world)


def test_a_run_without_work_asks_the_source_nothing(world):
    done = world.carry()

    assert (done.settled, done.has_more, done.next_in) == (0, False, None)


def test_order_of_a_run_says_how_long_to_wait_for_the_next(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.execute("UPDATE sync.mutation SET next_try_at = now() + interval '20 s'")

    done = world.carry()

    assert done.next_in is not None
    assert timedelta(seconds=10) < done.next_in <= timedelta(seconds=20)
