"""Random policies, and edits of those that are published."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from replication.domain.filters import And, Expr, Or
from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    Hierarchy,
    Policy,
    ProfileDef,
    ProfileItem,
    ServedRows,
)
from tests.oracle import filter_texts, world
from tests.staged import guid

EVERYTHING = ProfileDef(
    name="Profile 0",
    items=tuple(
        ProfileItem(table=table) for table in ("account", "contact", "task", "price")
    ),
    assignments=Assignments(everyone=True),
)


def _to(table: str, column: str) -> Association:
    return Association(table=table, kind="one_to_many", column=column)


def _up(table: str, column: str) -> Association:
    return Association(table=table, kind="many_to_one", column=column)


def _across(table: str, column: str, other: str) -> Association:
    return Association(
        table=table,
        kind="many_to_many",
        column=column,
        intersect="stakeholder",
        other_column=other,
    )


# From each table, what may come along.
ASSOCIATIONS: dict[str, tuple[Association, ...]] = {
    "account": (
        _to("contact", "parentcustomerid"),
        _to("task", "regardingobjectid"),
        _across("contact", "accountid", "contactid"),
    ),
    "contact": (
        _up("account", "parentcustomerid"),
        _to("task", "regardingobjectid"),
        _across("account", "contactid", "accountid"),
        _up("price", "pricecode"),
    ),
    "task": (_up("account", "regardingobjectid"), _up("contact", "regardingobjectid")),
    "price": (_to("contact", "pricecode"),),
}
_COLUMNS: dict[str, Any] = {
    "account": st.sampled_from((None, None, ("name",), ("revenue", "name"))),
    "contact": st.sampled_from((None, ("fullname",))),
    "task": st.sampled_from((None, ("subject",))),
}
_RECORDS = ("all", "all", "filtered", "custom", "custom", "custom", "related_only")
# Of tables to which an association leads: what it brings has to be seen.
_RECORDS_OF_REACHED = ("related_only", "related_only", "filtered", "custom", "all")


@functools.cache
def _item(table: str, *, is_reached: bool) -> st.SearchStrategy[ProfileItem]:
    return st.sampled_from(_RECORDS_OF_REACHED if is_reached else _RECORDS).flatmap(
        lambda records: st.builds(
            ProfileItem,
            table=st.just(table),
            records=st.just(records),
            owned_by_me=st.booleans(),
            owned_by_my_team=st.booleans(),
            owned_by_my_business_unit=st.booleans(),
            filter=filter_texts.texts(table) if records == "custom" else st.none(),
            can_be_followed=st.booleans() if table != "price" else st.just(False),
            columns=_COLUMNS.get(table, st.none()),
        )
    )


def _items(tables: Sequence[str]) -> st.SearchStrategy[tuple[ProfileItem, ...]]:
    """Items in an order, and associations that lead from earlier to later ones."""
    possible = [
        (table, association)
        for number, table in enumerate(tables)
        for association in ASSOCIATIONS.get(table, ())
        if association.table in tables[number + 1 :]
    ]
    if not possible:
        return _associated(tables, ())
    return st.lists(st.sampled_from(possible), unique=True).flatmap(
        lambda chosen: _associated(tables, chosen)
    )


def _associated(
    tables: Sequence[str], chosen: Sequence[tuple[str, Association]]
) -> st.SearchStrategy[tuple[ProfileItem, ...]]:
    reached = {association.table for _, association in chosen}
    leading = {
        table: tuple(one for parent, one in chosen if parent == table)
        for table in tables
    }
    items = [
        _item(table, is_reached=table in reached).map(
            lambda item: replace(item, associations=leading[item.table])
        )
        for table in tables
    ]
    return st.tuples(*items)


_tables = st.one_of(
    st.lists(
        st.sampled_from(("account", "contact", "task", "price", "team", "account")),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.sampled_from(
        (
            ["account", "contact", "task"],
            ["contact", "account"],
            ["task", "contact", "account"],
            ["account", "task"],
            ["price", "contact"],
        )
    ),
)

_one_team = st.sampled_from([guid(team) for team in world.TEAMS])
_one_role = st.sampled_from([guid(role) for role in world.ROLES])
_assignments = st.one_of(
    st.just(Assignments(everyone=True)),
    st.just(Assignments(everyone=True)),
    st.builds(
        Assignments,
        users=st.tuples() | st.tuples(st.just(guid("Ada"))),
        teams=st.tuples() | st.tuples(_one_team),
        roles=st.tuples() | st.tuples(_one_role),
    ),
    st.none(),
)
_hierarchies = st.one_of(
    st.none(),
    st.builds(
        Hierarchy,
        model=st.sampled_from(("manager", "manager", "position")),
        depth=st.sampled_from((1, 1, 2, 3)),
        excluded_tables=st.sampled_from(((), (), ("account",))),
    ),
)


def _profile(number: int, items: Any, assignments: Assignments | None) -> ProfileDef:
    """Without assignments it is for those who have no other."""
    return ProfileDef(
        name=f"Profile {number}",
        items=items,
        assignments=assignments or Assignments(),
        is_default=assignments is None,
    )


_profiles = st.lists(
    st.tuples(_tables.flatmap(_items), _assignments), min_size=1, max_size=2
).map(lambda drawn: tuple(_profile(n, *one) for n, one in enumerate(drawn)))

_served = st.one_of(
    st.just(()),
    st.just(()),
    st.sampled_from(("account", "contact", "task")).flatmap(
        lambda table: st.builds(
            ServedRows,
            table=st.just(table),
            filter=filter_texts.texts(table, about_users=False),
        ).map(lambda served: (served,))
    ),
)

policies: st.SearchStrategy[Policy] = st.builds(
    Policy, profiles=_profiles, served=_served, hierarchy=_hierarchies
)
# All rows that somebody may read: nothing hides what rights open and close.
of_rights: st.SearchStrategy[Policy] = st.builds(
    Policy, profiles=st.just((EVERYTHING,)), hierarchy=_hierarchies
)


@dataclass(frozen=True)
class Life:
    """How an organization begins: its policy, how deep its roles read, and whether
    other policies follow."""

    policy: Policy
    depths: Sequence[int]
    publishes: bool = True


_depths = st.tuples(*[st.sampled_from((1, 4, 2, 1, 1, 4, 1, 8))] * len(world.ROLES))
# What profiles choose is seen best where rights open everything, and what rights open
# where profiles choose everything.
lives: st.SearchStrategy[Life] = st.one_of(
    st.builds(Life, of_rights, _depths, publishes=st.just(False)),
    st.builds(Life, policies, st.just((8, 8, 8, 8))),
    st.builds(Life, policies, _depths),
)

# Edits of what is published

Edit = Callable[[Policy], Policy]


def _filtered(table: str, text: FilterText | None) -> Edit:
    """Another filter for the table's items, or all of its rows."""

    def edit(policy: Policy) -> Policy:
        return _with_items(
            policy,
            lambda item: (
                replace(item, records="custom" if text else "all", filter=text)
                if item.table == table
                else item
            ),
        )

    return edit


