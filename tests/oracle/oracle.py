"""What each user may hold, worked out row by row: the naive second implementation.

Written from DESIGN §5 and SOURCE §3.10, in plain loops over plain rows. It shares no
line with `replication.visibility`, so that the two can only agree by being right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from replication.domain.profiles import Policy, ProfileDef
from replication.domain.tables import ColumnType, TableDef
from tests.oracle.choosing import Choosing, Meaning
from tests.oracle.people import People, Row, Rows
from tests.oracle.rights import Rights
from tests.oracle.world import MOMENTS

# Table, key, column: canonical values of PROTOCOL §5.
Held = dict[str, dict[str, dict[str, object]]]


class Oracle:
    """Answers for one state of staging, one policy and one moment."""

    def __init__(
        self,
        tables: Mapping[str, TableDef],
        rows: Rows,
        policy: Policy,
        *,
        now: datetime,
        meaning: Meaning,
    ) -> None:
        self._tables = tables
        self._rows = rows
        self._policy = policy
        self._now = now
        self._meaning = meaning
        self._people = People(rows)
        self._rights = Rights(rows, self._people, policy.hierarchy)

    def may_hold(self, user: UUID) -> Held | None:
        """Everything that the user may take along; None: he may not go offline."""
        person = self._rows["systemuser"].get(str(user))
        if person is None or person.get("isdisabled"):
            return None
        if not list(self._people.roles(str(user))):
            return None
        profiles = self._profiles(str(user))
        if not profiles:
            return None
        choosing = Choosing(
            self._tables,
            self._rows,
            self._people,
            user=str(user),
            now=self._now,
            meaning=self._meaning,
        )
        return {
            name: self._rows_of(str(user), table, profiles, choosing)
            for name, table in self._tables.items()
            if any(item.table == name for p in profiles for item in p.items)
            and self._rights.grips(str(user), table)
        }

    def has_whole_tree(self) -> bool:
        return self._people.has_whole_tree()

    def _rows_of(
        self,
        user: str,
        table: TableDef,
        profiles: Sequence[ProfileDef],
        choosing: Choosing,
    ) -> dict[str, dict[str, object]]:
        grips = self._rights.grips(user, table)
        columns = self._columns(user, table, profiles)
        return {
            key: _canonical(table, row, columns)
            for key, row in self._rows[table.name].items()
            if self._rights.may_read(user, table, row, grips)
            and choosing.is_served(self._policy, table, row)
            and any(choosing.is_chosen(p, table.name, key) for p in profiles)
        }

    # Profiles

    def _profiles(self, user: str) -> list[ProfileDef]:
        assigned = [p for p in self._policy.profiles if self._has(user, p)]
        return assigned or [p for p in self._policy.profiles if p.is_default]

    def _has(self, user: str, profile: ProfileDef) -> bool:
        to = profile.assignments
        if to.everyone or UUID(user) in to.users:
            return True
        if any(UUID(team) in to.teams for team in self._people.teams(user)):
            return True
        for role, _ in self._people.roles(user):
            for one in (role["roleid"], role.get("parentrootroleid")):
                if one is not None and UUID(one) in to.roles:
                    return True
        return False

    # Columns

    def _columns(
        self, user: str, table: TableDef, profiles: Sequence[ProfileDef]
    ) -> set[str]:
        wanted: set[str] = {table.key[0], "ownerid", "ownerid__type"}
        wanted |= {"statecode", "statuscode", str(table.primary_name)}
        for profile in profiles:
            wanted.update(_of_associations(table.name, profile))
            for item in profile.items:
                if item.table == table.name:
                    every = [column.name for column in table.columns]
                    wanted.update(every if item.columns is None else item.columns)
        return {
            column.name
            for column in table.columns
            if column.name in wanted
            and (
                not column.secured
                or self._rights.may_read_column(user, table, column.name)
            )
        }


def _of_associations(table: str, profile: ProfileDef) -> Iterator[str]:
    """Lookups of the table by which the profile's associations lead."""
    for item in profile.items:
        for association in item.associations:
            holders = {"one_to_many": association.table, "many_to_one": item.table}
            if holders.get(association.kind) == table:
                yield association.column
                yield f"{association.column}__type"


def _canonical(table: TableDef, row: Row, wanted: set[str]) -> dict[str, object]:
    values = {
        column.name: canonical(column.type, row.get(column.name), column.scale)
        for column in table.columns
        if column.name in wanted
    }
    return {**values, "_version": str(row["versionnumber"])}


def canonical(kind: ColumnType, value: Any, scale: int | None = None) -> object:
    """The value as PROTOCOL §5 writes it, for the types that this world has."""
    if value is None or kind in (ColumnType.STRING, ColumnType.INT, ColumnType.BOOL):
        return value
    if kind is ColumnType.BIGINT:
        return str(value)
    if kind is ColumnType.GUID:
        return str(value).lower()
    if kind is ColumnType.DATETIME:
        return MOMENTS.get(value) or _moment(value)
    if kind is ColumnType.CHOICES:
        return sorted(int(choice) for choice in value.split(","))
    assert kind is ColumnType.DECIMAL, kind
    if scale is not None:
        return f"{Decimal(str(value)):.{scale}f}"
    return format(Decimal(str(value)).normalize(), "f")


def _moment(value: str) -> str:
    """The moment in UTC; a fraction of a second without zeros at its end."""
    moment = datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(UTC)
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def digest(rows: Mapping[str, Mapping[str, object]]) -> tuple[int, str]:
    """Of PROTOCOL §6: how many rows, and the sum of the hashes of key and version."""
    total = 0
    for key, row in rows.items():
        text = f"{key}:{row['_version']}".encode()
        total += int(hashlib.md5(text, usedforsecurity=False).hexdigest()[:16], 16)
    return len(rows), f"{total % 2**64:016x}"
