"""Compares a profile with the tables that staging has, member by member. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from replication.domain import filter_parts, findings
from replication.domain.alternatives import Problem, hops_of
from replication.domain.filters import Expr, FilterError
from replication.domain.findings import Caution, Fault
from replication.domain.profiles import (
    CommonSettings,
    FilterText,
    People,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import TableDef
from replication.visibility.compiled import compiled, parsed, parsed_served

Tables = Mapping[str, TableDef]

# Far more than anybody means; checking them would only keep others waiting.
MOST_ITEMS = 1_000
DEEPEST_HIERARCHY = 100


def faults(
    profile: ProfileDef, tables: Tables, *, people: People = "source"
) -> tuple[Fault, ...]:
    """Everything for which the profile is refused, where users come from there."""
    if len(profile.items) > MOST_ITEMS:
        message = f"A profile has at most {MOST_ITEMS:,} items."
        return (Fault(member="items", message=message),)
    found = [
        *findings.faults_of_members(profile),
        *findings.faults_of_people(profile, people),
    ]
    names = {item.table for item in profile.items if item.table in tables}
    for number, item in enumerate(profile.items):
        found += _of_item(f"items[{number}]", item, names, tables, people)
    if not found:
        found += _of_the_whole(profile, tables, people)
    return tuple(found)


def faults_of_settings(
    settings: CommonSettings, tables: Tables, *, people: People = "source"
) -> tuple[Fault, ...]:
    found = list(findings.faults_of_common(settings, people))
    filters = Counter(served.table for served in settings.served)
    for number, served in enumerate(settings.served):
        place = f"served[{number}]"
        if filters[served.table] > 1:
            message = "The table has two filters."
            found.append(Fault(member=f"{place}.table", message=message))
        if served.table not in tables:
            found.append(_unknown_table(f"{place}.table", served.table))
            continue
        try:
            parsed_served(served.filter, tables[served.table], people=people)
        except FilterError as error:
            found.append(_of_filter(f"{place}.filter", error))
    hierarchy = settings.hierarchy
    if hierarchy is not None and not 1 <= hierarchy.depth <= DEEPEST_HIERARCHY:
        message = f"A hierarchy has 1 to {DEEPEST_HIERARCHY} levels."
        found.append(Fault(member="hierarchy.depth", message=message))
    return tuple(found)


def cautions(
    profile: ProfileDef, tables: Tables, *, people: People = "source"
) -> tuple[Caution, ...]:
    """What is allowed, but should be meant; suspended items among them."""
    expressions: dict[str, Expr] = {}
    for item in profile.items:
        if item.filter is not None and item.table in tables:
            expression = _usable(item.filter, tables[item.table], people)
            if expression is not None:
                expressions[item.table] = expression
    return (
        *findings.cautions_of(profile, expressions),
        *(
            Caution(profile=profile.name, table=problem.table, message=problem.message)
            for problem in problems(profile, tables, people=people)
        ),
    )


def problems(
    profile: ProfileDef, tables: Tables, *, people: People = "source"
) -> tuple[Problem, ...]:
    """Items of the profile that are suspended over these tables."""
    return compiled(Policy(profiles=(profile,), people=people), tables).problems


def _usable(text: FilterText, table: TableDef, people: People) -> Expr | None:
    try:
        return parsed(text, table, people=people)
    except FilterError:
        return None


def _of_item(
    place: str,
    item: ProfileItem,
    names: Collection[str],
    tables: Tables,
    people: People,
) -> Iterator[Fault]:
    table = tables.get(item.table)
    if table is None:
        yield _unknown_table(f"{place}.table", item.table)
        return
    known = {column.name for column in table.columns}
    for column in item.columns or ():
        if column not in known:
            message = f"{item.table} has no column {column}."
            yield Fault(member=f"{place}.columns", message=message)
    if item.filter is not None:
        try:
            filter_parts.split(parsed(item.filter, table, people=people))
        except FilterError as error:
            yield _of_filter(f"{place}.filter", error)
    for number, association in enumerate(item.associations):
        try:
            hops_of(tables, item.table, association, names)
        except LookupError as error:
            yield Fault(
                member=f"{place}.associations[{number}]",
                message=str(error.args[0]),
                dynamics_code=findings.CIRCULAR
                if association.table == item.table
                else None,
            )


def _of_the_whole(
    profile: ProfileDef, tables: Tables, people: People
) -> Iterator[Fault]:
    """What only shows once every member makes sense."""
    places = {item.table: number for number, item in enumerate(profile.items)}
    members = {
        "circular": ("associations", findings.CIRCULAR),
        "no_relationship": ("records", findings.NO_RELATIONSHIP),
        "too_many": ("table", None),
    }
    for problem in problems(profile, tables, people=people):
        if problem.code in members:
            member, code = members[problem.code]
            yield Fault(
                member=f"items[{places[problem.table]}].{member}",
                message=problem.message,
                dynamics_code=code,
            )


def _of_filter(member: str, error: FilterError) -> Fault:
    return Fault(
        member=member,
        message=error.message,
        place=error.place,
        dynamics_code=error.dynamics_code,
    )


def _unknown_table(member: str, name: str) -> Fault:
    return Fault(member=member, message=f"The organization does not replicate {name}.")
