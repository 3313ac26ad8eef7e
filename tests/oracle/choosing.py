"""Which rows profiles choose for a user, row by row (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from replication.domain.profiles import (
    Association,
    FilterText,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import TableDef
from tests.oracle import filters
from tests.oracle.filters import Question, Tree, User
from tests.oracle.people import People, Row, Rows
from tests.oracle.rights import owner_of, unit_of

# What a filter's text means, as its author drew it.
Meaning = Callable[[FilterText], Tree]


class Choosing:
    """One user's profiles; what a row has been found to be is remembered."""

    def __init__(
        self,
        tables: Mapping[str, TableDef],
        rows: Rows,
        people: People,
        *,
        user: str,
        now: datetime,
        meaning: Meaning,
    ) -> None:
        self._tables = tables
        self._rows = rows
        self._people = people
        self._user = user
        self._now = now
        self._meaning = meaning
        self._known: dict[tuple[str, str, str], bool] = {}
        self._asked = self._as_filters_see_him()

    def is_chosen(self, profile: ProfileDef, table: str, key: str) -> bool:
        """Any way in which the profile takes the row along."""
        place = (profile.name, table, key)
        if place not in self._known:
            # A circle of associations brings nothing of its own.
            self._known[place] = False
            self._known[place] = self._is_taken(profile, table, key)
        return self._known[place]

    def is_served(self, policy: Policy, table: TableDef, row: Row) -> bool:
        """The organization filters let the row out."""
        return all(
            self._matches(served.filter, table, row)
            for served in policy.served
            if served.table == table.name
        )

    def _is_taken(self, profile: ProfileDef, table: str, key: str) -> bool:
        item = self._item(profile, table)
        if item is None:
            return False
        definition, row = self._tables[table], self._rows[table][key]
        if self._is_of_own_accord(item, definition, row):
            return True
        if item.can_be_followed and self._is_followed(table, key):
            return True
        return any(
            self.is_chosen(profile, parent, above)
            for parent, association in self._into(profile, table)
            for above, parent_row in self._rows[parent].items()
            if self._leads(association, parent, parent_row, table, row)
        )

    def _item(self, profile: ProfileDef, table: str) -> ProfileItem | None:
        for item in profile.items:
            if item.table == table and table in self._tables:
                return item
        return None

    def _is_of_own_accord(self, item: ProfileItem, table: TableDef, row: Row) -> bool:
        if item.records == "filtered":
            owner, unit = owner_of(table, row), unit_of(table, row)
            return (
                (item.owned_by_me and owner == self._user)
                or (item.owned_by_my_team and owner in self._people.teams(self._user))
                or (
                    item.owned_by_my_business_unit
                    and unit is not None
                    and unit == self._people.unit(self._user)
                )
            )
        if item.records == "custom":
            assert item.filter is not None
            return self._matches(item.filter, table, row)
        return item.records == "all"

    def _is_followed(self, table: str, key: str) -> bool:
        if "postfollow" not in self._tables:
            return False
        return any(
            follow["ownerid"] == self._user
            and follow["regardingobjectid"] == key
            and follow["regardingobjectid__type"] == table
            for follow in self._rows["postfollow"].values()
        )

    # Associations

    def _into(
        self, profile: ProfileDef, table: str
    ) -> Iterator[tuple[str, Association]]:
        for item in profile.items:
            if item.table in self._tables:
                for association in item.associations:
                    if association.table == table != item.table:
                        yield item.table, association

    def _leads(
        self,
        association: Association,
        parent: str,
        parent_row: Row,
        table: str,
        row: Row,
    ) -> bool:
        """From the parent's row to this one."""
        column = association.column
        if association.kind == "one_to_many":
            return self._names(table, row, column, parent, parent_row)
        if association.kind == "many_to_one":
            return self._names(parent, parent_row, column, table, row)
        between, other = association.intersect, association.other_column
        assert between is not None
        assert other is not None
        return between in self._tables and any(
            self._names(between, link, column, parent, parent_row)
            and self._names(between, link, other, table, row)
            for link in self._rows[between].values()
        )

    def _names(self, table: str, row: Row, lookup: str, named: str, other: Row) -> bool:
        """The row's lookup names the other row."""
        companion = f"{lookup}__type"
        columns = [column.name for column in self._tables[table].columns]
        if companion in columns and row[companion] != named:
            return False
        key = other[self._tables[named].key[0]]
        return row[lookup] is not None and bool(row[lookup] == key)

    # Filters

    def _matches(self, text: FilterText, table: TableDef, row: Row) -> bool:
        types = {column.name: str(column.type) for column in table.columns}
        question = Question(row=row, types=types, now=self._now, user=self._asked)
        return filters.matches(self._meaning(text), question)

    def _as_filters_see_him(self) -> User:
        reports = self._people.reports(self._user)
        return User(
            id=self._user,
            teams=self._people.teams(self._user),
            unit=self._people.unit(self._user),
            reports=reports,
            teams_of_reports=[t for p in reports for t in self._people.teams(p)],
            language=self._people.language(self._user),
        )
