"""Everything that may happen at the source, as values that the machine draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from replication.domain.tables import ColumnType
from tests.oracle import filter_grammar, world
from tests.oracle.pulled import PlayedSource
from tests.staged import guid


@dataclass(frozen=True)
class Change:
    """One change of one table at the source."""

    table: str

    def make(self, source: PlayedSource) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Edit(Change):
    name: str
    column: str
    value: Any

    def make(self, source: PlayedSource) -> None:
        key = world.key_of(self.table, self.name)
        if key in source.rows(self.table):
            source.put(self.table, key, **{self.column: self.value})


@dataclass(frozen=True)
class HandOver(Change):
    """A new owner; his business unit comes along, or not."""

    name: str
    owner: str
    unit: str | None

    def make(self, source: PlayedSource) -> None:
        key = world.key_of(self.table, self.name)
        if key in source.rows(self.table):
            values = {"ownerid": str(guid(self.owner))}
            if self.unit is not None:
                values["owningbusinessunit"] = str(guid(self.unit))
            source.put(self.table, key, **values)


@dataclass(frozen=True)
class Move(Change):
    name: str
    unit: str

    def make(self, source: PlayedSource) -> None:
        key = world.key_of(self.table, self.name)
        if key in source.rows(self.table):
            source.put(self.table, key, owningbusinessunit=str(guid(self.unit)))


@dataclass(frozen=True)
class Toggle(Change):
    """Delete the row, or create it, again under the same key."""

    name: str
    owner: str
    unit: str

    def make(self, source: PlayedSource) -> None:
        key = world.key_of(self.table, self.name)
        if key in source.rows(self.table):
            source.delete(self.table, key)
        else:
            world.put_row(
                source, self.table, self.name, owner=self.owner, unit=self.unit
            )


@dataclass(frozen=True)
class Recreate(Toggle):
    """The row is deleted, if it is there, and created under the same key."""

    def make(self, source: PlayedSource) -> None:
        if world.key_of(self.table, self.name) in source.rows(self.table):
            super().make(source)
        super().make(source)


@dataclass(frozen=True)
class Reparent(Change):
    unit: str
    parent: str

    def make(self, source: PlayedSource) -> None:
        above = str(guid(self.parent))
        if (
            source.rows("businessunit")[str(guid(self.unit))]["parentbusinessunitid"]
            == above
        ):
            # It is there already; then back to the top.
            above = str(guid("Contoso"))
        if not _is_above(source, str(guid(self.unit)), above):
            source.put("businessunit", guid(self.unit), parentbusinessunitid=above)


@dataclass(frozen=True)
class ToggleUnit(Change):
    """A unit on the edge comes or goes, with nothing in it."""

    parent: str

    def make(self, source: PlayedSource) -> None:
        unit = str(guid(world.SPARE_UNIT))
        if unit not in source.rows("businessunit"):
            world.put_unit(source, world.SPARE_UNIT, parent=self.parent)
        elif not _is_used(source, unit):
            source.delete("businessunit", unit)


@dataclass(frozen=True)
class MovePrincipal(Change):
    name: str
    unit: str

    def make(self, source: PlayedSource) -> None:
        if str(guid(self.name)) in source.rows(self.table):
            source.put(self.table, guid(self.name), businessunitid=str(guid(self.unit)))


@dataclass(frozen=True)
class TogglePrincipal(Change):
    """A person or a team goes, or comes back under the same key."""

    name: str
    unit: str

    def make(self, source: PlayedSource) -> None:
        if str(guid(self.name)) in source.rows(self.table):
            source.delete(self.table, guid(self.name))
        elif self.table == "team":
            world.put_team(source, self.name, unit=self.unit)
        else:
            world.put_person(source, self.name, unit=self.unit)


@dataclass(frozen=True)
class Disable(Change):
    name: str
    is_disabled: bool | None

    def make(self, source: PlayedSource) -> None:
        if str(guid(self.name)) in source.rows("systemuser"):
            source.put("systemuser", guid(self.name), isdisabled=self.is_disabled)


@dataclass(frozen=True)
class Join(Change):
    name: str
    team: str
    is_in: bool

    def make(self, source: PlayedSource) -> None:
        world.set_member(source, self.name, self.team, is_in=self.is_in)


@dataclass(frozen=True)
class Assign(Change):
    holder: str
    role: str
    is_held: bool

    def make(self, source: PlayedSource) -> None:
        world.set_role(source, self.holder, self.role, held=self.is_held)


@dataclass(frozen=True)
class Deepen(Change):
    role: str
    of_table: str
    mask: int | None

    def make(self, source: PlayedSource) -> None:
        world.set_depth(source, self.role, self.of_table, self.mask)


@dataclass(frozen=True)
class Inherit(Change):
    role: str
    is_inherited: int

    def make(self, source: PlayedSource) -> None:
        source.put("role", guid(self.role), isinherited=self.is_inherited)


def _is_above(source: PlayedSource, unit: str, other: str) -> bool:
    """Units never hang on themselves; what passes through staging may."""
    units = source.rows("businessunit")
    place: str | None = other
    while place in units:
        if place == unit:
            return True
        place = units[place]["parentbusinessunitid"]
    return place is not None


def _is_used(source: PlayedSource, unit: str) -> bool:
    columns = ("owningbusinessunit", "businessunitid", "parentbusinessunitid")
    return any(
        row.get(column) == unit
        for table in ("account", "contact", "systemuser", "team", "businessunit")
        for row in source.rows(table).values()
        for column in columns
        if not (table == "businessunit" and column == "businessunitid")
    )


units = st.sampled_from(world.UNITS)
any_unit = st.sampled_from((*world.HOMES, "Contoso", world.SPARE_UNIT))
owners = st.sampled_from(world.OWNERS)
roles = st.sampled_from(world.ROLES)
_PEOPLE = tuple(str(guid(person)) for person in world.PEOPLE)
_PARENTS = tuple(str(guid(account)) for account in world.ACCOUNTS)
# Moments at which windows of filters begin and end.
_AROUND = tuple(filter_grammar.pool(ColumnType.DATETIME, now=world.BEGINNING))[::9]
_VALUES = {
    ("account", "name"): world.TEXTS,
    ("account", "revenue"): world.AMOUNTS,
    ("account", "employees"): world.NUMBERS,
    ("account", "isopen"): (True, False, None),
    ("account", "visitedon"): (*world.MOMENTS, *_AROUND, *_AROUND, None),
    ("account", "inspectorid"): (*_PEOPLE, None),
    ("contact", "fullname"): world.TEXTS,
    ("contact", "parentcustomerid"): (*_PARENTS, None),
    ("contact", "pricecode"): (*world.PRICES, None),
    ("task", "subject"): world.TEXTS,
    ("price", "amount"): (10, 12.5, 0, -1.25, None),
    ("price", "seasons"): ("3,1,2", "7", None),
}


def _edits_of(row: tuple[str, str]) -> st.SearchStrategy[Change]:
    table, name = row
    columns = [column for owner, column in _VALUES if owner == table]
    return st.sampled_from(columns).flatmap(
        lambda column: st.builds(
            Edit,
            st.just(table),
            st.just(name),
            st.just(column),
            st.sampled_from(_VALUES[table, column]),
        )
    )


def _about(make: Any, rows: Any, *rest: Any) -> st.SearchStrategy[Change]:
    """Changes whose first two fields are a table and a name."""
    return st.tuples(rows, *rest).map(lambda drawn: make(*drawn[0], *drawn[1:]))


def _changes_of(rows: list[tuple[str, str]]) -> st.SearchStrategy[Change]:
    any_of_them = st.sampled_from(rows)
    owned = st.sampled_from([row for row in rows if row[0] != "price"])
    return st.one_of(
        _about(HandOver, owned, owners, st.none() | any_unit),
        _about(HandOver, owned, owners, any_unit),
        _about(Toggle, any_of_them, owners, any_unit),
        _about(Recreate, any_of_them, owners, any_unit),
        any_of_them.flatmap(_edits_of),
        _about(Move, owned, any_unit),
    )


row_changes = _changes_of(
    [(t, name) for t, names in world.KEYS.items() for name in names]
)
account_changes = _changes_of([("account", name) for name in world.ACCOUNTS])
task_changes = _changes_of([("task", name) for name in world.TASKS])
_accounts = st.sampled_from([("account", name) for name in world.ACCOUNTS])
_moving_units = st.sampled_from(("Harbour", "Pier"))
# Accounts that are, or come to be, in one of the units that move most.
moving_accounts: st.SearchStrategy[Change] = st.one_of(
    _about(Move, _accounts, _moving_units),
    _about(HandOver, _accounts, owners, _moving_units),
    _accounts.flatmap(_edits_of),
)

unit_changes: st.SearchStrategy[Change] = st.builds(
    Reparent,
    st.just("businessunit"),
    st.sampled_from(("Harbour", "Pier", "Harbour", "Harbour", "North", "South")),
    st.sampled_from(("South", "North", "South", "Contoso", world.SPARE_UNIT)),
)

_people = st.sampled_from([("systemuser", name) for name in world.PEOPLE])
_principals = _people | st.sampled_from([("team", name) for name in world.TEAMS])
_depths = st.sampled_from((None, 1, 2, 4, 8, 6, 0))
_served = st.sampled_from(("Ada", "Grace"))
_main_tables = st.sampled_from(("account", "account", "contact", *world.PUBLISHABLE))

right_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Deepen, st.just("roleprivileges"), roles, _main_tables, _depths),
    st.builds(
        Join,
        st.just("teammembership"),
        _served,
        st.sampled_from(world.TEAMS),
        st.booleans(),
    ),
    st.builds(Assign, st.just("systemuserroles"), _served, roles, st.booleans()),
    st.builds(
        Assign, st.just("teamroles"), st.sampled_from(world.TEAMS), roles, st.booleans()
    ),
    unit_changes,
    st.builds(ToggleUnit, st.just("businessunit"), units),
    _about(MovePrincipal, _principals, any_unit),
    _about(TogglePrincipal, _principals, units),
    _about(Disable, _people, st.sampled_from((True, False, None))),
    st.builds(Inherit, st.just("role"), roles, st.sampled_from((0, 1))),
)
