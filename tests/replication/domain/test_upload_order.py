"""Which mutations go together, and which wait behind a failed one."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from replication.domain import upload_order
from replication.domain.tables import ColumnDef, ColumnType
from replication.domain.upload_order import Failed, Place, blocker, named_rows, units

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
AIRPORT, DEPOT = ("account", "airport"), ("account", "depot")
GROUPS = [uuid4() for _ in range(3)]


def place(*, sequence=5, row=AIRPORT, op="update", **columns):
    columns.setdefault("accepted_at", NOON)
    return Place(id=uuid4(), sequence=sequence, op=op, row=row, **columns)


def failed(*, sequence=1, row=AIRPORT, op="update", **columns):
    return Failed(id=uuid4(), sequence=sequence, op=op, row=row, **columns)


@given(st.lists(st.none() | st.sampled_from(GROUPS), max_size=12))
def test_units_keep_the_order_and_hold_one_group_each(groups):
    waiting = [place(sequence=n, group=group) for n, group in enumerate(groups, 1)]

    found = units(waiting)

    assert [one for unit in found for one in unit] == waiting
    for unit in found:
        assert len(unit) == 1 or {one.group for one in unit} == {unit[0].group}
        assert len(unit) == 1 or unit[0].group is not None
    for one, next_one in itertools.pairwise(found):
        assert one[-1].group is None or one[-1].group != next_one[0].group


def test_neighbours_with_a_gap_between_them_are_no_group():
    group = GROUPS[0]

    found = units([place(sequence=1, group=group), place(sequence=3, group=group)])

    assert [len(unit) for unit in found] == [1, 1]


def test_an_edit_waits_behind_the_first_failure_of_its_row():
    first, second = failed(sequence=1), failed(sequence=2)

    assert blocker(place(), [second, first]) == first.id


def test_an_edit_behind_a_parked_one_names_what_that_waits_for():
    root = uuid4()

    assert blocker(place(), [failed(blocked_by=root)]) == root


def test_other_rows_and_earlier_edits_do_not_wait():
    assert blocker(place(row=DEPOT), [failed()]) is None
    assert blocker(place(sequence=1), [failed(sequence=2)]) is None
    assert blocker(place(op="void"), [failed()]) is None


def test_a_lookup_waits_for_a_row_that_was_not_created_but_not_for_an_edit_of_it():
    names = frozenset({AIRPORT})

    assert blocker(place(row=DEPOT, names=names), [failed(op="create")]) is not None
    assert blocker(place(row=DEPOT, names=names), [failed(op="update")]) is None


def test_a_row_of_an_unknown_table_is_told_by_its_key():
    names = frozenset({(None, "airport")})

    assert blocker(place(row=DEPOT, names=names), [failed(op="create")]) is not None


def test_what_came_after_its_device_knew_does_not_wait():
    known = failed(delivered_at=NOON)

    assert blocker(place(accepted_at=NOON + timedelta(seconds=1)), [known]) is None
    assert blocker(place(accepted_at=NOON - timedelta(seconds=1)), [known]) is not None


def test_lookups_name_rows_of_the_tables_that_they_may_refer_to():
    columns = {
        "parent": ColumnDef(
            name="parent",
            type=ColumnType.GUID,
            source_name="_parent_value",
            references=("account",),
        ),
        "owner": ColumnDef(
            name="owner",
            type=ColumnType.GUID,
            source_name="_owner_value",
            references=("team", "systemuser"),
        ),
        "name": ColumnDef(name="name", type=ColumnType.STRING, source_name="name"),
    }

    found = named_rows(
        {"parent": "AA", "owner": "bb", "owner__type": "team", "name": None}, columns
    )

    assert {("account", "aa"), ("account", "AA"), ("team", "bb")} == found


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_delays_grow_to_a_bound(attempts, jitter):
    delay = upload_order.delay_after(attempts, jitter=jitter)

    assert timedelta(seconds=1) <= delay <= upload_order.LONGEST_DELAY
