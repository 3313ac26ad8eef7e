"""A load under many profiles: 3 of 20 items each, over 20 tables with relations.

The source answers for all of them with its accounts, contacts, tasks and notes: a
table of ours has a name of its own and the entity set of one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import psycopg

from benchmarks.figures import Figure, expect, measured
from benchmarks.million import CONTACT_COLUMNS, SCALE
from benchmarks.pulling import pull_table
from benchmarks.world import ACCOUNT_COLUMNS, World, definitions
from replication.domain.choices import Hop
from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import TableDef
from sandbox.contoso import business, happenings

FIGURES = ("full_load_3x20",)
ROWS = 200_000

_ACTIVITY = (
    "description scheduledstart scheduledend prioritycode regardingobjectid createdon"
    " modifiedon ownerid owningbusinessunit statecode statuscode versionnumber"
)
_NOTE = (
    "annotationid subject notetext filename mimetype isdocument objectid createdon"
    " modifiedon ownerid owningbusinessunit versionnumber"
)
_COLUMNS = {
    "account": frozenset(ACCOUNT_COLUMNS),
    "contact": CONTACT_COLUMNS - {"parentcustomerid__type"},
    "task": frozenset(f"activityid subject percentcomplete {_ACTIVITY}".split()),
    "annotation": frozenset(_NOTE.split()),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """Tables that the source answers with the same rows."""

    source: str
    count: int
    # Rows come along with those of an account, which this lookup names.
    lookup: str | None = None

    @property
    def names(self) -> list[str]:
        return [f"{self.source}_{number}" for number in range(1, self.count + 1)]


_ACCOUNTS = _Kind("account", 5)
_DETAILS = (
    _Kind("contact", 7, "parentcustomerid"),
    _Kind("task", 7, "regardingobjectid"),
    _Kind("annotation", 1, "objectid"),
)
_KINDS = (_ACCOUNTS, *_DETAILS)


def figures(world: World) -> Iterator[Figure]:
    """full_load_3x20: all tables, one after the other, with all their rules."""
    if not world.wants(FIGURES[0]):
        return
    with world.sandbox(SCALE):
        organization = world.organization("contoso-many-tables")
        tables, rows = _prepare(world, organization)
        figure = measured(
            FIGURES[0],
            act=_loading(world, organization, tables),
            expected=rows,
            cpu=world.cpu_seconds,
            unit="rows/CPU-s",
            target=15_000,
        )
        expect(rows >= ROWS, f"The tables have {rows} rows instead of {ROWS}.")
        rules, entries = _expect_rules(organization, tables)
        yield replace(
            figure,
            note=f"{rows:,} rows of {len(tables)} tables into {entries:,} entries"
            f" of {rules} rules",
        )


def _prepare(world: World, organization: UUID) -> tuple[list[TableDef], int]:
    """Load who may see what, and publish; the tables, and how many rows they have."""
    from replication.staging import connections, schema
    from replication.visibility import policy

    source = world.source()
    of_source = {t.name: t for t in source.load_tables(tuple(k.source for k in _KINDS))}
    tables = [
        _named(of_source[kind.source], name) for kind in _KINDS for name in kind.names
    ]
    security = [table for table in definitions(source) if table.name != "account"]
    with connections.opened(organization) as conn:
        schema.create_missing(conn, [*security, *tables])
        for table in security:
            world.pull(conn, source, table.name)
        policy.publish(conn, Policy(profiles=_PROFILES))
    counts = {kind.source: _rows(kind.source) for kind in _KINDS}
    return tables, sum(counts[kind.source] * kind.count for kind in _KINDS)


def _named(table: TableDef, name: str) -> TableDef:
    """The table under another name; its lookups refer to whatever is said."""
    kept = tuple(c for c in table.columns if c.name in _COLUMNS[table.name])
    return replace(table, name=name, columns=kept)


def _rows(table: str) -> int:
    """How many rows the source has of a table (sandbox.contoso)."""
    match table:
        case "account":
            return SCALE
        case "contact":
            return business.contact_count(SCALE)
        case "task":
            return happenings.task_count(SCALE)
    return sum(1 for _ in happenings.notes(business.sites(SCALE), seed=1))


def _loading(
    world: World, organization: UUID, tables: list[TableDef]
) -> Callable[[], int]:
    source = world.source()
    return lambda: sum(
        pull_table(world, organization, source, table.name) for table in tables
    )


# Profiles: own and team's accounts with what belongs to them; whatever is of the own
# unit; accounts by a filter with what belongs to them.


def _accounts(profile: str) -> Iterator[ProfileItem]:
    for name in _ACCOUNTS.names:
        if profile == "Managers":
            yield ProfileItem(
                table=name, records="filtered", owned_by_my_business_unit=True
            )
        elif profile == "Service":
            yield ProfileItem(
                table=name,
                records="custom",
                filter=FilterText(language="odata", text="customertypecode eq 3"),
                associations=_associations(name),
            )
        else:
            yield ProfileItem(
                table=name,
                records="filtered",
                owned_by_me=True,
                owned_by_my_team=True,
                associations=_associations(name),
            )


def _details(profile: str) -> Iterator[ProfileItem]:
    for kind in _DETAILS:
        for name in kind.names:
            if profile == "Service" or (profile == "Sales" and kind.source != "task"):
                yield ProfileItem(table=name, records="related_only")
            elif profile == "Managers" and kind.source == "contact":
                yield ProfileItem(table=name, records="custom", filter=_of_unit(name))
            else:
                yield ProfileItem(
                    table=name,
                    records="filtered",
                    owned_by_me=True,
                    owned_by_my_business_unit=profile == "Managers",
                )


def _associations(account: str) -> tuple[Association, ...]:
    """What belongs to the accounts: of each kind, every fifth table."""
    own = _ACCOUNTS.names.index(account)
    return tuple(
        Association(table=name, kind="one_to_many", column=kind.lookup)
        for kind in _DETAILS
        if kind.lookup
        for number, name in enumerate(kind.names)
        if number % _ACCOUNTS.count == own
    )


def _of_unit(table: str) -> FilterText:
    """Active rows of the user's business unit."""
    return FilterText(
        language="fetchxml",
        text=f'<fetch><entity name="{table}"><filter>'
        '<condition attribute="statecode" operator="eq" value="0"/>'
        '<condition attribute="owningbusinessunit" operator="eq-businessid"/>'
        "</filter></entity></fetch>",
    )


