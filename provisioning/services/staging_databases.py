"""Create and drop the staging database of an organization, with its own role.

CREATE DATABASE is not transactional, so every step looks at what is there and may
be repeated after a crash. All of them run on one connection that holds the
organization's advisory lock on the staging server: who loses the connection has
lost the lock, and cannot go on either.
"""

from __future__ import annotations

import secrets as random_text
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import psycopg
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from psycopg import sql
from psycopg.conninfo import make_conninfo

from project.errors import MisconfiguredError, TransientError
from provisioning.failpoints import reach
from provisioning.models import DatabaseServer, Organization
from provisioning.secrets import seal, unseal

PREFIX = "org_"
TEMPORARY_SUFFIX = "_new"
CONNECT_SECONDS = 10
# Fuses, so that one organization cannot use up a server that others share.
CONNECTION_LIMIT = 50
ROLE_SETTINGS = {
    "statement_timeout": "10min",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}

Connection = psycopg.Connection[tuple[object, ...]]
Seed = Callable[[Connection], None]


class StagingServerUnavailableError(TransientError):
    """The staging server did not answer, or broke off."""

    code = "staging_server_unavailable"


class StagingServerBusyError(TransientError):
    """Another worker is creating or dropping this organization's database."""

    code = "staging_server_busy"


class StagingServerRefusedError(MisconfiguredError):
    """The staging server does not let its administrator do what is needed."""

    code = "staging_server_refused"


def conninfo(organization: Organization) -> str:
    """Return how to connect to the staging database as its own role.

    The text holds a password: it belongs in no log and no message.
    """
    return _conninfo_to(organization, database=organization.database_name)


def assign(organization: Organization) -> None:
    """Give a locked organization its server, names and password, once."""
    if organization.server_id is not None:
        return
    name = PREFIX + organization.pk.hex
    password = random_text.token_urlsafe(32).encode()
    organization.server = _free_server()
    organization.database_name = organization.role_name = name
    organization.role_password_sealed = seal(
        password, identity=organization.role_password_identity
    )
    organization.save(
        update_fields=["server", "database_name", "role_name", "role_password_sealed"]
    )


def create(organization: Organization) -> None:
    """Create role and database, seed it, and give it its name only then.

    Repeatable: what an interrupted attempt left behind is completed or made anew.

    :raises TransientError: the server is unreachable, or another worker is at it.
    :raises MisconfiguredError: the server refuses.
    """
    with _administering(organization) as admin:
        _ensure_role(admin, organization)
        reach("provisioning.role_created")
        if not _database_exists(admin, organization.database_name):
            _create_database(admin, organization)
        reach("provisioning.database_named")


def drop(organization: Organization) -> None:
    """Drop database and role, whatever of them is there. Repeatable.

    :raises TransientError: the server is unreachable, or another worker is at it.
    :raises MisconfiguredError: the server refuses.
    """
    with _administering(organization) as admin:
        for database in (organization.database_name, _temporary_name(organization)):
            if _database_exists(admin, database):
                _drop_database(admin, database)
        reach("provisioning.database_dropped")
        if _role_exists(admin, organization.role_name):
            role = sql.Identifier(organization.role_name)
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


def orphans(server: DatabaseServer) -> list[str]:
    """Return the databases with our prefix that no organization claims."""
    claimed = set(
        Organization.objects.filter(server=server)
        .exclude(state=Organization.State.DEPROVISIONED)
        .values_list("database_name", flat=True)
    )
    with _connection(admin_url(server), autocommit=True) as admin:
        rows = admin.execute(
            "SELECT datname::text FROM pg_database"
            " WHERE starts_with(datname::text, %s) ORDER BY 1",
            [PREFIX],
        )
        names = [cast("str", name) for (name,) in rows]
    return [
        name for name in names if name.removesuffix(TEMPORARY_SUFFIX) not in claimed
    ]


def admin_url(server: DatabaseServer) -> str:
    sealed = bytes(server.admin_url_sealed)
    if not sealed:
        url: str = settings.STAGING_SERVER_URL
        return url
    return unseal(sealed, identity=server.admin_url_identity).decode()


def _free_server() -> DatabaseServer:
    """Pick a server, or register the one that the settings name as the first."""
    free = DatabaseServer.objects.filter(accepts_organizations=True)
    # The least used of a pool that is small; counted only when one is created.
    server = min(free, key=lambda server: server.organization_set.count(), default=None)
    if server is None and DatabaseServer.objects.exists():
        raise StagingServerRefusedError("No database server accepts organizations.")
    if server is None:
        with transaction.atomic():
            server, _ = DatabaseServer.objects.get_or_create(name="default")
    return server


