"""An organization with a million accounts, and profiles of every kind over them.

The source has 20,000 accounts, which are pulled; copies of them, made in staging, are
the others. Rules are built afterwards, so that nothing that is measured can tell.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from benchmarks.source import Editor
from benchmarks.world import World, definitions
from replication.domain.profiles import (
    Assignments,
    Association,
    FilterText,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import TableDef
from sandbox.contoso.organization import unit_id
from sandbox.contoso.people import PEOPLE, PEOPLE_BY_KEY

if TYPE_CHECKING:
    from replication.domain.pages import Page
    from replication.odata.client import ODataSource
    from replication.staging.registry import SourceTable

NAME = "contoso"
SCALE = 20_000
ACCOUNTS = 1_000_000
_COPIES = ACCOUNTS // SCALE - 1
TEAMS = 500
# Accounts that belong to the teams.
_OF_TEAMS = 10_000
# Rows of the business unit that moves, and of those below it.
BELOW = 100_000
MOVING = ("Asia Pacific", "Australia", "Japan", "India")
# Who belongs to so many teams, and who takes along what the filter accepts.
OF_MANY_TEAMS, OF_FILTER = "barbara", "hedy"
# Who owns accounts that are nothing to the former.
OWNERS = ("linus", "grace")

_CONTACT = (
    "contactid firstname lastname fullname jobtitle emailaddress1 telephone1 birthdate"
    " gendercode familystatuscode donotemail donotphone address1_city address1_country"
    " parentcustomerid parentcustomerid__type createdon modifiedon ownerid"
    " owningbusinessunit statecode statuscode versionnumber"
)
CONTACT_COLUMNS = frozenset(_CONTACT.split())

_CONTACTS = Association(table="contact", kind="one_to_many", column="parentcustomerid")
_RELATED = ProfileItem(table="contact", records="related_only")
_FIELD = ProfileDef(
    name="Field",
    items=(
        ProfileItem(
            table="account",
            records="filtered",
            owned_by_me=True,
            owned_by_my_team=True,
            owned_by_my_business_unit=True,
            associations=(_CONTACTS,),
        ),
        _RELATED,
    ),
    # Rows that come in two ways would come twice when one of these is new.
    assignments=Assignments(
        users=tuple(UUID(person.id) for person in PEOPLE if person.key != OF_FILTER)
    ),
)


def policy_with(*, employees: int) -> Policy:
    """Everybody else's own, teams' and units' accounts; and to one person all accounts with
    fewer employees; each with their contacts."""
    text = FilterText(language="odata", text=f"numberofemployees lt {employees}")
    filtered = ProfileItem(
        table="account", records="custom", filter=text, associations=(_CONTACTS,)
    )
    person = UUID(PEOPLE_BY_KEY[OF_FILTER].id)
    size = ProfileDef(
        name="By size",
        items=(filtered, _RELATED),
        assignments=Assignments(users=(person,)),
    )
    return Policy(profiles=(_FIELD, size))


@dataclass(frozen=True, slots=True)
class Million:
    """The organization, and the source that changes it."""

    world: World
    id: UUID
    source: ODataSource
    # Accounts with contacts that the source knows, by the name of their owner.
    known: Mapping[str, list[str]]

    @property
    def editor(self) -> Editor:
        return Editor(self.world.sandbox_url, self.world.ca)

    def prepared(self, conn: psycopg.Connection, table: str) -> Puller:
        """A pull of the table at which pages are fetched and committed by themselves."""
        from replication.staging import merge, registry
        from replication.visibility import reconcile

        staged = registry.table(conn, table)
        assert staged is not None
        merge.prepare(conn, staged.definition)
        reconcile.prepare(conn)
        epoch = self.world.next_epoch()
        registry.fence(conn, table, epoch=epoch)
        return Puller(self, conn, table, epoch)


@dataclass(frozen=True, slots=True)
class Puller:
    """Fetches what changed in one table, and commits it."""

    million: Million
    conn: psycopg.Connection
    table: str
    epoch: int

    def fetch(self) -> Page:
        staged = self._staged()
        return self.million.source.fetch_page(staged.definition, staged.cursor)

    def commit(self, page: Page) -> float:
        """Seconds until the page is committed."""
        from replication.services.commit import commit_page

        staged = self._staged()
        codec = self.million.source.codec(staged.definition)
        began = time.perf_counter()
        commit_page(self.conn, staged, page, codec, epoch=self.epoch)
        return time.perf_counter() - began

    def _staged(self) -> SourceTable:
        from replication.staging import registry

        staged = registry.table(self.conn, self.table)
        assert staged is not None
        return staged


def move_unit(editor: Editor, *, below: str) -> None:
    """Put the moving units below another one, at the source."""
    editor.patch(
        f"businessunits({unit_id(MOVING[0])})",
        {"parentbusinessunitid@odata.bind": f"businessunits({unit_id(below)})"},
    )


@contextmanager
def loaded(world: World, *, employees: int) -> Iterator[Million]:
    """A million accounts with their contacts, and all rules that the profiles need."""
    from django.conf import settings

    from replication.staging import connections, schema
    from replication.visibility import policy, reconcile

    with world.sandbox(SCALE):
        source = world.source()
        # A run that was interrupted may have left the unit elsewhere.
        move_unit(Editor(world.sandbox_url, world.ca), below="Contoso")
        organization = world.organization(NAME)
        tables = [*definitions(source), *_more_tables(source)]
        with connections.opened(organization) as conn:
            schema.create_missing(conn, tables)
            for table in tables:
                world.pull(conn, source, table.name)
            known = {name: _with_contacts(conn, name) for name in OWNERS}
            _make_teams(conn)
            _multiply(conn, tables)
            policy.publish(conn, policy_with(employees=employees))
            reconcile.reconcile(conn)
            conn.execute("VACUUM (ANALYZE)")
        with psycopg.connect(settings.STAGING_SERVER_URL, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
        yield Million(world, organization, source, known)


def _more_tables(source: ODataSource) -> list[TableDef]:
    contact, *others = source.load_tables(("contact", "principalobjectaccess"))
    kept = tuple(c for c in contact.columns if c.name in CONTACT_COLUMNS)
    return [replace(contact, columns=kept), *others]


def _with_contacts(conn: psycopg.Connection, owner: str) -> list[str]:
    rows = conn.execute(
        "SELECT a.accountid::text FROM data.account a WHERE a.ownerid = %s AND EXISTS"
        " (SELECT FROM data.contact c WHERE c.parentcustomerid = a.accountid)"
        " ORDER BY 1",
        (PEOPLE_BY_KEY[owner].id,),
    )
    return [account for (account,) in rows]


def _make_teams(conn: psycopg.Connection) -> None:
    """Teams of the root unit with one member, as if they had been replicated."""
    member = PEOPLE_BY_KEY[OF_MANY_TEAMS].id
    conn.execute(
        "INSERT INTO data.team (teamid, name, businessunitid, _version)"
        " SELECT md5('team ' || n)::uuid, 'Team ' || n, %s, n"
        " FROM generate_series(1, %s) n",
        (unit_id("Contoso"), TEAMS),
    )
    conn.execute(
        "INSERT INTO data.teammembership"
        " (teammembershipid, teamid, systemuserid, _version)"
        " SELECT md5('member ' || n)::uuid, md5('team ' || n)::uuid, %s, n"
        " FROM generate_series(1, %s) n",
        (member, TEAMS),
    )
    conn.execute(
        "INSERT INTO sync.key_value (value)"
        " SELECT md5('team ' || n)::uuid FROM generate_series(1, %s) n"
        " ON CONFLICT DO NOTHING",
        (TEAMS,),
    )


def _multiply(conn: psycopg.Connection, tables: list[TableDef]) -> None:
    """Copy accounts and contacts, with lookups between copies of the same number.

    Copies of accounts fill the moving units up to `BELOW`, copies of contacts none.
    """
    by_name = {table.name: table for table in tables}
    moving = [unit_id(name) for name in MOVING]
    row = conn.execute(
        "SELECT (SELECT count(*) FROM data.account WHERE owningbusinessunit = ANY(%(u)s))"
        " + (SELECT count(*) FROM data.contact WHERE owningbusinessunit = ANY(%(u)s))",
        {"u": moving},
    ).fetchone()
    assert row is not None
    for name, below, of_teams in (
        ("account", BELOW - row[0], _OF_TEAMS),
        ("contact", 0, 0),
    ):
        names = [column.name for column in by_name[name].columns]
        copied = ", ".join(_COPIED.get(n, f"o.{n}") for n in names)
        conn.execute(
            f"INSERT INTO data.{name} ({', '.join(names)}, _version)"
            f" SELECT {copied}, o._version FROM ("
            " SELECT t.*, n, row_number() OVER () AS place"
            f" FROM data.{name} t CROSS JOIN generate_series(1, %(copies)s) n) o",
            {
                "copies": _COPIES,
                "total": SCALE * _COPIES,
                "moving": moving,
                "root": unit_id("Contoso"),
                "below": below,
                "of_teams": of_teams,
                "teams": TEAMS,
            },
        )
        conn.execute(
            "UPDATE sync.source SET"
            f" row_count = (SELECT count(*) FROM data.{name}) WHERE name = %s",
            (name,),
        )


# Rows with some quality are spread over the table, hence the prime numbers.
_COPIED = {
    "accountid": "md5(o.accountid::text || n)::uuid",
    "contactid": "md5(o.contactid::text || n)::uuid",
    "parentcustomerid": "md5(o.parentcustomerid::text || n)::uuid",
    "primarycontactid": "md5(o.primarycontactid::text || n)::uuid",
    "ownerid": "CASE WHEN place * 104729 %% %(total)s < %(of_teams)s"
    " THEN md5('team ' || place %% %(teams)s + 1)::uuid ELSE o.ownerid END",
    "owningbusinessunit": "CASE WHEN place * 7919 %% %(total)s < %(below)s"
    " THEN (%(moving)s::uuid[])[place %% 4 + 1]"
    " WHEN o.owningbusinessunit = ANY(%(moving)s::uuid[]) THEN %(root)s::uuid"
    " ELSE o.owningbusinessunit END",
}
