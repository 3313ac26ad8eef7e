"""The naive oracle, held against DESIGN §5 by hand: profiles, shares and superiors."""

from __future__ import annotations

import pytest

from replication.domain.filter_operators import Operator
from replication.domain.filters import Condition
from replication.domain.profiles import (
    Association,
    Hierarchy,
    Policy,
    ProfileDef,
    ProfileItem,
    ServedRows,
)
from tests.oracle import filter_texts, world
from tests.oracle.by_hand import NOBODY, add, give, held_by, profile, seen_by
from tests.oracle.pulled import PlayedSource
from tests.oracle.rights import ORGANIZATION, USER
from tests.staged import guid

TO_CONTACTS = Association(
    table="contact", kind="one_to_many", column="parentcustomerid"
)
TO_TASKS = Association(table="task", kind="one_to_many", column="regardingobjectid")


def text(table: str, column: str, operator: Operator, *values: str):
    condition = Condition(column, operator, values)
    return filter_texts.written(condition, world.BY_NAME[table])


def open_wholly(source: PlayedSource, *tables: str) -> None:
    world.set_role(source, "Ada", "Salesperson", held=True)
    for table in tables:
        world.set_depth(source, "Salesperson", table, ORGANIZATION)


def names(source: PlayedSource, *items: ProfileItem, table: str, column: str):
    chosen = ProfileDef(
        name="Field sales", items=items, assignments=profile().assignments
    )
    held = held_by(source, "Ada", Policy(profiles=(chosen,))) or {}
    return sorted(str(row[column]) for row in held[table].values())


def test_related_rows_come_along_over_several_levels(source):
    open_wholly(source, "account", "contact", "task")
    add(source, "Airport A", owner="Ada", unit="North")
    own = ProfileItem(
        table="account",
        records="filtered",
        owned_by_me=True,
        associations=(TO_CONTACTS,),
    )
    contacts = ProfileItem(
        table="contact", records="related_only", associations=(TO_TASKS,)
    )
    tasks = ProfileItem(table="task", records="related_only")

    items = (own, contacts, tasks)

    assert names(source, *items, table="task", column="subject") == ["Refuel"]
    source.put("account", guid("Airport A"), ownerid=str(guid(NOBODY)))
    assert names(source, *items, table="task", column="subject") == []


def test_a_lookup_that_names_a_row_of_another_table_leads_nowhere(source):
    open_wholly(source, "contact", "task")
    world.set_regarding(source, "Paint", "contact", "Pilot K", of="account")
    contacts = ProfileItem(table="contact", associations=(TO_TASKS,))
    tasks = ProfileItem(table="task", records="related_only")

    found = names(source, contacts, tasks, table="task", column="subject")

    assert found == ["Refuel"]


def test_a_filter_chooses_rows_and_the_organization_filter_holds_some_back(source):
    open_wholly(source, "account")
    for name in ("abc", "abd", "xyz"):
        add(source, name, owner=NOBODY, unit="South")
    begins = profile(
        records="custom", filter=text("account", "name", Operator.BEGINS_WITH, "AB")
    )
    served = ServedRows(
        table="account", filter=text("account", "name", Operator.NE, "abd")
    )

    assert seen_by(source, "Ada", begins) == ["abc", "abd"]
    assert seen_by(source, "Ada", begins, served=(served,)) == ["abc"]


def test_followed_rows_come_along_with_who_follows_them(source):
    open_wholly(source, "account")
    world.set_role(source, "Grace", "Salesperson", held=True)
    add(source, "Followed", owner=NOBODY, unit="South")
    followed = profile(records="related_only", can_be_followed=True)

    assert seen_by(source, "Ada", followed) == []
    world.set_follow(source, "Ada", "account", "Followed", follows=True)

    assert seen_by(source, "Ada", followed) == ["Followed"]
    assert seen_by(source, "Grace", followed) == []


@pytest.mark.parametrize(
    ("masks", "seen"),
    [((1, 0), ["Shared"]), ((0, 5), ["Shared"]), ((2, 4), []), ((None, None), [])],
)
def test_a_share_opens_a_row_when_it_lets_it_be_read(source, masks, seen):
    give(source, "Ada", USER)
    add(source, "Shared", owner=NOBODY, unit="South")
    world.set_share(source, "account", "Shared", "Ada", masks=masks)

    assert seen_by(source, "Ada") == seen


def test_without_a_privilege_a_share_opens_nothing(source):
    world.set_role(source, "Ada", "Salesperson", held=True)
    add(source, "Shared", owner=NOBODY, unit="South")
    world.set_share(source, "account", "Shared", "Ada", masks=(1, 0))

    assert seen_by(source, "Ada") == []


@pytest.mark.parametrize(
    ("unit", "depth", "seen"),
    [("Harbour", 2, ["Hers", "His"]), ("Harbour", 1, ["His"]), ("South", 2, ["Hers"])],
)
def test_a_manager_reads_below_in_units_of_the_own_line(source, unit, depth, seen):
    give(source, "Ada", USER)
    world.put_person(source, "Linus", unit=unit)
    world.put_person(source, "Mary", unit="Pier")
    world.set_superior(source, "Mary", "Linus")
    add(source, "His", owner="Linus", unit="South")
    add(source, "Hers", owner="Mary", unit="South")

    managers = Hierarchy(model="manager", depth=depth)

    assert seen_by(source, "Ada", hierarchy=managers) == seen
    excluded = Hierarchy(model="manager", depth=depth, excluded_tables=("account",))
    assert seen_by(source, "Ada", hierarchy=excluded) == []


def test_who_has_a_position_reads_what_is_below_it(source):
    give(source, "Ada", USER)
    add(source, "His", owner="Linus", unit="South")
    add(source, "Hers", owner="Mary", unit="South")

    assert seen_by(source, "Ada", hierarchy=Hierarchy(model="position", depth=1)) == [
        "His"
    ]
    assert seen_by(source, "Ada", hierarchy=Hierarchy(model="position", depth=2)) == [
        "Hers",
        "His",
    ]


def test_a_default_profile_is_for_those_who_have_no_other(source):
    give(source, "Ada", USER)
    add(source, "Own", owner="Ada", unit="North")
    default = ProfileDef(name="D", items=profile().items, is_default=True)
    other = ProfileDef(
        name="Prices",
        items=(ProfileItem(table="price"),),
        assignments=profile().assignments,
    )

    assert seen_by(source, "Ada", default) == ["Own"]
    assert seen_by(source, "Ada", default, other) == []


def test_a_secured_column_is_for_those_to_whom_it_is_granted(source):
    open_wholly(source, "account")
    add(source, "Own", owner="Ada", unit="North")

    def columns() -> set[str]:
        held = held_by(source, "Ada", Policy(profiles=(profile(),))) or {}
        return set().union(*held["account"].values())

    assert "revenue" in columns()
    world.permit_column(source, 0)
    assert "revenue" not in columns()
    world.permit_column(source, 4)
    world.set_column_profile(source, "Ada", held=False)
    assert "revenue" not in columns()
