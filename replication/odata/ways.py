"""Finds by which names rows refer to each other when they are written.

A lookup is written by its navigation property, whose name is another one than the
column's, and per target where it may name rows of several tables. Metadata says so,
and is read when a write first needs it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct
from msgspec import field as member

from replication.domain.tables import ColumnDef, ColumnType
from replication.odata.metadata import LOGICAL_NAME, Reader

Found = TypeVar("Found")

# Metadata changes seldom, and a write that it misleads is refused and tried anew.
_KEPT_SECONDS = 3600.0

# Names in one `$filter`; far below the length of a URL that servers refuse.
_TABLES_PER_REQUEST = 25

# A lookup that names owners has one navigation property for users and teams alike.
_ANY_OWNER = frozenset({"owner", "principal"})

_MANY_TO_ONE = (
    "ManyToOneRelationships?$select=SchemaName,ReferencedEntity,ReferencingEntity,"
    "ReferencingAttribute,ReferencingEntityNavigationPropertyName,"
    "ReferencedEntityNavigationPropertyName"
)
_ONE_TO_MANY = _MANY_TO_ONE.replace("ManyToOne", "OneToMany", 1)
_MANY_TO_MANY = (
    "ManyToManyRelationships?$select=SchemaName,Entity1LogicalName,Entity2LogicalName,"
    "Entity1NavigationPropertyName,Entity2NavigationPropertyName"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table to whose rows others refer."""

    name: str
    entity_set: str
    key: tuple[ColumnDef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The way from a row to those it is associated with."""

    # A navigation property: of the other row if `is_reversed`.
    navigation: str
    other: Target
    is_reversed: bool = False
    # It leads to one row at most.
    is_single: bool = False


class _One(Struct):
    name: str = member(name="SchemaName")
    one: str = member(name="ReferencedEntity")
    many: str = member(name="ReferencingEntity")
    column: str = member(name="ReferencingAttribute")
    to_one: str | None = member(
        default=None, name="ReferencingEntityNavigationPropertyName"
    )
    to_many: str | None = member(
        default=None, name="ReferencedEntityNavigationPropertyName"
    )


class _Many(Struct):
    name: str = member(name="SchemaName")
    first: str = member(name="Entity1LogicalName")
    second: str = member(name="Entity2LogicalName")
    to_second: str | None = member(default=None, name="Entity1NavigationPropertyName")
    to_first: str | None = member(default=None, name="Entity2NavigationPropertyName")


class _Ones(Struct):
    value: list[_One]


class _Manys(Struct):
    value: list[_Many]


class _Table(Struct):
    name: str = member(name="LogicalName")
    entity_set: str | None = member(default=None, name="EntitySetName")
    key: str | None = member(default=None, name="PrimaryIdAttribute")


class _Tables(Struct):
    value: list[_Table]


@dataclass(slots=True)
class Memory:
    """Remembers for an hour what metadata said; threads may share it."""

    _kept: dict[tuple[str, str], tuple[float, object]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def recall(self, kind: str, name: str, read: Callable[[], Found]) -> Found:
        with self._lock:
            known = self._kept.get((kind, name))
        if known is not None and time.monotonic() - known[0] < _KEPT_SECONDS:
            return known[1]  # type: ignore[return-value]  # `kind` goes with one type
        found = read()
        with self._lock:
            self._kept[kind, name] = (time.monotonic(), found)
        return found

    def note(self, kind: str, name: str) -> None:
        """Remember that this is so."""
        with self._lock:
            self._kept[kind, name] = (time.monotonic(), True)

    def knows(self, kind: str, name: str, *, seconds: float) -> bool:
        """Whether it was noted no longer ago."""
        with self._lock:
            known = self._kept.get((kind, name))
        return known is not None and time.monotonic() - known[0] < seconds

    def drop(self, kind: str, name: str) -> None:
        with self._lock:
            self._kept.pop((kind, name), None)

    def forget(self) -> bool:
        """Read anew what is asked next; False when nothing had been remembered."""
        with self._lock:
            had_any = bool(self._kept)
            self._kept.clear()
        return had_any


class Ways:
    """Answers for the tables of a Dataverse organization."""

    def __init__(self, reader: Reader, memory: Memory) -> None:
        self._reader = reader
        self._memory = memory

    def lookup(self, table: str, column: str, target: str | None) -> str | None:
        """Return the navigation property by which a lookup is written.

        Without a target, one that empties the lookup. None: there is none.

        :raises SyncError: the source cannot be asked.
        """
        ways = self._memory.recall(
            "lookups", table, lambda: _lookups(self._ones(table, _MANY_TO_ONE))
        ).get(column, {})
        if target is not None and target in ways:
            return ways[target]
        shared = next((ways[name] for name in _ANY_OWNER if name in ways), None)
        if target is None:
            return shared or next(iter(ways.values()), None)
        return shared

    def target(self, name: str) -> Target | None:
        """Return where the rows of a table are found, None when it is unknown.

        :raises SyncError: the source cannot be asked.
        """
        return self._memory.recall("target", name, lambda: self._targets([name])).get(
            name
        )

    def link(self, table: str, relationship: str) -> Link | None:
        """Return the way of a relationship from a table's row, None when there is none.

        :raises SyncError: the source cannot be asked.
        """
        return self._memory.recall("links", table, lambda: self._links(table)).get(
            relationship
        )

    def _ones(self, table: str, query: str) -> list[_One]:
        path = f"EntityDefinitions(LogicalName='{table}')/{query}"
        return self._reader.document(path, shape=_Ones).value

    def _links(self, table: str) -> dict[str, Link]:
        path = f"EntityDefinitions(LogicalName='{table}')/{_MANY_TO_MANY}"
        manys = self._reader.document(path, shape=_Manys).value
        # A row may be on either side of a relationship within its own table; it is
        # then taken for the one, whose collection the others are.
        ones = self._ones(table, _ONE_TO_MANY)
        others = self._ones(table, _MANY_TO_ONE)
        found = [*_of_many(others), *_of_one(ones), *_of_both(table, manys)]
        targets = self._targets({other for _, _, other, _ in found})
        return {
            name: Link(
                navigation=navigation, other=targets[other], is_reversed=is_reversed
            )
            for name, navigation, other, is_reversed in found
            if other in targets
        }

    def _targets(self, names: Iterable[str]) -> dict[str, Target]:
        found: dict[str, Target] = {}
        usable = sorted(name for name in names if LOGICAL_NAME.fullmatch(name))
        for start in range(0, len(usable), _TABLES_PER_REQUEST):
            wanted = usable[start : start + _TABLES_PER_REQUEST]
            condition = " or ".join(f"LogicalName eq '{name}'" for name in wanted)
            path = (
                "EntityDefinitions?$select=LogicalName,EntitySetName,PrimaryIdAttribute"
                f"&$filter={condition}"
            )
            for table in self._reader.document(path, shape=_Tables).value:
                if table.entity_set and table.key:
                    found[table.name] = _target(table.name, table.entity_set, table.key)
        return found


# Relationship, navigation property, other table, whether that has the property.
_Step = tuple[str, str, str, bool]


def _lookups(ones: Iterable[_One]) -> Mapping[str, Mapping[str, str]]:
    """Return navigation properties by column and target."""
    found: dict[str, dict[str, str]] = {}
    for one in ones:
        if one.to_one:
            found.setdefault(one.column, {})[one.one] = one.to_one
    return found


def _of_one(ones: Iterable[_One]) -> list[_Step]:
    return [(o.name, o.to_many, o.many, False) for o in ones if o.to_many]


def _of_many(ones: Iterable[_One]) -> list[_Step]:
    return [(o.name, o.to_many, o.one, True) for o in ones if o.to_many]


def _of_both(table: str, manys: Iterable[_Many]) -> list[_Step]:
    found: list[_Step] = []
    for many in manys:
        if many.first == table and many.to_second:
            found.append((many.name, many.to_second, many.second, False))
        elif many.second == table and many.to_first:
            found.append((many.name, many.to_first, many.first, False))
    return found


def _target(name: str, entity_set: str, key: str) -> Target:
    column = ColumnDef(name=key, type=ColumnType.GUID, source_name=key)
    return Target(name=name, entity_set=entity_set, key=(column,))
