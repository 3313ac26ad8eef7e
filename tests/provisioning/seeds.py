"""A staging seed small enough to see whether it was sown, and once."""

from __future__ import annotations

import psycopg

from provisioning.models import Organization


def install(connection: psycopg.Connection) -> None:
    connection.execute("CREATE SCHEMA sync")
    connection.execute("CREATE TABLE sync.clock (rev bigint NOT NULL)")
    connection.execute("INSERT INTO sync.clock VALUES (0)")


def refuse(connection: psycopg.Connection) -> None:
    connection.execute("SELECT * FROM nowhere")


def suspend_meanwhile(connection: psycopg.Connection) -> None:
    """Sow while an event suspends the organization."""
    install(connection)
    Organization.objects.update(state="suspended", suspended_from="creating")
