"""Handing data out: rows and requests per CPU-second of web, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from benchmarks import cpu
from benchmarks.figures import Figure, expect, measured
from benchmarks.pulling import loaded_security, pull_accounts
from benchmarks.web import (
    Phone,
    outdated_heads,
    repeated,
    serving,
    token,
    trust,
    upserts,
)
from benchmarks.world import World

# What a first download is called, its coding, and its target.
_DOWNLOADS = (
    ("first_download", "identity", 120_000),
    ("first_download_gzip", "gzip", None),
    ("first_download_zstd", "zstd", 90_000),
)
# Changed rows, and how many requests for them per CPU-second.
_DELTAS = ((10, 1_500), (100, 600))

FIGURES = (
    *(name for name, _, _ in _DOWNLOADS),
    "empty_poll",
    *(f"delta_{rows}" for rows, _ in _DELTAS),
)
ACCOUNTS = 100_000
EMPTY_POLLS = 4_000
DELTAS = 500


def figures(world: World) -> Iterator[Figure]:
    """First downloads by coding, empty polls, and small deltas."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):
        pull_accounts(world, organization, source)
        trust(world, organization)
        with serving() as web:
            bench = _Bench(world, web)
            for name, coding, target in _DOWNLOADS:
                # The last one leaves the checkpoint that the others begin from.
                yield bench.first_download(coding, name, target)
            if world.wants("empty_poll"):
                yield bench.empty_polls()
            for rows, target in _DELTAS:
                world.edit_accounts(rows)
                pull_accounts(world, organization, source)
                outdated_heads()
                yield bench.deltas(rows, target)


class _Bench:
    def __init__(self, world: World, web: int) -> None:
        self._world = world
        self._web = web
        self._token = token(world)
        self._phone = Phone("contoso", self._token, coding="zstd")
        self._checkpoint = ""

    def first_download(self, coding: str, name: str, target: float | None) -> Figure:
        phone = Phone("contoso", self._token, coding=coding)
        phone.register()
        checkpoint = ""

        def download() -> int:
            nonlocal checkpoint
            rows, checkpoint = phone.download()
            return rows

        figure = self._measured(name, target, "rows/CPU-s", ACCOUNTS, download)
        self._phone, self._checkpoint = phone, checkpoint
        return figure

    def empty_polls(self) -> Figure:
        def poll() -> int:
            (last,) = repeated([self._phone], [self._checkpoint], times=EMPTY_POLLS)
            return EMPTY_POLLS if last.status == HTTPStatus.NO_CONTENT else 0

        return self._measured("empty_poll", 3_000, "requests/CPU-s", EMPTY_POLLS, poll)

    def deltas(self, rows: int, target: float) -> Figure:
        def poll() -> int:
            (last,) = repeated([self._phone], [self._checkpoint], times=DELTAS)
            found = upserts(self._phone.decoded(last))
            expect(found == rows, f"A delta brought {found} rows instead of {rows}.")
            return DELTAS

        return self._measured(f"delta_{rows}", target, "requests/CPU-s", DELTAS, poll)

    def _measured(
        self,
        name: str,
        target: float | None,
        unit: str,
        expected: int,
        act: Callable[[], int],
    ) -> Figure:
        return measured(
            name, act=act, expected=expected, cpu=self._cpu, unit=unit, target=target
        )

    def _cpu(self) -> float:
        return cpu.seconds(self._world.postgres, self._world.redis, self._web)
