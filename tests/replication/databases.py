"""Staging databases that many tests use in turn, each of them as if it were new.

Creating a database costs a test more than everything that it does with it. So a
session creates few, saves what is in them, and puts that back before each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from django.conf import settings
from psycopg import sql

from provisioning.models import DatabaseServer, Organization
from provisioning.secrets import seal
from provisioning.services import staging_databases
from replication.staging import connections

_OPTIONS = "-c timezone=UTC -c lock_timeout=20s"
# Of the connections that an organization's role may have, threads need some.
_KEPT = 25

# What is saved is a copy of every table. The feed itself is only the parent of its
# partitions, which are tables of their own.
_TABLES = (
    "SELECT schemaname, tablename FROM pg_tables"
    " WHERE schemaname IN ('data', 'sync') AND tablename <> 'feed'"
    # Rules refer to tables: they go first and come last.
    " ORDER BY tablename <> 'rule'"
)


class SharedDatabase:
    """One organization's staging database, and connections that outlive a test."""

    def __init__(self, name: str) -> None:
        identity = uuid4()
        self.organization = Organization(
            id=identity,
            unique_name=name,
            display_name=name.title(),
            endpoint="https://contoso.example/api/data/v9.2",
            kind="dataverse",
            state=Organization.State.ACTIVE,
            server=DatabaseServer(name="default"),
            database_name=f"org_{identity.hex}",
            role_name=f"org_{identity.hex}",
        )
        self.organization.role_password_sealed = seal(
            identity.hex.encode(), identity=self.organization.role_password_identity
        )
        staging_databases.create(self.organization)
        self.conninfo = staging_databases.conninfo(self.organization)
        self._kept: dict[object, psycopg.Connection] = {}
        self._saved: dict[str, tuple[list[tuple[str, str]], sql.Composed]] = {}

    def register(self) -> Organization:
        """Tell the catalog of this test about the organization."""
        server = DatabaseServer.objects.create(name="default")
        fields = {
            field.attname: getattr(self.organization, field.attname)
            for field in Organization._meta.concrete_fields
            if field.attname not in {"server_id", "created_at"}
        }
        return Organization.objects.create(**fields, server=server)

    def connect(self, kind: type[psycopg.Connection] = psycopg.Connection) -> Any:
        """A new connection as the organization's own role, autocommit."""
        return kind.connect(self.conninfo, autocommit=True, options=_OPTIONS)

    def kept(self, purpose: object) -> psycopg.Connection:
        """A connection that the next test finds open, one for each purpose.

        Pulls have one per table, because their temporary tables look like it.
        """
        conn = self._kept.pop(purpose, None)
        if conn is None or conn.closed:
            conn = self.connect()
        self._kept[purpose] = conn
        if len(self._kept) > _KEPT:
            self.discard(next(iter(self._kept)))
        return conn

    def discard(self, purpose: object) -> None:
        self._kept.pop(purpose).close()

    def disconnect(self) -> None:
        connections.forget(self.organization.id)
        while self._kept:
            self._kept.popitem()[1].close()

    def drop(self) -> None:
        self.disconnect()
        staging_databases.drop(self.organization)

    @contextmanager
    def copied(self) -> Iterator[str]:
        """The name of a copy of the whole database, as a restore would make one."""
        self.disconnect()
        name = f"{self.organization.database_name}_copy"
        names = {
            "copy": sql.Identifier(name),
            "role": sql.Identifier(self.organization.role_name),
            "original": sql.Identifier(self.organization.database_name),
        }
        with psycopg.connect(settings.STAGING_SERVER_URL, autocommit=True) as admin:
            admin.execute(
                sql.SQL(
                    "CREATE DATABASE {copy} OWNER {role} TEMPLATE {original}"
                    " STRATEGY file_copy"
                ).format(**names)
            )
            try:
                yield name
            finally:
                connections.forget(self.organization.id)
                admin.execute(sql.SQL("DROP DATABASE {copy}").format(**names))

    def save(self, name: str) -> None:
        """Remember the present content; `restore` brings it back."""
        conn = self.kept("restore")
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        tables = conn.execute(_TABLES).fetchall()
        delete = [sql.SQL("DELETE FROM {};").format(sql.Identifier(*t)) for t in tables]
        insert = []
        for schema, table in reversed(tables):
            original, saved = sql.Identifier(schema, table), sql.Identifier(name, table)
            copy = sql.SQL(
                "INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE"
                " SELECT {columns} FROM {source};"
            )
            columns = _stored_columns(conn, schema, table)
            conn.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    saved, original
                )
            )
            conn.execute(copy.format(into=saved, source=original, columns=columns))
            insert.append(copy.format(into=original, source=saved, columns=columns))
        # What this process remembers of the last test stands under its epoch.
        epoch = sql.SQL("UPDATE sync.clock SET epoch = gen_random_uuid();")
        self._saved[name] = (tables, sql.Composed([*delete, *insert, epoch]))

    def restore(self, name: str) -> None:
        conn = self.kept("restore")
        tables, restoring = self._saved[name]
        with conn.transaction():
            present = conn.execute(_TABLES).fetchall()
            altered = _altered(conn, saved_in=name)
            present = [table for table in present if table not in altered]
            for surplus in altered:
                conn.execute(
                    sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*surplus))
                )
            for surplus in set(present) - set(tables):
                conn.execute(
                    sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*surplus))
                )
            for missing in set(tables) - set(present):
                self._create_again(conn, missing, saved_in=name)
            conn.execute(restoring)

    def _create_again(
        self, conn: psycopg.Connection, table: tuple[str, str], *, saved_in: str
    ) -> None:
        _, name = table
        conn.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                sql.Identifier(*table), sql.Identifier(saved_in, name)
            )
        )
        if name.startswith("feed_"):
            conn.execute(
                sql.SQL(
                    "ALTER TABLE sync.feed ATTACH PARTITION {} FOR VALUES IN ({})"
                ).format(sql.Identifier(*table), int(name.removeprefix("feed_")))
            )


def _stored_columns(
    conn: psycopg.Connection, schema: str, table: str
) -> sql.Composable:
    """Those that are not computed from others."""
    found = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = format('%%I.%%I', %s::text, %s::text)"
        "::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        (schema, table),
    )
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)


def _altered(conn: psycopg.Connection, *, saved_in: str) -> list[tuple[str, str]]:
    """Replicated tables whose columns are others than those that were saved."""
    rows = conn.execute(
        "SELECT 'data', n.relname FROM pg_class n JOIN pg_class s USING (relname)"
        " WHERE n.relnamespace = 'data'::regnamespace AND n.relkind = 'r'"
        " AND s.relnamespace = %s::regnamespace AND s.relkind = 'r' AND"
        f" ({_COLUMNS_OF.format('n')}) IS DISTINCT FROM ({_COLUMNS_OF.format('s')})",
        (saved_in,),
    )
    return [(schema, table) for schema, table in rows]


_COLUMNS_OF = (
    "SELECT array_agg(a.attname || ' ' || a.atttypid ORDER BY a.attnum)"
    " FROM pg_attribute a WHERE a.attrelid = {}.oid AND a.attnum > 0"
    " AND NOT a.attisdropped"
)
