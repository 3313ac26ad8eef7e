"""Taking data in: rows per CPU-second of worker, PostgreSQL and Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from benchmarks.figures import Figure
from benchmarks.world import World, definitions
from replication.domain.profiles import Assignments, Policy, ProfileDef, ProfileItem

ACCOUNTS = 200_000
CHANGED = 20_000

EVERYONES_ACCOUNTS = Policy(
    profiles=(
        ProfileDef(
            name="Field",
            items=(ProfileItem(table="account"),),
            assignments=Assignments(everyone=True),
        ),
    )
)


def figures(world: World) -> Iterator[Figure]:
    """full_load, unchanged_rows and changed_rows, on one organization."""
    from replication.odata.client import ODataSource

    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):
        assert isinstance(source, ODataSource)

        def pull(*, resync: bool = False) -> Callable[[], int]:
            return lambda: _pull(world, organization, source, resync=resync)

        yield _measured(world, "full_load", 35_000, ACCOUNTS, pull())
        _check_feed(organization)
        yield _measured(world, "unchanged_rows", 60_000, ACCOUNTS, pull(resync=True))
        world.edit_accounts(CHANGED)
        yield _measured(world, "changed_rows", 10_000, CHANGED, pull())


@contextmanager
def loaded_security(world: World) -> Iterator[tuple[UUID, object]]:
    """An organization with its people, and the profile that takes accounts along."""
    from replication.staging import connections, schema
    from replication.visibility import policy

    source = world.source()
    organization = world.organization("contoso")
    tables = definitions(source)
    with connections.opened(organization) as conn:
        schema.create_missing(conn, tables)
        policy.publish(conn, EVERYONES_ACCOUNTS)
    for table in tables:
        if table.name != "account":
            with connections.opened(organization) as conn:
                world.pull(conn, source, table.name)
    yield organization, source


def _measured(
    world: World, name: str, target: float, rows: int, act: Callable[[], int]
) -> Figure:
    began, cpu_before = time.monotonic(), world.cpu_seconds()
    done = act()
    cpu = world.cpu_seconds() - cpu_before
    assert done == rows, f"{name}: {done} rows instead of {rows}"
    return Figure(
        name=name,
        value=rows / cpu,
        unit="rows/CPU-s",
        target=target,
        wall=time.monotonic() - began,
    )


def pull_accounts(world: World, organization: UUID, source: object) -> int:
    """Bring the accounts up to date; how many rows were written."""
    return _pull(world, organization, source, resync=False)


def _pull(world: World, organization: UUID, source: object, *, resync: bool) -> int:
    from replication.odata.client import ODataSource
    from replication.staging import connections

    assert isinstance(source, ODataSource)
    with connections.opened(organization) as conn:
        pulled = world.pull(conn, source, "account", resync=resync)
    return pulled.unchanged if resync else pulled.written


def _check_feed(organization: UUID) -> None:
    from replication.staging import connections

    with connections.opened(organization) as conn:
        rows = conn.execute(
            "SELECT r.shape, count(DISTINCT f.row_id) FROM sync.rule r"
            " JOIN sync.feed f ON f.rule = r.id WHERE f.live GROUP BY r.shape"
        ).fetchall()
    assert dict(rows).get("base") == ACCOUNTS, f"The feed is not whole: {rows}"
