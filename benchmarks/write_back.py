"""Edits on their way to the source: per CPU-second, and beside a source that is slow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from benchmarks.figures import Figure, expect, measured
from benchmarks.pulling import loaded_security, pull_accounts
from benchmarks.source import Editor
from benchmarks.world import World
from replication.domain.profiles import Assignments, Policy, ProfileDef, ProfileItem

FIGURES = ("write_back", "write_back_slow_source")
ACCOUNTS = 4_000
DEVICES = 16
EDITS = 100
# The source answers every request so late.
SLOW_SECONDS = 0.1
ADMINISTRATOR = "Hedy Keller"
WRITABLE_ACCOUNTS = Policy(
    profiles=(
        ProfileDef(
            name="Field",
            items=(ProfileItem(table="account", writable=True),),
            assignments=Assignments(everyone=True),
        ),
    )
)


def figures(world: World) -> Iterator[Figure]:
    """Sixteen devices with a hundred edits each, of rows of their own."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):
        pull_accounts(world, organization, source)
        _prepare(world, organization)
        if world.wants("write_back"):
            _accept(organization, "telephone1")
            yield measured(
                "write_back",
                act=lambda: _carry(world, organization),
                expected=DEVICES * EDITS,
                cpu=world.cpu_seconds,
                unit="edits/CPU-s",
                target=250,
            )
            _expect_done(organization)
        if world.wants("write_back_slow_source"):
            pull_accounts(world, organization, source)
            _accept(organization, "websiteurl")
            yield _beside_slow_source(world, organization)
            _expect_done(organization)


def _beside_slow_source(world: World, organization: UUID) -> Figure:
    editor = Editor(world.sandbox_url, world.ca)
    with editor.slowed(SLOW_SECONDS):
        began, before = time.monotonic(), world.cpu_seconds()
        done = _carry(world, organization)
        wall, used = time.monotonic() - began, world.cpu_seconds() - before
    expect(done == DEVICES * EDITS, f"{done} edits instead of {DEVICES * EDITS}")
    return Figure(
        name="write_back_slow_source",
        value=done / wall,
        unit="edits/s",
        target=120,
        wall=wall,
        note=f"{used:.1f} CPU-s",
    )


def _prepare(world: World, organization: UUID) -> None:
    """Let everybody edit accounts, and let the source bear a request of each device."""
    from provisioning import queries
    from provisioning.models import SourceBudget, SourceSlot
    from provisioning.services import budgets
    from replication.odata.marker_install import install
    from replication.services.sources import source_of
    from replication.staging import connections
    from replication.visibility import policy, reconcile

    with connections.opened(organization) as conn:
        policy.publish(conn, WRITABLE_ACCOUNTS)
        reconcile.reconcile(conn)
    known = queries.organization(organization)
    install(source_of(known))
    budget = budgets.budget_of(known)
    SourceBudget.objects.filter(pk=budget).update(window=DEVICES)
    SourceSlot.objects.bulk_create(
        [SourceSlot(budget_id=budget, number=n) for n in range(DEVICES + 1)],
        ignore_conflicts=True,
    )


def _accept(organization: UUID, column: str) -> None:
    """Store edits of rows as they are now, as the web process does."""
    from replication.staging import connections

    with connections.opened(organization) as conn:
        rows = conn.execute(
            "SELECT accountid::text, _version::text FROM data.account"
            " ORDER BY accountid LIMIT %s",
            (DEVICES * EDITS,),
        ).fetchall()
        user = conn.execute(
            "SELECT systemuserid, azureactivedirectoryobjectid FROM data.systemuser"
            " WHERE fullname = %s",
            (ADMINISTRATOR,),
        ).fetchone()
    assert user is not None
    for number in range(DEVICES):
        chosen = rows[number * EDITS : (number + 1) * EDITS]
        _store(organization, user, chosen, column=column)


def _store(
    organization: UUID,
    user: tuple[UUID, UUID],
    rows: Sequence[tuple[str, str]],
    *,
    column: str,
) -> None:
    from replication.domain import mutations as syntax
    from replication.staging import clock, connections, mutations
    from replication.staging.mutations import Uploader

    device = uuid4()
    edits = [
        {
            "id": str(uuid4()),
            "sequence": sequence,
            "op": "update",
            "table": "account",
            "key": key,
            "base_version": version,
            "values": {column: f"555-{sequence:04}"},
        }
        for sequence, (key, version) in enumerate(rows, 1)
    ]
    upload = syntax.decoded(
        json.dumps({"device": str(device), "mutations": edits}).encode()
    )
    new = syntax.fresh(upload.mutations, known={}, place=syntax.Place(next_sequence=1))
    uploader = Uploader(
        device_id=device, user_id=user[0], object_id=user[1], user_name=ADMINISTRATOR
    )
    with connections.opened(organization) as conn, conn.transaction():
        reading = clock.read(conn)
        assert reading is not None
        mutations.know(conn, device_id=device, user_id=user[0], is_new=True)
        mutations.store(conn, new, uploader=uploader, epoch=reading.epoch)


def _carry(world: World, organization: UUID) -> int:
    """Runs until nothing waits; how many outcomes were recorded."""
    from provisioning import queries
    from replication.services.sources import source_of
    from replication.services.write_back import WriteBackOrder, write_back

    known, done = queries.organization(organization), 0
    while True:
        order = WriteBackOrder(
            work_item_id=uuid4(),
            epoch=world.next_epoch(),
            threads=DEVICES,
            time_slice=timedelta(minutes=5),
            renew=lambda: None,
        )
        run = write_back(known, source_of(known), order)
        done += run.settled
        if not run.settled and not run.has_more:
            return done


def _expect_done(organization: UUID) -> None:
    from replication.staging import connections

    with connections.opened(organization) as conn:
        statuses = conn.execute(
            "SELECT DISTINCT status, outcome ? 'uncertain' FROM sync.mutation"
        ).fetchall()
    expect(statuses == [("applied", False)], f"Outcomes are {statuses}.")
