"""Published profiles as alternatives over the tables that staging has.

What names something that is gone is suspended, with the reason; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from replication.domain import filter_parts, filters
from replication.domain.alternatives import (
    Alternative,
    Problem,
    expanded,
)
from replication.domain.filter_parts import Part
from replication.domain.filters import FilterError, Limits
from replication.domain.profiles import FilterText, People, Policy, ProfileDef
from replication.domain.tables import TableDef
from replication.staging.registry import SourceTable
from replication.visibility import fetchxml, filter_check, odata_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A policy over certain tables."""

    policy: Policy
    # By profile name and table.
    alternatives: Mapping[str, Mapping[str, tuple[Alternative, ...]]]
    # The organization filter's canonical text by table.
    served: Mapping[str, str]
    problems: tuple[Problem, ...] = ()

    def of_table(self, table: str) -> tuple[Alternative, ...]:
        """All ways in which any profile takes the table along."""
        return tuple(
            way for ways in self.alternatives.values() for way in ways.get(table, ())
        )

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(t for ways in self.alternatives.values() for t in ways)

    def served_by_source(self, tables: Mapping[str, SourceTable]) -> dict[int, str]:
        """The organization filters of these tables, by source id."""
        return {table.id: self.served.get(name, "") for name, table in tables.items()}


def compiled(policy: Policy, tables: Mapping[str, TableDef]) -> Compiled:
    """The policy over these tables, by name."""
    building = _Building(tables, policy.people)
    alternatives = {p.name: building.profile(p) for p in policy.profiles}
    served = {s.table: building.served(s.table, s.filter) for s in policy.served}
    return Compiled(
        policy=policy,
        alternatives=alternatives,
        served={table: text for table, text in served.items() if text is not None},
        problems=tuple(building.problems),
    )


def compiled_once(policy: Policy, tables: Mapping[str, TableDef]) -> Compiled:
    """The same, remembered: access of every user is computed by few policies."""
    return _remembered(policy, _Definitions(tables))


class _Definitions:
    """Definitions by name, alike if they are the same objects.

    To compare what is in them would take as long as to read it. What is remembered
    keeps them alive, so that no others come to have their identities.
    """

    __slots__ = ("_identities", "by_name")

    def __init__(self, tables: Mapping[str, TableDef]) -> None:
        self.by_name = dict(tables)
        self._identities = tuple((name, id(one)) for name, one in tables.items())

    def __hash__(self) -> int:
        return hash(self._identities)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Definitions):
            return NotImplemented
        return self._identities == other._identities


# The policy in effect and the published one, of the organizations that are busy.
@lru_cache(maxsize=8)
def _remembered(policy: Policy, definitions: _Definitions) -> Compiled:
    return compiled(policy, definitions.by_name)


def parsed(
    text: FilterText, table: TableDef, *, people: People = "source"
) -> filters.Expr:
    """The filter as a syntax tree whose names the table knows, places included.

    :raises FilterError: with the place and the reason.
    """
    return _checked(text, table, filter_check.NO_LIMITS_OF_ITS_OWN, people)


def _checked(
    text: FilterText, table: TableDef, limits: Limits, people: People
) -> filters.Expr:
    if text.language == "fetchxml":
        expression = fetchxml.parse(text.text, table=table.name, limits=limits)
    else:
        expression = odata_filter.parse(text.text, limits=limits)
    return filter_check.check(expression, table=table, limits=limits, people=people)


def parsed_served(
    text: FilterText, table: TableDef, *, people: People = "source"
) -> filters.Expr:
    """An organization filter, which is the same for everybody.

    :raises FilterError: with the place and the reason.
    """
    expression = _checked(text, table, _OF_SERVED, people)
    if filters.has_user_conditions(expression):
        message = "An organization filter cannot depend on the user."
        raise FilterError(message)
    return filters.canonical(expression)


# SOURCE §5.2: an organization filter is simple.
_OF_SERVED = Limits(conditions=3, too_many_code="0x80071114")


@dataclass(slots=True)
class _Building:
    tables: Mapping[str, TableDef]
    people: People
    problems: list[Problem] = field(default_factory=list)

    def profile(self, profile: ProfileDef) -> Mapping[str, tuple[Alternative, ...]]:
        parts = {
            item.table: self._parts(profile, item.table, item.filter)
            for item in profile.items
            if item.records == "custom" and item.table in self.tables
        }
        found = expanded(profile, self.tables, parts)
        self.problems += found.problems
        return found.alternatives

    def served(self, table: str, text: FilterText) -> str | None:
        """None where everything is refused: better too little than too much."""
        if table not in self.tables:
            return None
        try:
            expression = parsed_served(text, self.tables[table], people=self.people)
        except FilterError as error:
            self._complain("", table, error)
            return filters.dumps(filters.FALSE)
        return filters.dumps(expression)

    def _parts(
        self, profile: ProfileDef, table: str, text: FilterText | None
    ) -> tuple[Part, ...] | None:
        if text is None:
            return None
        try:
            expression = parsed(text, self.tables[table], people=self.people)
            parts = filter_parts.split(expression)
        except FilterError as error:
            self._complain(profile.name, table, error)
            return None
        return parts

    def _complain(self, profile: str, table: str, error: FilterError) -> None:
        self.problems.append(
            Problem(
                profile=profile,
                table=table,
                code="unusable_filter",
                message=str(error),
            )
        )
