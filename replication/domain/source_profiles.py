"""The source's own mobile offline profiles in our words (SOURCE §5.5). Pure.

Only what is published there counts. Where the source says something that we cannot
read, nothing is handed out by it, the rest goes on, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from replication.domain.profiles import (
    LONGEST_INTERVAL_MINUTES,
    SHORTEST_INTERVAL_MINUTES,
    Assignments,
    Association,
    FilterText,
    ProfileDef,
    ProfileItem,
    Records,
)

PROFILES = "mobileofflineprofile"
ITEMS = "mobileofflineprofileitem"
ASSOCIATIONS = "mobileofflineprofileitemassociation"
USERS = "usermobileofflineprofilemembership"
TEAMS = "teammobileofflineprofilemembership"
# Its one row names the default profile; profiles mean something without it.
ORGANIZATION = "organization"
DEFAULT_PROFILE = "defaultmobileofflineprofileid"
NEEDED_TABLES = (PROFILES, ITEMS, ASSOCIATIONS, USERS, TEAMS)
PROFILE_TABLES = (*NEEDED_TABLES, ORGANIZATION)

_RECORDS: Mapping[int, Records] = {
    0: "related_only",
    1: "all",
    2: "filtered",
    3: "custom",
}
_PUBLISHED = 0

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """One-to-many: rows of `many` name one of `one` in `column`. With `intersect` many
    to many: its rows name `one` in `column` and `many` in `other_column`."""

    name: str
    one: str
    many: str
    column: str
    intersect: str | None = None
    other_column: str | None = None


@dataclass(slots=True)
class Translated:
    profiles: tuple[ProfileDef, ...] = ()
    # What could not be read, for operators.
    problems: list[str] = field(default_factory=list)


def tables_of(rows: Rows) -> frozenset[str]:
    """Tables that stand in published items."""
    return frozenset(
        item["selectedentitytypecode"]
        for item in _published(rows.get(ITEMS, ()))
        if item.get("selectedentitytypecode")
    )


def translated(rows: Rows, relationships: Iterable[Relationship]) -> Translated:
    """The profiles by name, from rows of `PROFILE_TABLES` by table."""
    return _Translation(rows, {one.name.lower(): one for one in relationships}).run()


class _Translation:
    def __init__(self, rows: Rows, relationships: Mapping[str, Relationship]) -> None:
        self._rows = rows
        self._relationships = relationships
        self._found = Translated()
        settings = next(iter(rows.get(ORGANIZATION, ())), {})
        self._default: UUID | None = settings.get(DEFAULT_PROFILE)

    def run(self) -> Translated:
        profiles: dict[str, ProfileDef] = {}
        ordered = sorted(
            _published(self._rows.get(PROFILES, ())),
            key=lambda row: (_name(row), str(row[f"{PROFILES}id"])),
        )
        for row in ordered:
            name = _name(row)
            if name in profiles:
                name = f"{name} ({row[f'{PROFILES}id']})"
            profiles[name] = self._profile(name, row[f"{PROFILES}id"])
        self._found.profiles = tuple(profiles.values())
        return self._found

    def _profile(self, name: str, key: UUID) -> ProfileDef:
        items: dict[str, ProfileItem] = {}
        for row in _of(self._rows.get(ITEMS, ()), "regardingobjectid", key):
            table = row.get("selectedentitytypecode")
            if not table or table in items:
                self._found.problems.append(
                    f"{name}: an item names no table, or one that has an item already."
                )
                continue
            items[table] = self._item(name, table, row)
        return ProfileDef(
            name=name,
            items=tuple(items[table] for table in sorted(items)),
            is_default=key == self._default,
            assignments=Assignments(
                users=self._members(USERS, "systemuserid", key),
                teams=self._members(TEAMS, "teamid", key),
            ),
        )

    def _members(self, table: str, column: str, key: UUID) -> tuple[UUID, ...]:
        rows = self._rows.get(table, ())
        mine = (row for row in rows if row.get(f"{PROFILES}id") == key)
        return tuple(sorted({row[column] for row in mine if row.get(column)}))

    def _item(self, profile: str, table: str, row: Row) -> ProfileItem:
        records = self._records(profile, table, row.get("recorddistributioncriteria"))
        text = row.get("profileitementityfilter")
        if records == "custom" and not text:
            self._found.problems.append(
                f"{profile}, {table}: the custom filter is missing; no row is taken."
            )
        return ProfileItem(
            table=table,
            records=records,
            owned_by_me=bool(row.get("recordsownedbyme")),
            owned_by_my_team=bool(row.get("recordsownedbymyteam")),
            owned_by_my_business_unit=bool(row.get("recordsownedbymybusinessunit")),
            filter=FilterText(language="fetchxml", text=text)
            if records == "custom" and text
            else None,
            associations=tuple(self._associations(profile, table, row)),
            can_be_followed=bool(row.get("canbefollowed")),
            columns=self._columns(profile, table, row.get("selectedcolumns")),
            # There, a table that goes offline can be edited as far as rights go.
            writable=True,
            sync_interval_minutes=_interval(row.get("syncintervalinminutes")),
        )

    def _records(self, profile: str, table: str, criteria: int | None) -> Records:
        found = None if criteria is None else _RECORDS.get(criteria)
        if found is not None:
            return found
        self._found.problems.append(
            f"{profile}, {table}: which records it takes cannot be read ({criteria});"
            " it takes none of its own accord."
        )
        return "related_only"

    def _associations(
        self, profile: str, table: str, item: Row
    ) -> Iterator[Association]:
        rows = self._rows.get(ASSOCIATIONS, ())
        for row in _of(rows, f"{ITEMS}id", item[f"{ITEMS}id"]):
            name = row.get("relationshipname") or row.get("relationshipdisplayname")
            if row.get("profileitemassociationentityfilter"):
                # Nobody documents that filter, and without it too much would come.
                self._found.problems.append(
                    f"{profile}, {table}: the relationship {name} has a filter of its"
                    " own, which is not supported; it brings nothing along."
                )
                continue
            found = self._relationships.get((name or "").lower())
            association = _association(table, found) if found else None
            if association is None:
                message = f"{profile}, {table}: the relationship {name} is unknown."
                self._found.problems.append(message)
            else:
                yield association

    def _columns(
        self, profile: str, table: str, text: str | None
    ) -> tuple[str, ...] | None:
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=_Columns).chosen
        except msgspec.DecodeError:
            self._found.problems.append(
                f"{profile}, {table}: the chosen columns cannot be read; none is taken."
            )
            return ()


class _Columns(msgspec.Struct):
    """`{"Columns": ["name", …]}`"""

    chosen: tuple[str, ...] = msgspec.field(name="Columns")


def _association(table: str, found: Relationship) -> Association | None:
    """What the relationship brings along with rows of the table."""
    if found.intersect is not None:
        if table not in (found.one, found.many):
            return None
        is_first = table == found.one
        return Association(
            table=found.many if is_first else found.one,
            kind="many_to_many",
            column=(found.column if is_first else found.other_column) or "",
            intersect=found.intersect,
            other_column=found.other_column if is_first else found.column,
            relationship=found.name,
        )
    if table == found.one:
        return Association(
            table=found.many,
            kind="one_to_many",
            column=found.column,
            relationship=found.name,
        )
    if table == found.many:
        return Association(
            table=found.one,
            kind="many_to_one",
            column=found.column,
            relationship=found.name,
        )
    return None


def _published(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.get("componentstate") in (None, _PUBLISHED))


def _of(rows: Iterable[Row], column: str, key: UUID) -> list[Row]:
    """Published rows that name the key, in an order that only they decide."""
    mine = (row for row in _published(rows) if row.get(column) == key)
    return sorted(mine, key=lambda row: (_name(row), str(row)))


def _name(row: Row) -> str:
    return str(row.get("name") or "")


def _interval(minutes: int | None) -> int:
    wanted = SHORTEST_INTERVAL_MINUTES if minutes is None else minutes
    return max(SHORTEST_INTERVAL_MINUTES, min(LONGEST_INTERVAL_MINUTES, wanted))
