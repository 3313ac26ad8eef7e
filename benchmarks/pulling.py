"""Taking data in: rows per CPU-second of worker, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from benchmarks.figures import Figure, expect, measured
from benchmarks.world import World, definitions
from replication.domain.profiles import Assignments, Policy, ProfileDef, ProfileItem

FIGURES = ("full_load", "unchanged_rows", "changed_rows")
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
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):

        def pull(*, resync: bool = False) -> Callable[[], int]:
            return lambda: _pull(world, organization, source, resync=resync)

        yield _measured(world, "full_load", 35_000, ACCOUNTS, pull())
        expect_whole_feed(organization, ACCOUNTS)
        if world.wants("unchanged_rows"):
            yield _measured(
                world, "unchanged_rows", 60_000, ACCOUNTS, pull(resync=True)
            )
        if world.wants("changed_rows"):
            before = head(organization)
            world.edit_accounts(CHANGED)
            figure = _measured(world, "changed_rows", 10_000, CHANGED, pull())
            _expect_new_revs(organization, before, CHANGED)
            yield figure


@contextmanager
def loaded_security(world: World) -> Iterator[tuple[UUID, object]]:
    """An organization with its people, and the profile that takes accounts along."""
    source = world.source()
    organization = world.organization("contoso")
    prepare_staging(world, organization)
    for table in definitions(source):
        if table.name != "account":
            pull_table(world, organization, source, table.name)
    yield organization, source


def prepare_staging(world: World, organization: UUID) -> None:
    """Create the tables, and publish the profile that takes accounts along."""
    from replication.staging import connections, schema
    from replication.visibility import policy

    with connections.opened(organization) as conn:
        schema.create_missing(conn, definitions(world.source()))
        policy.publish(conn, EVERYONES_ACCOUNTS)


def pull_table(world: World, organization: UUID, source: object, table: str) -> int:
    """Bring the table up to date; how many rows were written."""
    from replication.odata.client import ODataSource
    from replication.staging import connections

    assert isinstance(source, ODataSource)
    with connections.opened(organization) as conn:
        return world.pull(conn, source, table).written


def pull_accounts(world: World, organization: UUID, source: object) -> int:
    """Bring the accounts up to date; how many rows were written."""
    return pull_table(world, organization, source, "account")


def head(organization: UUID) -> int:
    """The rev of the organization's clock."""
    from replication.staging import connections

    with connections.opened(organization) as conn:
        row = conn.execute("SELECT rev FROM sync.clock").fetchone()
    assert row is not None
    return int(row[0])


def expect_whole_feed(organization: UUID, accounts: int) -> None:
    """:raises WrongAnswerError: some account is not handed out to everybody."""
    rows = _live_rows(organization, after=-1)
    expect(rows == accounts, f"The feed has {rows} accounts instead of {accounts}.")


def _expect_new_revs(organization: UUID, before: int, changed: int) -> None:
    rows = _live_rows(organization, after=before)
    expect(rows == changed, f"The feed has {rows} changes instead of {changed}.")


def _live_rows(organization: UUID, *, after: int) -> int:
    """Rows of the rule for everything, owner and unit with a rev beyond `after`."""
    from replication.staging import connections

    with connections.opened(organization) as conn:
        row = conn.execute(
            "SELECT count(DISTINCT f.row_id) FROM sync.rule r"
            " JOIN sync.feed f ON f.rule = r.id"
            " WHERE r.shape = 'base' AND f.live AND f.rev > %s",
            (after,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _measured(
    world: World, name: str, target: float, rows: int, act: Callable[[], int]
) -> Figure:
    return measured(
        name,
        act=act,
        expected=rows,
        cpu=world.cpu_seconds,
        unit="rows/CPU-s",
        target=target,
    )


def _pull(world: World, organization: UUID, source: object, *, resync: bool) -> int:
    from replication.odata.client import ODataSource
    from replication.staging import connections

    assert isinstance(source, ODataSource)
    with connections.opened(organization) as conn:
        pulled = world.pull(conn, source, "account", resync=resync)
    return pulled.unchanged if resync else pulled.written
