"""Handing data out: rows and requests per CPU-second of web, PostgreSQL and Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from benchmarks import cpu
from benchmarks.figures import Figure
from benchmarks.pulling import loaded_security, pull_accounts
from benchmarks.web import Phone, repeated, serving, token, trust
from benchmarks.world import World

ACCOUNTS = 100_000
EMPTY_POLLS = 4_000
DELTAS = 500
HEAD_AGE_SECONDS = 2.0


def figures(world: World) -> Iterator[Figure]:
    """first_download, first_download_zstd, empty_poll, delta_10 and delta_100."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):
        pull_accounts(world, organization, source)
        trust(world, organization)
        with serving() as web:
            bench = _Bench(world, web)
            yield bench.first_download("identity", "first_download", 120_000)
            yield bench.first_download("zstd", "first_download_zstd", 90_000)
            checkpoint = bench.checkpoint
            yield bench.polls("empty_poll", 3_000, EMPTY_POLLS, HTTPStatus.NO_CONTENT)
            for rows, target in ((10, 1_500), (100, 600)):
                world.edit_accounts(rows)
                pull_accounts(world, organization, source)
                bench.checkpoint = checkpoint
                # An empty poll is answered from the clock as it was so long ago.
                time.sleep(HEAD_AGE_SECONDS)
                yield bench.polls(f"delta_{rows}", target, DELTAS, HTTPStatus.OK)


class _Bench:
    def __init__(self, world: World, web: int) -> None:
        self._world = world
        self._web = web
        self._token = token(world)
        self.phone = Phone("contoso", self._token)
        self.phone.register()
        self.checkpoint = ""

    def first_download(self, coding: str, name: str, target: float) -> Figure:
        phone = Phone("contoso", self._token, coding=coding)
        phone.register()

        def download() -> int:
            rows, self.checkpoint = phone.download()
            return rows

        self.phone = phone
        return self._measured(name, target, "rows/CPU-s", ACCOUNTS, download)

    def polls(self, name: str, target: float, times: int, status: int) -> Figure:
        def poll() -> int:
            (last,) = repeated([self.phone], [self.checkpoint], times=times)
            assert last.status == status, f"{name}: answered {last.status}"
            return times

        return self._measured(name, target, "requests/CPU-s", times, poll)

    def _measured(
        self, name: str, target: float, unit: str, expected: int, act: Callable[[], int]
    ) -> Figure:
        began, before = time.monotonic(), self._cpu()
        done = act()
        used = self._cpu() - before
        assert done == expected, f"{name}: {done} instead of {expected}"
        return Figure(
            name=name,
            value=done / used,
            unit=unit,
            target=target,
            wall=time.monotonic() - began,
        )

    def _cpu(self) -> float:
        return cpu.seconds(self._world.postgres, self._world.redis, self._web)