_PROFILES = tuple(
    ProfileDef(
        name=name,
        items=(*_accounts(name), *_details(name)),
        assignments=Assignments(everyone=True),
    )
    for name in ("Sales", "Managers", "Service")
)


# What is expected


def _expect_rules(organization: UUID, tables: list[TableDef]) -> tuple[int, int]:
    """How many rules and entries there are.

    :raises WrongAnswerError: rules are missing, or rows in them.
    """
    from replication.staging import connections
    from replication.visibility import policy, reconcile, rules

    with connections.opened(organization) as conn:
        expect(policy.is_in_effect(conn), "The profiles are not in effect.")
        expect(not reconcile.is_due(conn), "Something is left to do.")
        living = rules.living(conn)
        by_id = dict(conn.execute("SELECT id, name FROM sync.source").fetchall())
        entries = dict(
            conn.execute(
                "SELECT rule, count(*) FROM sync.feed WHERE live GROUP BY rule"
            ).fetchall()
        )
        for rule in living:
            if rule.shape == "base" and not rule.choice.predicate:
                found = _rows_of(conn, by_id[rule.source_id], rule.choice.hops)
                expect(
                    entries.get(rule.id, 0) == found,
                    f"Rule {rule.id} hands out {entries.get(rule.id)} of {found} rows.",
                )
        of_tables = {by_id[rule.source_id] for rule in living}
    expect(of_tables >= {table.name for table in tables}, "A table has no rule.")
    return len(living), sum(entries.values())


def _rows_of(conn: psycopg.Connection, table: str, hops: tuple[Hop, ...]) -> int:
    """Rows of the table that belong to one at the end of the path."""
    joins = [f"JOIN data.{hop.table} h ON h.{hop.far} = t.{hop.near}" for hop in hops]
    row = conn.execute(
        f"SELECT count(*) FROM data.{table} t {' '.join(joins)}"
    ).fetchone()
    assert row is not None
    return int(row[0])
