"""First downloads of a set that many devices share, from blocks that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from benchmarks import cpu
from benchmarks.figures import Figure, expect, measured
from benchmarks.pulling import loaded_security, pull_accounts
from benchmarks.web import Phone, last_line, serving, token, trust, upserts
from benchmarks.world import World

# Name, coding, target.
_DOWNLOADS = (
    ("first_download_segments", "zstd", 800_000),
    ("first_download_segments_identity", "identity", None),
    ("first_download_segments_gzip", "gzip", None),
)
FIGURES = (
    "segment_build",
    *(name for name, _, _ in _DOWNLOADS),
    "first_download_segments_changed",
)
ACCOUNTS = 100_000
# Those whose downloads make the set worth storing, and those that are counted.
FIRST_PHONES = 2
LATER_PHONES = 5
# So many rows have changed since the blocks were stored.
CHANGED = 1_000


def figures(world: World) -> Iterator[Figure]:
    """What it costs to store a set, and to hand it out; at last with changes since."""
    with world.sandbox(ACCOUNTS), loaded_security(world) as (organization, source):
        pull_accounts(world, organization, source)
        trust(world, organization)
        with serving() as web:
            bench = _Bench(world, web)
            for _ in range(FIRST_PHONES):
                bench.download("zstd")
            yield _built(world, organization)
            for name, coding, target in _DOWNLOADS:
                yield bench.downloads(name, coding, target)
            if world.wants("first_download_segments_changed"):
                world.edit_accounts(CHANGED)
                pull_accounts(world, organization, source)
                yield bench.downloads("first_download_segments_changed", "zstd", None)


def _built(world: World, organization: UUID) -> Figure:
    from replication.services import segments
    from replication.staging import connections

    with connections.opened(organization) as conn:

        def build() -> int:
            built = segments.tend(conn, keeping=segments.Keeping())
            expect(built == 1, f"{built} segments instead of 1")
            row = conn.execute("SELECT row_count FROM sync.segment").fetchone()
            return int(row[0]) if row else 0

        return measured(
            "segment_build",
            act=build,
            expected=ACCOUNTS,
            cpu=world.cpu_seconds,
            unit="rows/CPU-s",
            target=None,
        )


class _Bench:
    def __init__(self, world: World, web: int) -> None:
        self._world = world
        self._web = web
        self._token = token(world)

    def downloads(self, name: str, coding: str, target: float | None) -> Figure:
        # The rows themselves are counted once, outside the measured time.
        self.download(coding)
        phones = [self._phone(coding) for _ in range(LATER_PHONES)]
        return measured(
            name,
            act=lambda: sum(phone.download()[0] for phone in phones),
            expected=LATER_PHONES * ACCOUNTS,
            cpu=self._cpu,
            unit="rows/CPU-s",
            target=target,
        )

    def download(self, coding: str) -> None:
        """:raises WrongAnswerError: rows are missing, or came twice."""
        phone, found, checkpoint = self._phone(coding), 0, None
        while True:
            body = phone.decoded(phone.changes(checkpoint))
            found += upserts(body)
            last = last_line(body)
            checkpoint = str(last["checkpoint"])
            if last["complete"]:
                break
        expect(found == ACCOUNTS, f"{found} rows instead of {ACCOUNTS}")

    def _phone(self, coding: str) -> Phone:
        phone = Phone("contoso", self._token, coding=coding)
        phone.register()
        return phone

    def _cpu(self) -> float:
        return cpu.seconds(self._world.postgres, self._world.redis, self._web)