def _create_database(admin: Connection, organization: Organization) -> None:
    temporary = _temporary_name(organization)
    if _database_exists(admin, temporary):
        # Half-seeded by an attempt that died; its rest is not worth knowing.
        _drop_database(admin, temporary)
    names = {
        "database": sql.Identifier(temporary),
        "role": sql.Identifier(organization.role_name),
        "final": sql.Identifier(organization.database_name),
    }
    admin.execute(
        sql.SQL(
            "CREATE DATABASE {database} OWNER {role} TEMPLATE template0"
            " ENCODING 'UTF8' LOCALE 'C'"
        ).format(**names)
    )
    reach("provisioning.database_created")
    admin.execute(
        sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names)
    )
    _seed(organization, database=temporary)
    reach("provisioning.database_seeded")
    admin.execute(
        sql.SQL("ALTER DATABASE {database} RENAME TO {final}").format(**names)
    )


def _seed(organization: Organization, *, database: str) -> None:
    install = _seed_named(settings.STAGING_SEED)
    url = _conninfo_to(organization, database=database)
    with _connection(url, autocommit=False) as own:
        install(own)
        own.commit()


def _seed_named(path: str) -> Seed:
    try:
        return cast("Seed", import_string(path))
    except ImportError as error:
        message = f"STAGING_SEED names {path}, which cannot be imported."
        raise StagingServerRefusedError(message) from error


def _ensure_role(admin: Connection, organization: Organization) -> None:
    name = organization.role_name
    role = sql.Identifier(name)
    if not _role_exists(admin, name):
        admin.execute(sql.SQL("CREATE ROLE {}").format(role))
    # Iterations make up for passwords that can be guessed. This one is random, and each
    # connection would pay 2 ms of CPU for them.
    admin.execute("SET scram_iterations = 1")
    # A verifier instead of the password, which would show in the server's log.
    verifier = admin.pgconn.encrypt_password(
        _password(organization).encode(), name.encode(), b"scram-sha-256"
    )
    admin.execute(
        sql.SQL("ALTER ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {}").format(
            role,
            sql.Literal(CONNECTION_LIMIT),
            verifier.decode(),
        )
    )
    for setting, value in ROLE_SETTINGS.items():
        admin.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                role, sql.Identifier(setting), value
            )
        )
    _join_role(admin, role)


def _join_role(admin: Connection, role: sql.Identifier) -> None:
    """Let an administrator who is no superuser own things on the role's behalf."""
    found = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if found.fetchone() == (False,):
        admin.execute(
            sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(role)
        )


def _drop_database(admin: Connection, name: str) -> None:
    database = sql.Identifier(name)
    # Workers connect again at once; closing the door first makes FORCE final.
    admin.execute(
        sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(database)
    )
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def _database_exists(admin: Connection, name: str) -> bool:
    found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    return found.fetchone() is not None


def _role_exists(admin: Connection, name: str) -> bool:
    found = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    return found.fetchone() is not None


def _temporary_name(organization: Organization) -> str:
    return organization.database_name + TEMPORARY_SUFFIX


def _password(organization: Organization) -> str:
    sealed = bytes(organization.role_password_sealed)
    return unseal(sealed, identity=organization.role_password_identity).decode()


def _server_of(organization: Organization) -> DatabaseServer:
    if organization.server is None:
        message = f"Organization {organization.pk} has no database server yet."
        raise StagingServerRefusedError(message)
    return organization.server


def _conninfo_to(organization: Organization, *, database: str) -> str:
    return make_conninfo(
        admin_url(_server_of(organization)),
        dbname=database,
        user=organization.role_name,
        password=_password(organization),
        connect_timeout=CONNECT_SECONDS,
    )


@contextmanager
def _administering(organization: Organization) -> Iterator[Connection]:
    url = admin_url(_server_of(organization))
    with _connection(url, autocommit=True) as admin:
        lock = admin.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
            [f"waystation {organization.pk}"],
        )
        if lock.fetchone() != (True,):
            message = f"Another worker holds the database of {organization.pk}."
            raise StagingServerBusyError(message)
        yield admin


@contextmanager
def _connection(url: str, *, autocommit: bool) -> Iterator[Connection]:
    """Connect, and say of every failure whether waiting or an operator cures it."""
    try:
        with psycopg.connect(
            make_conninfo(url, connect_timeout=CONNECT_SECONDS), autocommit=autocommit
        ) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise StagingServerUnavailableError(_told(error)) from error
    except psycopg.Error as error:
        raise StagingServerRefusedError(_told(error)) from error


def _told(error: psycopg.Error) -> str:
    # The whole message of a failed statement quotes the statement, its primary
    # one does not. A failed connection has the whole one only.
    told = error.diag.message_primary or str(error) or type(error).__name__
    return f"The staging server said: {told}."
