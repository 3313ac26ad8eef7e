"""Outcomes as a worker records them, without one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from replication.services import heads
from replication.staging import clock, write_backs
from replication.staging.write_backs import Verdict
from tests.replication.worlds import World


def decide(
    world: World, device: UUID, sequence: int, status: str = "applied", **members: Any
) -> None:
    """One mutation has got this outcome, and every process has seen the clock since."""
    verdict = Verdict(
        device_id=device,
        sequence=sequence,
        id=UUID(int=0),
        status=status,
        outcome=members,
    )
    with world.staging() as conn, conn.transaction():
        held = clock.lock(conn)
        held.take(write_backs.settle(conn, [verdict], after_rev=held.rev))
        clock.store(conn, held)
    heads.drop_head(world.id)
