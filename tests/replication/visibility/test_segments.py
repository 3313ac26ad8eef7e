"""Rows that were stored for many are handed out as if they were read now."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from replication.domain.profiles import ProfileItem
from replication.services import housekeeping
from replication.services.serving import Limits, Rows, StoredRows
from tests.replication.segments import count, demand, store, stored_rows, tend
from tests.replication.worlds import profile
from tests.staged import guid

AT_ONCE = timedelta(0)
UNIT = 2
EVERYTHING = 8
# Two rows are a block.
TINY = Limits(rows=2)
SHORT = Limits(rows=2, answer_bytes=1)
ROWS = 9
# More than an answer has lines.
DEVICES = 26


@pytest.fixture(scope="module")
def fleet(all_of_contoso):
    return all_of_contoso.varied("fleet", hire_people)


@pytest.fixture
def sites(db, fleet):
    """Edsger and Barbara read their unit, North; Alan reads all accounts."""
    return fleet.world()


def hire_people(contoso):
    contoso.hire("Edsger", unit="North", account=UNIT)
    contoso.hire("Barbara", unit="North", account=UNIT)
    contoso.hire("Alan", unit="South", account=EVERYTHING)
    for number in range(ROWS):
        contoso.add_account(f"North {number}", owner="Nobody", unit="North")
    contoso.add_account("South", owner="Nobody", unit="South")
    contoso.pull("account")


def change_rows(world):
    world.source.put("account", guid("North 0"), revenue=7)
    world.source.delete("account", guid("North 1"))
    world.move("North 2", to_unit="South")
    world.hand_over("North 3", to="Ada")
    world.add_account("North 10", owner="Nobody", unit="North")
    world.move("South", to_unit="North")
    world.pull("account")


def expected(world, *units):
    """What the source has, for who reads these units."""
    wanted = {str(guid(unit)) for unit in units}
    return {
        row["name"]: None if row.get("revenue") is None else str(row["revenue"])
        for row in world.source.rows("account").values()
        if row["owningbusinessunit"] in wanted
    }


def held(device):
    rows = device.store.rows("account").values()
    return {row["name"]: row["revenue"] for row in rows}


def keys_sent(messages):
    """The accounts that an answer has rows of, one after another."""
    found = []
    for message in messages:
        if isinstance(message, Rows | StoredRows):
            found += [row[0] for row in json.loads(b"[" + message.upserts + b"]")]
    return found


def test_rows_that_did_not_change_are_passed_on_as_they_were_stored(sites):
    store(sites, "Edsger", "Barbara")
    device = sites.new_device("Barbara")

    blocks = stored_rows(device)
    device.sync()

    assert len(blocks) == 5
    assert held(device) == expected(sites, "North")


def test_each_row_is_sent_once(sites):
    store(sites, "Edsger", "Barbara")

    sent = keys_sent(sites.new_device("Barbara").unheard())

    assert len(sent) == len(set(sent)) == ROWS


def test_what_changed_since_is_read_now(sites):
    store(sites, "Edsger", "Barbara")
    change_rows(sites)
    device = sites.new_device("Barbara")

    device.sync()

    assert held(device) == expected(sites, "North")


def test_blocks_without_changes_are_still_passed_on_as_they_are(sites):
    store(sites, "Edsger", "Barbara")
    sites.source.put("account", guid("North 0"), revenue=7)
    sites.pull("account")

    blocks = stored_rows(sites.new_device("Barbara"))

    assert len(blocks) == 4


def test_a_row_that_left_before_the_user_came_is_never_sent(sites):
    store(sites, "Edsger", "Barbara")
    sites.move("North 4", to_unit="South")
    sites.source.delete("account", guid("North 5"))
    sites.pull("account")
    sites.hire("Grace Hopper", unit="North", account=UNIT)

    sent = keys_sent(sites.new_device("Grace Hopper").unheard())

    assert not {str(guid("North 4")), str(guid("North 5"))} & set(sent)
    assert len(sent) == ROWS - 2


def forget_history(world):
    conn = world.database.kept("test")
    housekeeping.sample_rev(conn)
    housekeeping.purge(conn, retention=AT_ONCE)


def test_a_segment_from_before_the_horizon_is_not_used(sites):
    store(sites, "Edsger", "Barbara")
    change_rows(sites)
    forget_history(sites)
    device = sites.new_device("Barbara")

    blocks = stored_rows(device)
    device.sync()

    assert blocks == []
    assert held(device) == expected(sites, "North")


def test_a_segment_of_another_epoch_is_not_used(sites):
    store(sites, "Edsger", "Barbara")
    sites.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")

    assert stored_rows(sites.new_device("Barbara")) == []


def test_a_segment_that_is_newer_than_the_snapshot_is_not_used(sites):
    store(sites, "Edsger", "Barbara")
    sites.execute("UPDATE sync.segment SET sigma = sigma + 1000")

    assert stored_rows(sites.new_device("Barbara")) == []


def test_a_segment_of_other_columns_is_not_used(sites):
    store(sites, "Edsger", "Barbara")
    sites.publish(profile(ProfileItem(table="account", columns=("name",))))
    sites.pull("account")
    device = sites.new_device("Barbara")

    blocks = stored_rows(device)
    device.sync()

    assert blocks == []
    assert "revenue" not in next(iter(device.store.rows("account").values()))


def test_a_segment_of_more_grants_than_are_held_is_not_used(sites):
    give_edsger_two_sets(sites)
    store(sites, "Edsger", "Edsger")
    device = sites.new_device("Barbara")

    blocks = stored_rows(device)
    device.sync()

    assert count(sites) == 1
    assert blocks == []
    assert held(device) == expected(sites, "North")


def give_edsger_two_sets(world):
    world.add_team("Crew", unit="South", roles=["Edsger's role"])
    world.join("Edsger", "Crew")
    world.pull_these("team", "teammembership", "teamroles")


def test_a_set_is_served_from_the_segments_of_its_parts(sites):
    give_edsger_two_sets(sites)
    store(sites, "Barbara", "Barbara", "Edsger")
    device = sites.new_device("Edsger")

    blocks = stored_rows(device)
    device.sync()

    assert blocks
    assert held(device) == expected(sites, "North", "South")


def test_a_download_that_a_segment_joins_midway_is_exact(sites):
    device = sites.new_device("Barbara", limits=Limits(rows=1, answer_bytes=1))
    device.sync(cut_after=3)
    device.sync(cut_after=3)
    device.sync(cut_after=3)
    store(sites, "Edsger", "Barbara")
    change_rows(sites)

    device._limits = TINY
    device.sync()

    assert held(device) == expected(sites, "North")


def drop_segments(world):
    world.execute("DELETE FROM sync.segment")


def build_again(world):
    demand(world, "Edsger", "Barbara")
    assert tend(world) >= 1


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(lambda world: None, id="nothing"),
        pytest.param(change_rows, id="rows change"),
        pytest.param(drop_segments, id="the segment goes"),
        pytest.param(
            lambda world: (change_rows(world), build_again(world)), id="a new one comes"
        ),
        pytest.param(
            lambda world: (change_rows(world), drop_segments(world)),
            id="rows change and the segment goes",
        ),
    ],
)
@pytest.mark.parametrize("limits", [TINY, SHORT], ids=["long", "short"])
def test_a_download_cut_at_any_line_resumes_to_the_exact_state(sites, limits, happens):
    store(sites, "Edsger", "Barbara")
    devices = [sites.new_device("Barbara", limits=limits) for _ in range(DEVICES)]
    assert len(devices[0].unheard()) < DEVICES

    for lines, device in enumerate(devices):
        device.sync(cut_after=lines)
    happens(sites)

    for device in devices:
        device.sync()
        assert held(device) == expected(sites, "North")


def test_rows_that_change_between_two_pieces_are_not_missed(sites):
    store(sites, "Edsger", "Barbara")
    device = sites.new_device("Barbara", limits=SHORT)
    changes = {6: change_rows, 9: forget_nothing, 12: drop_segments}

    device.sync(before_line=lambda number: changes.pop(number, forget_nothing)(sites))
    device.sync()

    assert held(device) == expected(sites, "North")


def forget_nothing(world):
    pass


@pytest.mark.parametrize("limits", [Limits(rows=1), Limits(piece_bytes=200)])
def test_blocks_larger_than_a_piece_may_be_are_read_row_by_row(sites, limits):
    store(sites, "Edsger", "Barbara")
    device = sites.new_device("Barbara", limits=limits)

    device.sync()

    assert held(device) == expected(sites, "North")


def test_no_more_rows_than_allowed_lie_between_two_checkpoint_lines(sites):
    store(sites, "Alan", "Alan")
    change_rows(sites)
    device = sites.new_device("Alan", limits=Limits(rows=3))

    sizes, rows = [], 0
    for message in device.unheard():
        if isinstance(message, Rows | StoredRows):
            rows += len(keys_sent([message]))
        elif hasattr(message, "complete"):
            sizes.append(rows)
            rows = 0

    assert max(sizes) <= 3
    assert sum(sizes) >= len(expected(sites, "North", "South"))


def test_an_answer_says_how_many_rows_are_to_come(sites):
    store(sites, "Edsger", "Barbara")

    messages = sites.new_device("Barbara", limits=TINY).unheard()

    told = {m.expected_rows for m in messages if getattr(m, "complete", True) is False}
    assert told == {ROWS}
