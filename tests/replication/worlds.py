"""Organizations on shared databases: an empty one, and Contoso with its people."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from provisioning.models import Organization
from replication.domain.profiles import (
    Assignments,
    Policy,
    ProfileDef,
    ProfileItem,
)
from replication.domain.tables import TableDef
from replication.services import follow_schema, serving
from replication.services.follow_schema import Followed
from replication.services.pull import Progress, pull_table
from replication.services.serving import Limits
from replication.services.status import TableStatus, table_status
from replication.source import Source
from replication.staging import registry, schema
from replication.visibility import policy, reconcile
from tests.fake_dataverse import ACCOUNT, CONTACT, SECURITY, FakeDataverse, table_def
from tests.fake_dataverse import plain as plain_column
from tests.replication.databases import SharedDatabase
from tests.staged import Staged, TestDevice, guid

EVERYONE = Assignments(everyone=True)
ALL_ACCOUNTS = ProfileDef(
    name="Field sales", items=(ProfileItem(table="account"),), assignments=EVERYONE
)

FIELD_TABLES = (
    ACCOUNT,
    CONTACT,
    *(
        table_def(name, plain_column("name"))
        for name in ("task", "lead", "incident", "opportunity")
    ),
)
CONTOSO_TABLES = (*SECURITY, *FIELD_TABLES)

_TABLES = (
    "SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables"
    " WHERE schemaname IN ('data', 'sync')"
    " AND tablename NOT IN ('clock', 'metadata', 'source', 'subscription')"
)


def profile(
    *items: ProfileItem,
    name: str = "Field sales",
    assignments: Assignments = EVERYONE,
) -> ProfileDef:
    return ProfileDef(name=name, items=items, assignments=assignments)


class World(Staged):
    """An organization whose database others use before and after it."""

    def __init__(
        self,
        database: SharedDatabase,
        *,
        organization: Organization,
        tables: tuple[TableDef, ...],
        source: FakeDataverse,
        earlier_leases: int = 0,
    ) -> None:
        self.database = database
        self.organization = organization
        self.tables = tables
        self.source = source
        self.page_size = 5000
        self._epochs = earlier_leases

    @property
    def leases(self) -> int:
        """How many were taken so far; later ones have higher epochs."""
        return self._epochs

    def staging(self) -> psycopg.Connection[Any]:
        conn: psycopg.Connection[Any] = self.database.connect()
        return conn

    def pull(
        self, table: str, *, source: Source | None = None, **changes: Any
    ) -> Progress:
        definition = next(t for t in self.tables if t.name == table)
        conn = self.database.kept(definition)
        asked = source or self.source.source(page_size=self.page_size)
        try:
            return pull_table(conn, asked, self.order(table, **changes))
        except BaseException:
            self.database.discard(definition)
            raise

    def pull_on(
        self,
        conn: psycopg.Connection[Any],
        table: str,
        *,
        source: Source | None = None,
        **changes: Any,
    ) -> Progress:
        """Pull on a connection of the test's own."""
        asked = source or self.source.source(page_size=self.page_size)
        return pull_table(conn, asked, self.order(table, **changes))

    def pull_these(self, *tables: str) -> None:
        for table in tables:
            self.pull(table)

    def publish(self, *profiles: ProfileDef, **changes: Any) -> None:
        published = Policy(profiles=profiles, **changes)
        policy.publish(self.database.kept("test"), published)

    def put_in_effect(self, *profiles: ProfileDef, **changes: Any) -> None:
        """Publish, and build what that needs."""
        self.publish(*profiles, **changes)
        self.reconcile()

    def reconcile(self) -> None:
        reconcile.reconcile(self.database.kept("test"))

    def rebuild_rules(self) -> None:
        """Build the rules anew: entries of a build bear no rev of their own."""
        published = policy.published(self.database.kept("test"))
        for profiles in ((), published.profiles):
            self.put_in_effect(*profiles)

    def execute(self, query: str, *parameters: object) -> None:
        self.database.kept("test").execute(query, parameters)

    def values(self, query: str, *parameters: object) -> list[Any]:
        """First column of a query on staging."""
        return [row[0] for row in self.fetch(query, *parameters)]

    def fetch(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.database.kept("test").execute(query, parameters).fetchall()

    @property
    def rev(self) -> int:
        rev: int = self.values("SELECT rev FROM sync.clock")[0]
        return rev

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that staging holds, except for what only says when and who."""
        return {
            table: self.fetch(f"SELECT {columns} FROM {table} t ORDER BY 1")
            for table, columns in (
                *((name, "t::text") for name in self.values(_TABLES)),
                ("sync.clock", "rev, access_rev, rules_rev, horizon"),
                ("sync.source", "name, cursor_link, generation, loading, row_count"),
            )
        }

    def cursor(self, table: str) -> tuple[str | None, str | None]:
        found = self.fetch(
            "SELECT cursor_kind, cursor_link FROM sync.source WHERE name = %s", table
        )
        return found[0][0], found[0][1]

    def status(self, table: str) -> TableStatus:
        return next(s for s in table_status(self.id) if s.table == table)

    def staged_names(self, table: str = "account") -> list[str]:
        return self.values(f"SELECT name FROM data.{table} ORDER BY name")

    def model(self, user: str) -> list[dict[str, Any]]:
        """The tables of a user's client model."""
        document: Any = serving.client_model(self.id, user_id=guid(user)).document
        tables: list[dict[str, Any]] = document["tables"]
        return tables

    def device(self, user: str, *, limits: Limits | None = None) -> TestDevice:
        """A device that has synced once."""
        device = self.new_device(user, limits=limits)
        device.sync()
        return device

    def new_device(self, user: str, *, limits: Limits | None = None) -> TestDevice:
        return TestDevice(self, guid(user), limits=limits)

    def add_table(self, definition: TableDef) -> None:
        """One more table at the source, and in staging."""
        self.source.add_table(definition)
        self.tables = (*self.tables, definition)
        schema.create_missing(self.database.kept("test"), [definition])

    def redefine(self, definition: TableDef) -> Followed:
        """A table looks different at the source, and its metadata is read."""
        self.change_source(definition)
        return self.read_metadata()

    def change_source(self, definition: TableDef) -> None:
        """A table looks different at the source, and nobody has noticed."""
        self.tables = tuple(
            definition if t.name == definition.name else t for t in self.tables
        )
        self.source.redefine(definition)

    def redefine_without_rules(self, definition: TableDef) -> None:
        """The same, while somebody else is busy with the rules."""
        with self.staging() as busy:
            busy.execute("SELECT pg_advisory_lock(4711)")
            self.redefine(definition)

    def days(self, number: int) -> timedelta:
        return timedelta(days=number)

    def read_metadata(self) -> Followed:
        """Read the metadata of the source as it is now."""
        with self.staging() as conn:
            asked = [t.definition.name for t in registry.tables(conn)]
            return follow_schema.follow(conn, self.tables, asked=asked)

    def add_row(self, table: str, name: str, *, owner: str, unit: str) -> UUID:
        key = guid(f"{table} {name}")
        self.source.put(
            table,
            key,
            name=name,
            ownerid=str(guid(owner)),
            owningbusinessunit=str(guid(unit)),
        )
        return key

    def hire(self, name: str, *, unit: str, **depths: int) -> UUID:
        """A new user with a role of his own; all of it is replicated."""
        self.add_role(f"{name}'s role", unit="Contoso")
        for table, depth in depths.items():
            self.set_depth(f"{name}'s role", table, depth)
        key = self.add_user(name, unit=unit, roles=[f"{name}'s role"])
        self.pull_these("role", "privilege", "roleprivileges")
        self.pull_these("systemuser", "systemuserroles")
        return key

    def set_depth_of(self, name: str, depth: int, *, table: str = "account") -> None:
        """Change the depth at which somebody hired reads a table."""
        self.set_depth(f"{name}'s role", table, depth)
        self.pull("roleprivileges")

    def hand_over(self, account: str, *, to: str) -> None:
        self.source.put("account", guid(account), ownerid=str(guid(to)))

    def move(self, account: str, *, to_unit: str) -> None:
        self.source.put("account", guid(account), owningbusinessunit=str(guid(to_unit)))


def empty_world(
    database: SharedDatabase, *tables: TableDef, kind: type[World] = World
) -> World:
    """Tables that were never pulled."""
    database.restore("empty")
    schema.create_missing(database.kept("test"), tables)
    return kind(
        database,
        organization=database.register(),
        tables=tables,
        source=FakeDataverse(tables),
    )


_TIMES_SAVED = itertools.count(1)


class SavedWorld:
    """A world that every test finds as it was when it was saved."""

    def __init__(self, world: World, *, name: str) -> None:
        # A runner that shares tests out may come back to a module, and its fixture
        # then saves a second time.
        self._name = f"{name}_{next(_TIMES_SAVED)}"
        self._kind = type(world)
        self._database = world.database
        self._tables = world.tables
        self._source = pickle.dumps(world.source)
        self._leases = world.leases
        world.database.save(self._name)

    def world(self) -> World:
        """The world, in the catalog of the test that asks."""
        return self._restored(self._database.register())

    def varied(self, name: str, change: Callable[[Any], object]) -> SavedWorld:
        """Another one that differs by this change; the change knows no catalog."""
        world = self._restored(self._database.organization)
        change(world)
        return SavedWorld(world, name=name)

    def _restored(self, organization: Organization) -> World:
        self._database.restore(self._name)
        source: FakeDataverse = pickle.loads(self._source)  # noqa: S301  written above
        return self._kind(
            self._database,
            organization=organization,
            tables=self._tables,
            source=source,
            earlier_leases=self._leases,
        )


def saved_contoso(database: SharedDatabase) -> SavedWorld:
    """Contoso as every test finds it, all security loaded, all field tables empty.

    North and South are units of Contoso, Port is one of North. Ada of North and
    Grace of South are salespeople: they read their own rows of every field table.
    The published profile takes all accounts.
    """
    made = World(
        database,
        organization=database.organization,
        tables=CONTOSO_TABLES,
        source=FakeDataverse(CONTOSO_TABLES),
    )
    schema.create_missing(database.kept("test"), CONTOSO_TABLES)
    made.add_unit("Contoso")
    made.add_unit("North", parent="Contoso")
    made.add_unit("South", parent="Contoso")
    made.add_unit("Port", parent="North")
    made.add_role("Salesperson", unit="Contoso")
    for table in FIELD_TABLES:
        made.set_depth("Salesperson", table.name, 1)
    made.add_user("Ada", unit="North", roles=["Salesperson"])
    made.add_user("Grace", unit="South", roles=["Salesperson"])
    made.publish(ALL_ACCOUNTS)
    made.pull_all()
    return SavedWorld(made, name="contoso")
