"""Connections to the staging databases of organizations.

Workers open one per pull. The web process keeps a few idle ones; a pool per
organization would cost threads that a thousand organizations cannot share.
"""

from __future__ import annotations

import select
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from django.conf import settings
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from project.errors import SyncError, TransientError
from provisioning import queries
from provisioning.models import Organization
from provisioning.services import staging_databases
from replication.staging import install

CONNECT_TIMEOUT_SECONDS = 5
IDLE_SECONDS = 30.0
# Of connections that pulls have used.
LENT_SECONDS = 10.0

# Chunks of a download are read by row id; at the default price of a random page
# the planner would rather read the whole table for each.
_OPTIONS = (
    "-c timezone=UTC -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
    " -c random_page_cost=1.1"
)


class StagingUnavailableError(TransientError):
    """The organization's database does not answer."""

    code = "staging_unavailable"


def connect(organization_id: UUID) -> psycopg.Connection:
    """Open an autocommit connection as the organization's own role.

    :raises StagingUnavailableError: the server does not answer.
    """
    return _connect(queries.organization(organization_id))


def _connect(organization: Organization) -> psycopg.Connection:
    conninfo = staging_databases.conninfo(organization)
    try:
        conn = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="waystation",
            options=_OPTIONS,
        )
        _bring_up_to_date(conn)
    except psycopg.OperationalError as error:
        message = f"Staging of organization {organization.pk} is unavailable."
        raise StagingUnavailableError(message) from error
    return conn


def _bring_up_to_date(conn: psycopg.Connection) -> None:
    try:
        install.bring_up_to_date(conn)
    except psycopg.Error:
        conn.close()
        raise


@contextmanager
def opened(organization_id: UUID) -> Iterator[psycopg.Connection]:
    """A connection for one piece of work, closed afterwards."""
    conn = connect(organization_id)
    try:
        yield conn
    finally:
        conn.close()


class _IdleConnections:
    """Open connections that nobody uses, up to a limit, oldest out first.

    A new connection costs as much as twenty polls, and every organization whose
    devices poll needs one each time its head grows old.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._idle: OrderedDict[psycopg.Connection, tuple[UUID, float]] = OrderedDict()

    def take(self, organization_id: UUID) -> psycopg.Connection | None:
        with self._lock:
            for conn, (owner, _) in reversed(self._idle.items()):
                if owner == organization_id:
                    del self._idle[conn]
                    if _is_silent(conn):
                        return conn
                    conn.close()
        return None

    def give_back(self, organization_id: UUID, conn: psycopg.Connection) -> None:
        with self._lock:
            self._idle[conn] = (organization_id, time.monotonic())
        self._close_stale()

    def forget(self, organization_id: UUID) -> None:
        with self._lock:
            mine = [
                c for c, (owner, _) in self._idle.items() if owner == organization_id
            ]
            for conn in mine:
                del self._idle[conn]
        for conn in mine:
            conn.close()

    def _close_stale(self) -> None:
        stale = []
        oldest_allowed = time.monotonic() - self._seconds
        with self._lock:
            for conn, (_, since) in list(self._idle.items()):
                if (
                    since < oldest_allowed
                    or len(self._idle) > settings.STAGING_CONNECTIONS
                ):
                    del self._idle[conn]
                    stale.append(conn)
        for conn in stale:
            conn.close()


def _is_silent(conn: psycopg.Connection) -> bool:
    """Whether the server has said nothing since: its last word is that it goes away."""
    waiting = select.poll()
    waiting.register(conn.fileno(), select.POLLIN)
    return not waiting.poll(0)


_idle = _IdleConnections(seconds=IDLE_SECONDS)
_lent = _IdleConnections(seconds=LENT_SECONDS)


@contextmanager
def lent(organization: Organization) -> Iterator[psycopg.Connection]:
    """A connection for one pull, which another table's pull may have used before.

    Tables of one organization tend to be due together, and to open a connection costs
    more than a pull that brings nothing.
    """
    conn = _lent.take(organization.pk)
    if conn is not None and conn.info.dbname != organization.database_name:
        conn.close()
        conn = None
    conn = conn or _connect(organization)
    try:
        yield conn
    except BaseException:
        conn.close()
        raise
    if conn.info.transaction_status is TransactionStatus.IDLE:
        _lent.give_back(organization.pk, conn)
    else:
        conn.close()


@contextmanager
def reading(organization_id: UUID) -> Iterator[psycopg.Connection]:
    """A connection from the idle ones, or a new one; autocommit.

    :raises StagingUnavailableError: the server does not answer or went away.
    """
    conn = _idle.take(organization_id) or connect(organization_id)
    try:
        yield conn
    except psycopg.OperationalError as error:
        # The server may have restarted: the other idle ones are suspect too.
        _idle.forget(organization_id)
        conn.close()
        message = f"Staging of organization {organization_id} went away."
        raise StagingUnavailableError(message) from error
    except SyncError:
        # A refusal says nothing about the connection that it was found out on.
        _give_back_unused(organization_id, conn)
        raise
    except BaseException:
        conn.close()
        raise
    _idle.give_back(organization_id, conn)


def _give_back_unused(organization_id: UUID, conn: psycopg.Connection) -> None:
    if conn.info.transaction_status is TransactionStatus.IDLE:
        _idle.give_back(organization_id, conn)
    else:
        conn.close()


@contextmanager
def snapshot(conn: psycopg.Connection, *, read_only: bool = True) -> Iterator[None]:
    """One consistent cut of the staging database, and one transaction."""
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    conn.read_only = read_only
    try:
        with conn.transaction():
            yield
    finally:
        if not conn.closed:
            conn.isolation_level = None
            conn.read_only = None


def forget(organization_id: UUID) -> None:
    """Close the idle connections of an organization that goes away."""
    _idle.forget(organization_id)
    _lent.forget(organization_id)
