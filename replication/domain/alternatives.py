"""The ways in which profile items take rows of a table along. Pure.

Every item is some alternatives; a table's rows are those of any of them. What an
association brings is the parent's alternatives, each one hop longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from replication.domain import filters
from replication.domain.choices import PLAIN, Choice, Hop, KeyColumn
from replication.domain.filter_operators import AttributeKind
from replication.domain.filter_parts import Attribute, Part
from replication.domain.profiles import Association, ProfileDef, ProfileItem
from replication.domain.tables import FOLLOWS, ColumnType, TableDef

# More ways than these to take one table along cannot be kept current at a price that
# anybody wants to pay.
MOST_ALTERNATIVES = 64
LONGEST_PATH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user's value must be for one key attribute.

    A claim's values are text; `type` is that of the column they are compared with.
    """

    kind: AttributeKind
    negated: bool = False
    claim: str = ""
    type: ColumnType | None = None


# One entry for each key attribute; None leaves it free. For the plain choice the
# attributes are the row's own owner and business unit.
Takes = tuple[Wanted | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way; `slot` is its place in the profile, which outlives an edit."""

    table: str
    slot: str
    choice: Choice
    takes: Takes = ()


ItemProblem = Literal[
    "unknown_table",
    "unknown_column",
    "unusable_filter",
    "unusable_association",
    "circular",
    "no_relationship",
    "too_many",
    "not_built",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a profile item, or a part of it, is suspended."""

    profile: str
    table: str
    code: ItemProblem
    message: str


@dataclass(slots=True)
class Expanded:
    """One profile as alternatives by table, and what of it cannot be used."""

    alternatives: dict[str, tuple[Alternative, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


# Filter parts by profile item; None where the filter cannot be used.
Parts = Mapping[str, tuple[Part, ...] | None]


def expanded(
    profile: ProfileDef, tables: Mapping[str, TableDef], parts: Parts
) -> Expanded:
    """The profile's alternatives over the tables that there are.

    `parts`: of each item with a filter, by table.
    """
    return _Expansion(profile, tables, parts).run()


class _Expansion:
    def __init__(
        self, profile: ProfileDef, tables: Mapping[str, TableDef], parts: Parts
    ) -> None:
        self._profile = profile
        self._tables = tables
        self._parts = parts
        self._items = {i.table: i for i in profile.items if i.table in tables}
        self._found = Expanded()
        self._into = self._associations()

    def run(self) -> Expanded:
        for item in self._profile.items:
            if item.table not in self._tables:
                self._complain(item.table, "unknown_table", "It is not replicated.")
        for name in self._items:
            self._of(name)
        return self._found

    def _of(self, table: str) -> tuple[Alternative, ...]:
        """Parents first; circles were taken out before."""
        if table not in self._found.alternatives:
            ways = list(self._own(self._items[table]))
            for number, (parent, hops) in enumerate(self._into.get(table, ())):
                reached = self._of(parent)
                if any(_is_too_long(way, hops) for way in reached):
                    message = f"The path is longer than {LONGEST_PATH} relationships."
                    self._complain(table, "too_many", message)
                ways += [
                    Alternative(
                        table=table,
                        slot=f"{table}<{number}<{way.slot}",
                        choice=_following(way, hops, self._tables[parent]),
                        takes=way.takes,
                    )
                    for way in reached
                    if not _is_too_long(way, hops)
                ]
            if len(ways) > MOST_ALTERNATIVES:
                self._complain(table, "too_many", "Too many paths lead to it.")
                ways = ways[:MOST_ALTERNATIVES]
            self._found.alternatives[table] = tuple(fewest(ways))
        return self._found.alternatives[table]

    def _own(self, item: ProfileItem) -> Iterator[Alternative]:
        table = self._tables[item.table]
        slot = f"{self._profile.name}/{item.table}"
        if item.records == "all":
            yield Alternative(table=item.table, slot=slot, choice=PLAIN)
        elif item.records == "filtered":
            for takes in _owned(item, table):
                yield Alternative(
                    table=item.table, slot=slot, choice=PLAIN, takes=takes
                )
        elif item.records == "custom":
            yield from self._filtered(item, table, slot)
        if item.can_be_followed:
            yield from self._followed(item, table, slot)

    def _filtered(
        self, item: ProfileItem, table: TableDef, slot: str
    ) -> Iterator[Alternative]:
        parts = self._parts.get(item.table)
        for number, part in enumerate(parts or ()):
            yield Alternative(
                table=item.table,
                slot=f"{slot}/{number}",
                choice=Choice(
                    predicate="" if part.static is None else filters.dumps(part.static),
                    attributes=tuple(
                        KeyColumn(column=a.column, negated=a.negated)
                        for a in part.attributes
                    ),
                ),
                takes=tuple(_wanted(a, table) for a in part.attributes),
            )

    def _followed(
        self, item: ProfileItem, table: TableDef, slot: str
    ) -> Iterator[Alternative]:
        try:
            choice = _follows(self._tables, table)
        except LookupError as error:
            message = str(error.args[0])
            self._complain(item.table, "unusable_association", message)
            return
        yield Alternative(
            table=item.table,
            slot=f"{slot}/followed",
            choice=choice,
            takes=(Wanted(kind=AttributeKind.USER),),
        )

    # Associations

    def _associations(self) -> dict[str, list[tuple[str, tuple[Hop, ...]]]]:
        """For each table, from which others rows come to it, and by which hops."""
        into: dict[str, list[tuple[str, tuple[Hop, ...]]]] = {}
        for item in self._items.values():
            for association in item.associations:
                hops = self._hops(item, association)
                if hops is not None:
                    into.setdefault(association.table, []).append((item.table, hops))
        for table in _in_circles(into):
            self._complain(table, "circular", "Its associations lead in a circle.")
            into.pop(table, None)
        for item in self._items.values():
            reached = item.table in into or item.can_be_followed
            if item.records == "related_only" and not reached:
                message = "It takes related rows only, and nothing relates to it."
                self._complain(item.table, "no_relationship", message)
        return into

    def _hops(
        self, item: ProfileItem, association: Association
    ) -> tuple[Hop, ...] | None:
        """From a row of the associated table to the item's; None if unusable."""
        try:
            return hops_of(self._tables, item.table, association, self._items)
        except LookupError as error:
            message = str(error.args[0])
            self._complain(item.table, "unusable_association", message)
            return None

    def _complain(self, table: str, code: ItemProblem, message: str) -> None:
        self._found.problems.append(
            Problem(profile=self._profile.name, table=table, code=code, message=message)
        )


def hops_of(
    tables: Mapping[str, TableDef],
    parent: str,
    association: Association,
    items: Iterable[str],
) -> tuple[Hop, ...]:
    """The hops from an associated row to its parent.

    :raises LookupError: a name is unknown, or a key is not a single column.
    """
    if association.table not in items:
        raise LookupError(f"The profile has no item for {association.table}.")
    if association.table == parent:
        raise LookupError("A table cannot be associated with itself.")
    near, far = tables[association.table], tables[parent]
    if association.kind == "one_to_many":
        return (_naming(near, association.column, far),)
    if association.kind == "many_to_one":
        return (_reached_by(far, association.column, near),)
    middle = tables.get(association.intersect or "")
    if middle is None or association.other_column is None:
        raise LookupError(f"The table {association.intersect} is not replicated.")
    return (
        _reached_by(middle, association.other_column, near),
        _naming(middle, association.column, far),
    )


def _follows(tables: Mapping[str, TableDef], table: TableDef) -> Choice:
    """:raises LookupError: nobody can follow rows of the table."""
    follows = tables.get(FOLLOWS)
    if follows is None:
        raise LookupError(f"The table {FOLLOWS} is not replicated.")
    return Choice(
        hops=(_reached_by(follows, "regardingobjectid", table),),
        attributes=(KeyColumn(column=_column(follows, "ownerid")),),
    )


def _wanted(attribute: Attribute, table: TableDef) -> Wanted:
    is_claim = attribute.kind is AttributeKind.CLAIM
    return Wanted(
        kind=attribute.kind,
        negated=attribute.negated,
        claim=attribute.claim,
        type=table.column(attribute.column).type if is_claim else None,
    )


def _naming(table: TableDef, lookup: str, named: TableDef) -> Hop:
    """From a row of `table` to the row that its lookup names."""
    return Hop(
        table=named.name,
        near=_lookup(table, lookup, named),
        far=_only_key(named),
        near_type=_type_to_check(table, lookup, named),
    )


def _reached_by(table: TableDef, lookup: str, named: TableDef) -> Hop:
    """From a named row to the rows of `table` whose lookup names it."""
    return Hop(
        table=table.name,
        near=_only_key(named),
        far=_lookup(table, lookup, named),
        far_type=_type_to_check(table, lookup, named),
    )


def _column(table: TableDef, name: str) -> str:
    if all(column.name != name for column in table.columns):
        raise LookupError(f"{table.name} has no column {name}.")
    return name


def _lookup(table: TableDef, name: str, named: TableDef) -> str:
    _column(table, name)
    if table.column(name).type is not named.column(_only_key(named)).type:
        raise LookupError(f"{table.name}.{name} is of another type than its key.")
    return name


def _only_key(table: TableDef) -> str:
    if len(table.key) != 1:
        raise LookupError(f"The key of {table.name} is not a single column.")
    return table.key[0]


def type_column(lookup: str) -> str:
    """The companion that says to which table a polymorphic lookup refers."""
    return f"{lookup}__type"


def _type_to_check(table: TableDef, lookup: str, named: TableDef) -> str | None:
    companion = type_column(lookup)
    has_one = any(column.name == companion for column in table.columns)
    return named.name if has_one else None


def _owned(item: ProfileItem, table: TableDef) -> Iterator[Takes]:
    if item.owned_by_me and table.owner_column:
        yield (Wanted(kind=AttributeKind.USER), None)
    if item.owned_by_my_team and table.owner_column:
        yield (Wanted(kind=AttributeKind.TEAMS), None)
    if item.owned_by_my_business_unit and table.unit_column:
        yield (None, Wanted(kind=AttributeKind.UNIT))


def _is_too_long(way: Alternative, hops: tuple[Hop, ...]) -> bool:
    return len(way.choice.hops) + len(hops) > LONGEST_PATH


def _following(way: Alternative, hops: tuple[Hop, ...], parent: TableDef) -> Choice:
    if way.choice == PLAIN and any(way.takes):
        return Choice(hops=hops, attributes=_owner_and_unit(parent))
    return way.choice.follows(hops)


def _owner_and_unit(table: TableDef) -> tuple[KeyColumn, ...]:
    """The attributes by which a head row's own, team's and unit's rows are taken."""
    named = (table.owner_column, table.unit_column)
    return tuple(KeyColumn(column=name or "", optional=True) for name in named)


def fewest(ways: Sequence[Alternative]) -> Iterator[Alternative]:
    """Leave out what others include: the same choice with fewer conditions."""
    distinct = list({(w.choice, w.takes): w for w in reversed(ways)}.values())[::-1]
    everything = {w.choice for w in distinct if not any(w.takes)}
    if PLAIN in everything:
        yield next(w for w in distinct if w.choice == PLAIN and not any(w.takes))
        return
    free = {w.choice.hops for w in distinct if is_free(w)}
    for way in distinct:
        if is_free(way) or way.choice.hops not in free:
            yield way


def is_free(way: Alternative) -> bool:
    """Every row at the end of the path counts."""
    return not way.choice.predicate and not any(way.takes)


def _in_circles(
    into: Mapping[str, Sequence[tuple[str, tuple[Hop, ...]]]],
) -> frozenset[str]:
    """Tables from which a path of associations leads back to themselves."""

    def above(table: str) -> frozenset[str]:
        met: set[str] = set()
        waiting = [parent for parent, _ in into.get(table, ())]
        while waiting:
            here = waiting.pop()
            if here not in met:
                met.add(here)
                waiting += [parent for parent, _ in into.get(here, ())]
        return frozenset(met)

    return frozenset(table for table in into if table in above(table))
