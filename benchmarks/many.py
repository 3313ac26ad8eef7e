"""Many organizations behind one web process: polls that bring nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks import cpu
from benchmarks.figures import Figure, measured
from benchmarks.pulling import loaded_security, pull_accounts
from benchmarks.web import Phone, repeated, serving, token, trust
from benchmarks.world import World

if TYPE_CHECKING:
    from provisioning.models import Organization

FIGURES = ("empty_poll_100",)
ORGANIZATIONS = 100
ACCOUNTS = 100
POLLS_EACH = 80


def figures(world: World) -> Iterator[Figure]:
    """empty_poll_100: a device in each of 100 organizations asks in its turn."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (loaded, source):
        pull_accounts(world, loaded, source)
        names = [f"contoso-{number}" for number in range(1, ORGANIZATIONS)]
        copies = _copies(world, loaded, names)
        trust(world, loaded, *copies)
        with serving() as web:
            access = token(world)
            phones = [Phone(name, access) for name in ("contoso", *names)]
            checkpoints = [_downloaded(phone) for phone in phones]

            def poll() -> int:
                last = repeated(phones, checkpoints, times=POLLS_EACH)
                silent = [a for a in last if a.status == HTTPStatus.NO_CONTENT]
                return len(silent) * POLLS_EACH

            yield measured(
                FIGURES[0],
                act=poll,
                expected=ORGANIZATIONS * POLLS_EACH,
                cpu=lambda: cpu.seconds(world.postgres, world.redis, web),
                unit="requests/CPU-s",
                target=3_000,
            )


def _downloaded(phone: Phone) -> str:
    phone.register()
    _, checkpoint = phone.download()
    return checkpoint


def _copies(world: World, loaded: UUID, names: list[str]) -> list[UUID]:
    """Organizations with databases of their own, copied from one that is loaded.

    Loading a hundred over HTTP would take minutes, and the poll cannot tell the
    difference.
    """
    from provisioning.models import Organization

    described = [world.described(name) for name in names]
    copied(Organization.objects.get(pk=loaded), described)
    return [made.id for made in described]


def copied(template: Organization, described: Sequence[Organization]) -> None:
    """Save these organizations, and copy their databases from that of another.

    Provisioning finds the database made already and gives it its role.
    """
    from django.conf import settings

    from provisioning.services import staging_databases

    with psycopg.connect(settings.STAGING_SERVER_URL, autocommit=True) as admin:
        # What its role owns is handed on in each copy, and the database is not.
        _execute(
            admin, "ALTER DATABASE {} OWNER TO CURRENT_USER", template.database_name
        )
        for made in described:
            made.save(force_insert=True)
            staging_databases.assign(made)
            _execute(
                admin,
                "CREATE DATABASE {} TEMPLATE {}",
                made.database_name,
                template.database_name,
            )
            staging_databases.create(made)
            _hand_over(template, made)
        _execute(
            admin,
            "ALTER DATABASE {} OWNER TO {}",
            template.database_name,
            template.role_name,
        )


def _hand_over(template: Organization, made: Organization) -> None:
    """Make the new role the owner of its copy, and the copy a database of its own."""
    from django.conf import settings

    from replication.staging import clock, connections

    with psycopg.connect(
        settings.STAGING_SERVER_URL, dbname=made.database_name, autocommit=True
    ) as admin:
        _execute(
            admin, "ALTER DATABASE {} OWNER TO {}", made.database_name, made.role_name
        )
        _execute(
            admin, "REASSIGN OWNED BY {} TO {}", template.role_name, made.role_name
        )
    with connections.opened(made.id) as conn:
        clock.renew_epoch(conn)


def _execute(conn: psycopg.Connection, statement: str, *names: str) -> None:
    conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
