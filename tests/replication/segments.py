"""Segments of a few rows, for tests."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from replication.services import segments as keeping
from replication.services.segments import Keeping
from replication.services.serving import StoredRows
from replication.staging import connections
from replication.visibility import access, segments
from replication.visibility.segment_building import Sizes
from tests.replication.worlds import World
from tests.staged import TestDevice, guid

TINY = Keeping(sizes=Sizes(block_rows=2, least_rows=1))


def demand(world: World, *users: str, devices: int = 1) -> None:
    """So many devices of these users have begun to download accounts."""
    conn = world.database.kept("test")
    with connections.snapshot(conn):
        tables = [
            access.access_of(conn, guid(user)).tables["account"] for user in users
        ]
    for table in tables:
        for _ in range(devices):
            wanted = segments.demands(table, table.grants)
            segments.note_demand(conn, wanted, device_id=uuid4())


def store(world: World, *users: str, kept: Keeping = TINY) -> int:
    """Store what these users may hold of the accounts."""
    demand(world, *users)
    return keeping.tend(world.database.kept("test"), keeping=kept)


def tend(world: World, *, kept: Keeping = TINY) -> int:
    return keeping.tend(world.database.kept("test"), keeping=kept)


def stored_rows(device: TestDevice) -> list[Any]:
    """What an answer would hand out as it is stored."""
    return [m for m in device.unheard() if isinstance(m, StoredRows)]


def count(world: World) -> int:
    number: int = world.values("SELECT count(*) FROM sync.segment")[0]
    return number
