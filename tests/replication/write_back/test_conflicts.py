"""Edits of rows that somebody else has changed, under each policy."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.staged import guid

pytestmark = pytest.mark.django_db(transaction=True)

AIRPORT = str(guid("Airport"))


def change_behind_the_back(world, row, **values):
    """The source has it; staging does not know yet."""
    world.source.put("account", guid(row), **values)


@pytest.fixture(params=["known", "unknown"])
def is_known(request):
    """Whether staging has heard of the change before the edit is carried."""
    return request.param == "known"


def test_server_wins_leaves_the_row_and_tells_what_was_lost(
    uploading, device, is_known
):
    world = uploading(conflicts="server_wins")
    world.edit("Airport", device=device, revenue=2)
    change_behind_the_back(world, "Airport", name="Airfield")
    if is_known:
        world.pull("account")

    world.carry()

    assert world.outcomes(device) == [("conflict", {"lost": ["revenue"]})]
    assert world.written == []
    assert "Airfield" in world.staged_names()


def test_client_wins_writes_its_columns_over_the_change(uploading, device, is_known):
    world = uploading(conflicts="client_wins")
    world.edit("Airport", device=device, revenue=2)
    change_behind_the_back(world, "Airport", name="Airfield", revenue=9)
    if is_known:
        world.pull("account")

    world.carry()

    row = world.source.rows("account")[AIRPORT]
    assert world.statuses(device) == ["applied"]
    assert (row["name"], row["revenue"]) == ("Airfield", 2)


def merging(uploading, device, *, name, revenue):
    """An edit of two columns, of which the device has told the former values."""
    world = uploading(conflicts="merge")
    world.accept(
        "update",
        guid("Airport"),
        device=device,
        base_version=world.version("Airport"),
        values={"name": name, "revenue": revenue},
        base_values={"name": "Airport", "revenue": "1"},
    )
    return world


def test_a_merge_writes_what_only_the_device_changed(uploading, device, is_known):
    world = merging(uploading, device, name="Airport", revenue=2)
    change_behind_the_back(world, "Airport", ownerid=str(guid("Ada")))
    if is_known:
        world.pull("account")

    world.carry()

    version = world.version("Airport")
    assert world.outcomes(device) == [("applied", {"version": version, "merged": True})]
    assert world.sink.journal[0].values == {"revenue": 2}


def test_a_merge_that_overlaps_writes_the_rest_and_says_what_is_lost(uploading, device):
    world = merging(uploading, device, name="Mine", revenue=2)
    change_behind_the_back(world, "Airport", name="Theirs")

    world.carry()

    row = world.source.rows("account")[AIRPORT]
    assert world.outcomes(device) == [("conflict", {"lost": ["name"]})]
    assert (row["name"], row["revenue"]) == ("Theirs", 2)


def test_the_rest_of_a_merge_is_the_devices_own_version(uploading, device):
    world = merging(uploading, device, name="Mine", revenue=2)
    change_behind_the_back(world, "Airport", name="Theirs")
    world.carry()
    world.execute("UPDATE sync.mutation SET delivered_at = now()")
    world.edit("Airport", device=device, revenue=3)

    world.carry()

    assert world.statuses(device) == ["conflict", "applied"]


def test_an_update_of_a_row_that_is_gone_is_rejected(world, device):
    world.edit("Airport", device=device, revenue=2)
    world.source.delete("account", AIRPORT)

    world.carry()

    assert world.outcomes(device)[0][1]["reason"] == "not_found"
    assert world.staged_names() == ["Depot", "Harbour"]


@pytest.mark.parametrize("is_pulled", [True, False])
def test_a_delete_of_a_row_that_is_gone_is_done(world, device, is_pulled):
    version = world.version("Airport")
    world.accept("delete", AIRPORT, device=device, base_version=version)
    world.source.delete("account", AIRPORT)
    if is_pulled:
        world.pull("account")

    world.carry()

    assert world.outcomes(device) == [("applied", {})]
    assert world.staged_names() == ["Depot", "Harbour"]


def test_a_delete_of_a_changed_row_is_a_conflict(world, device):
    version = world.version("Airport")
    world.accept("delete", AIRPORT, device=device, base_version=version)
    change_behind_the_back(world, "Airport", name="Airfield")

    world.carry()

    assert world.outcomes(device) == [("conflict", {})]
    assert AIRPORT in world.source.rows("account")


def test_a_row_that_is_there_cannot_be_created(world, device):
    world.accept("create", AIRPORT, device=device, values={"name": "Mine"})

    world.carry()

    assert world.outcomes(device)[0][1]["reason"] == "exists"
    assert world.source.rows("account")[AIRPORT]["name"] == "Airport"


def test_an_edit_that_a_restored_database_forgot_is_not_made_again(world, device):
    id_ = world.edit("Airport", device=device, revenue=2)
    seen = world.values("SELECT base_version FROM sync.mutation")[0]
    world.carry()
    world.execute("DELETE FROM sync.mutation")
    world.accept(
        "update",
        AIRPORT,
        device=device,
        id_=id_,
        base_version=seen,
        values={"revenue": 2},
    )

    world.carry()

    assert world.statuses(device) == ["applied"]
    assert len(world.written) == 1


def test_another_devices_edit_is_a_conflict(world, device):
    other = uuid4()
    world.edit("Airport", device=device, revenue=2)
    world.edit("Airport", device=other, revenue=3)

    world.carry(threads=1)

    assert sorted([*world.statuses(device), *world.statuses(other)]) == [
        "applied",
        "conflict",
    ]


# Groups


def group_of(world, device, *edits):
    group = uuid4()
    for row, version, values in edits:
        world.accept(
            "update",
            guid(row),
            device=device,
            group=group,
            base_version=version,
            values=values,
        )


def test_a_group_is_one_change_set(world, device):
    group_of(
        world,
        device,
        ("Airport", world.version("Airport"), {"revenue": 2}),
        ("Depot", world.version("Depot"), {"revenue": 3}),
    )

    world.carry()

    assert world.statuses(device) == ["applied", "applied"]
    assert len({one.marker for one in world.sink.journal}) == 1


def test_a_group_fails_as_a_whole_and_each_says_why(world, device):
    stale = world.version("Depot")
    change_behind_the_back(world, "Depot", name="Store")
    group_of(
        world,
        device,
        ("Airport", world.version("Airport"), {"revenue": 2}),
        ("Depot", stale, {"revenue": 3}),
    )

    world.carry()

    (first, first_outcome), second = world.outcomes(device)
    assert (first, first_outcome["reason"]) == ("rejected", "other")
    assert second == ("conflict", {"lost": ["revenue"]})
    assert world.written == []
