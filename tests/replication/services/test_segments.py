"""Which sets are stored, for whom, and for how long."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

from replication.services import housekeeping, segments
from replication.services.segments import Demanded, Keeping, chosen
from replication.services.serving import Limits
from replication.staging import clock
from replication.visibility.checkpoints import as_grant
from replication.visibility.segment_building import Sizes, Wanted
from tests.replication.segments import TINY, count, demand, store, stored_rows, tend
from tests.staged import guid

ROWS = 6
FEW = Limits(segment_rows=3)
NORMAL = Keeping(sizes=Sizes(block_rows=2, least_rows=3))


@pytest.fixture
def sites(contoso):
    for number in range(ROWS):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.pull("account")
    return contoso


def test_a_set_that_two_devices_download_is_stored_for_the_next(sites):
    for _ in range(2):
        sites.new_device("Ada", limits=FEW).sync()

    assert tend(sites, kept=NORMAL) == 1
    assert stored_rows(sites.new_device("Ada", limits=FEW))


def test_one_device_is_not_enough_however_often_it_asks(sites):
    device = sites.new_device("Ada", limits=FEW)
    device.unheard()
    device.unheard()

    assert tend(sites, kept=NORMAL) == 0


def test_devices_that_came_long_ago_do_not_count(sites):
    demand(sites, "Ada", devices=2)
    sites.execute(
        "UPDATE sync.segment_demand SET asked_at = now() - '2 hours'::interval"
    )

    assert tend(sites, kept=NORMAL) == 0


def test_small_sets_are_neither_noted_nor_stored(sites):
    for _ in range(2):
        sites.new_device("Ada", limits=Limits(segment_rows=ROWS + 1)).sync()

    assert sites.values("SELECT count(*) FROM sync.segment_demand") == [0]
    assert store(sites, "Ada", "Ada", kept=Keeping()) == 0


def test_what_is_stored_is_kept_while_it_is_right_and_used(sites):
    store(sites, "Ada", "Ada")
    before = sites.values("SELECT id FROM sync.segment")

    assert tend(sites) == 0
    assert sites.values("SELECT id FROM sync.segment") == before


def test_a_set_of_which_much_has_changed_is_stored_again(sites):
    store(sites, "Ada", "Ada")
    sites.source.put("account", guid("Site 0"), revenue=7)
    sites.pull("account")

    assert tend(sites) == 1
    assert count(sites) == 1
    assert len(stored_rows(sites.new_device("Ada"))) == ROWS / 2


def never_used(world):
    world.execute(
        "UPDATE sync.segment_demand SET asked_at = now() - '25 hours'::interval"
    )


def below_horizon(world):
    world.execute("UPDATE sync.segment SET sigma = -1")


def of_another_epoch(world):
    world.execute("UPDATE sync.segment SET epoch = gen_random_uuid()")


def without_rule(world):
    world.execute("UPDATE sync.rule SET state = 'retired'")


def of_columns_that_are_gone(world):
    world.execute("UPDATE sync.segment SET columns = '[\"gone\"]'")


@pytest.mark.parametrize(
    "becomes",
    [
        never_used,
        below_horizon,
        of_another_epoch,
        without_rule,
        of_columns_that_are_gone,
    ],
)
def test_what_can_serve_nobody_is_dropped(sites, becomes):
    store(sites, "Ada", "Ada")
    assert count(sites) == 1
    becomes(sites)
    conn = sites.database.kept("test")
    reading = clock.read(conn)
    assert reading is not None

    segments.drop_useless(conn, reading)

    assert count(sites) == 0
    assert sites.values("SELECT count(*) FROM sync.segment_block") == [0]


def test_segments_take_no_more_room_than_they_may(sites):
    cramped = Keeping(sizes=TINY.sizes, most_bytes=100)

    assert store(sites, "Ada", "Ada", kept=cramped) == 0
    assert count(sites) == 0
    assert sites.values("SELECT count(*) FROM sync.segment_block") == [0]


def test_what_was_too_large_is_not_begun_again_until_others_want_it(sites):
    store(sites, "Ada", "Ada", kept=Keeping(sizes=TINY.sizes, most_bytes=100))

    assert tend(sites) == 0
    assert store(sites, "Ada", "Ada") == 1


def test_housekeeping_stores_what_is_wanted(sites, settings):
    settings.SEGMENT_ROWS = 3
    for _ in range(2):
        sites.new_device("Ada").sync()

    housekeeping.keep_house()

    assert stored_rows(sites.new_device("Ada"))


def test_a_second_worker_leaves_it_to_the_first(sites):
    demand(sites, "Ada", devices=2)
    with sites.staging() as other:
        other.execute("SELECT pg_advisory_lock(4713)")

        assert tend(sites) == 0
        other.execute("SELECT pg_advisory_unlock(4713)")

    assert tend(sites) == 1


class DyingConnection(psycopg.Connection[Any]):
    """Is gone before its n-th statement."""

    left = 10**6

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.close()
        return super().execute(query, params, **options)


def test_a_worker_that_dies_leaves_nothing_that_is_half_done(sites):
    demand(sites, "Ada", devices=2)
    for statements in range(1, 100):
        conn = sites.database.connect(DyingConnection)
        conn.left = statements
        try:
            segments.tend(conn, keeping=TINY)
        except psycopg.OperationalError:
            blocks = sites.values("SELECT sum(row_count) FROM sync.segment_block")[0]
            assert blocks in (None, ROWS)
            continue
        conn.close()
        break

    assert statements > ROWS / 2
    assert sites.values("SELECT row_count FROM sync.segment") == [ROWS]


def wanted(*grants: int) -> Wanted:
    return Wanted(
        source_id=1,
        layout="l",
        columns=("name",),
        grants=frozenset(as_grant((1, grant)) for grant in grants),
    )


def asked(devices: range, *grants: int) -> Demanded:
    return Demanded(
        wanted=wanted(*grants), devices=frozenset(UUID(int=n) for n in devices)
    )


def test_a_whole_set_is_stored_rather_than_its_parts_if_the_same_devices_share_it():
    missing = [asked(range(3), 1), asked(range(3), 2), asked(range(3), 1, 2)]

    assert chosen(missing, served=(), least_devices=2) == [wanted(1, 2)]


def test_a_part_that_others_share_is_stored_and_not_what_is_one_users_own():
    missing = [
        asked(range(5), 1),
        asked(range(1), 1, 2),
        asked(range(1, 2), 1, 3),
        asked(range(1), 2),
    ]

    assert chosen(missing, served=(), least_devices=2) == [wanted(1)]


def test_a_set_whose_parts_are_stored_is_not_stored_as_well():
    missing = [asked(range(2), 1, 2)]
    served = [asked(range(9), 1), asked(range(9), 2)]

    assert chosen(missing, served=served, least_devices=2) == []
