"""A table of a million rows: what it takes of memory, and of every small change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg

from benchmarks import cpu, worker
from benchmarks.figures import Figure, expect
from benchmarks.pulling import expect_whole_feed, prepare_staging, pull_accounts
from benchmarks.web import (
    Phone,
    last_line,
    outdated_heads,
    serving,
    token,
    trust,
    upserts,
)
from benchmarks.world import World, definitions

FIGURES = ("worker_rss", "delta_size_ratio")
LARGE, SMALL = 1_000_000, 10_000
CHANGED = 100
ROUNDS = 5
# Answers to each of two people in a round: one sees everything, one her region.
ANSWERS = 10
PEOPLE = ("barbara@contoso.example", "yuki@contoso.example")


def figures(world: World) -> Iterator[Figure]:
    """worker_rss while a million rows are loaded, then delta_size_ratio."""
    with _loaded(world, LARGE) as (organization, figure):
        yield figure
        large = _cost_of_changes(world, organization, LARGE)
    with _loaded(world, SMALL) as (organization, _):
        small = _cost_of_changes(world, organization, SMALL)
    yield Figure(
        name="delta_size_ratio",
        value=large.cpu / small.cpu,
        unit="ratio",
        target=1.3,
        at_most=True,
        wall=large.wall + small.wall,
        note=f"({large.told()}) / ({small.told()}) CPU-s of pulls + answers",
    )


@contextmanager
def _loaded(world: World, scale: int) -> Iterator[tuple[UUID, Figure]]:
    """An organization whose accounts a worker has loaded, and what that took."""
    with world.sandbox(scale), worker.running(world) as process:
        organization = world.organization(_name(scale))
        prepare_staging(world, organization)
        names = [table.name for table in definitions(world.source())]
        worker.load(organization, [name for name in names if name != "account"])
        began, before = time.monotonic(), world.cpu_seconds(process)
        worker.load(organization, ["account"])
        wall = time.monotonic() - began
        rate = scale / (world.cpu_seconds(process) - before)
        expect_whole_feed(organization, scale)
        figure = Figure(
            name="worker_rss",
            value=cpu.largest_rss(process) / 1e6,
            unit="MB",
            target=300,
            at_most=True,
            wall=wall,
            note=f"{scale:,} rows at {rate:,.0f} rows/CPU-s",
        )
        yield organization, figure


def _name(scale: int) -> str:
    return f"contoso-{scale}"


@dataclass(slots=True)
class _Cost:
    """CPU seconds of all rounds, and how long they took."""

    pulls: float = 0.0
    answers: float = 0.0
    wall: float = 0.0

    @property
    def cpu(self) -> float:
        return self.pulls + self.answers

    def told(self) -> str:
        return f"{self.pulls:.2f} + {self.answers:.2f}"


def _cost_of_changes(world: World, organization: UUID, scale: int) -> _Cost:
    """What it takes to pull 100 changes and to tell devices of them, a few times."""
    source = world.source()
    trust(world, organization)
    _tidy(organization)
    cost = _Cost()
    with serving() as web:
        devices = [
            _Device.of(Phone(_name(scale), token(world, person=person)))
            for person in PEOPLE
        ]
        for ids in _accounts_by_round(organization):
            world.edit_these(ids)
            began, before = time.monotonic(), world.cpu_seconds()
            pulled = pull_accounts(world, organization, source)
            cost.pulls += world.cpu_seconds() - before
            cost.wall += time.monotonic() - began
            expect(pulled == CHANGED, f"{pulled} rows pulled instead of {CHANGED}.")
            outdated_heads()
            began, before = time.monotonic(), _serving_seconds(world, web)
            found = [device.ask(ANSWERS) for device in devices]
            cost.answers += _serving_seconds(world, web) - before
            cost.wall += time.monotonic() - began
            expect(
                found[0] == CHANGED and 0 < found[1] < CHANGED,
                f"Devices heard of {found} rows instead of {CHANGED} and some.",
            )
    return cost


def _serving_seconds(world: World, web: int) -> float:
    return cpu.seconds(world.postgres, world.redis, web)


@dataclass(slots=True)
class _Device:
    phone: Phone
    checkpoint: str

    @classmethod
    def of(cls, phone: Phone) -> _Device:
        """A device that holds all there is so far."""
        phone.register()
        _, checkpoint = phone.download()
        return cls(phone, checkpoint)

    def ask(self, times: int) -> int:
        """Hear so often of the same changes, then store them; how many rows."""
        answers = [self.phone.changes(self.checkpoint) for _ in range(times)]
        body = self.phone.decoded(answers[-1])
        self.checkpoint = str(last_line(body)["checkpoint"])
        return upserts(body)


def _tidy(organization: UUID) -> None:
    """Do now what the load leaves to the server's quiet hours."""
    from django.conf import settings

    from replication.staging import connections

    with connections.opened(organization) as conn:
        conn.execute("VACUUM (ANALYZE)")
    with psycopg.connect(settings.STAGING_SERVER_URL, autocommit=True) as admin:
        admin.execute("CHECKPOINT")


def _accounts_by_round(organization: UUID) -> list[list[str]]:
    """Accounts from all over the table, the same ones every time."""
    from replication.staging import connections

    with connections.opened(organization) as conn:
        rows = conn.execute(
            "SELECT (SELECT a.accountid::text FROM data.account a"
            " WHERE a.accountid >= md5(n::text)::uuid ORDER BY a.accountid LIMIT 1)"
            " FROM generate_series(1, %s) n",
            (2 * ROUNDS * CHANGED,),
        ).fetchall()
    found = list(dict.fromkeys(account for (account,) in rows if account))
    return [found[n * CHANGED : (n + 1) * CHANGED] for n in range(ROUNDS)]