def _joined(table: str, kind: type[And] | type[Or], added: Expr) -> Edit:
    """One more condition in the filters of the table's items: some rows go, or come."""

    def edit(policy: Policy) -> Policy:
        return _with_items(policy, lambda item: _joined_in(item, table, kind, added))

    return edit


def _joined_in(
    item: ProfileItem, table: str, kind: type[And] | type[Or], added: Expr
) -> ProfileItem:
    definition = world.BY_NAME[table]
    if item.table != table:
        return item
    if item.filter is None:
        text: FilterText | None = filter_texts.written(added, definition)
    else:
        text = filter_texts.joined(item.filter, added, definition, kind=kind)
    return item if text is None else replace(item, records="custom", filter=text)


_filterable = st.sampled_from(("account", "account", "contact", "task"))
filter_edits: st.SearchStrategy[Edit] = st.one_of(
    _filterable.flatmap(
        lambda table: st.one_of(filter_texts.texts(table), st.none()).map(
            lambda text: _filtered(table, text)
        )
    ),
    _filterable.flatmap(
        lambda table: st.builds(
            _joined,
            st.just(table),
            st.sampled_from((And, And, Or)),
            filter_texts.conditions_of(table),
        )
    ),
)


def _toggled(table: str, association: Association) -> Edit:
    """The items of the table take the association along, or no longer do."""

    def edit(policy: Policy) -> Policy:
        edited = _with_items(
            policy,
            lambda item: (
                _toggled_in(item, association) if item.table == table else item
            ),
        )
        return policy if any(map(_has_circle, edited.profiles)) else edited

    return edit


def _toggled_in(item: ProfileItem, association: Association) -> ProfileItem:
    kept = tuple(one for one in item.associations if one != association)
    if len(kept) == len(item.associations):
        kept = (*kept, association)
    return replace(item, associations=kept)


association_edits: st.SearchStrategy[Edit] = st.sampled_from(
    [
        (table, association)
        for table, associations in ASSOCIATIONS.items()
        for association in associations
    ]
).map(lambda drawn: _toggled(*drawn))


def _replaced(policy: Policy) -> Edit:
    return lambda _: policy


edits: st.SearchStrategy[Edit] = st.one_of(
    filter_edits, association_edits, policies.map(_replaced), policies.map(_replaced)
)


def _with_items(policy: Policy, change: Callable[[ProfileItem], ProfileItem]) -> Policy:
    profiles = tuple(
        replace(profile, items=tuple(map(change, profile.items)))
        for profile in policy.profiles
    )
    return replace(policy, profiles=profiles)


def _has_circle(profile: ProfileDef) -> bool:
    """Publishing refuses these."""
    return any(item.table in _beyond(profile, item.table) for item in profile.items)


def _beyond(profile: ProfileDef, table: str) -> set[str]:
    found: set[str] = set()
    waiting = [table]
    while waiting:
        here = waiting.pop()
        fresh = set(_led_to(profile, here)) - found
        found |= fresh
        waiting += fresh
    return found


def _led_to(profile: ProfileDef, table: str) -> Iterator[str]:
    for item in profile.items:
        if item.table == table:
            for association in item.associations:
                yield association.table
