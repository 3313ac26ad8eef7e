"""Loads of a table that is divided, step by step, as workers would take them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from replication.services.division import Divider
from replication.services.pull import Progress
from replication.services.pull_part import PartOrder, pull_part
from tests.replication.worlds import World
from tests.staged import guid

# Tables of so many rows are divided, into four parts.
ROWS = 20


class Division:
    """One table's load; `planned` are the parts that its last pull asked for."""

    def __init__(self, world: World, table: str = "account") -> None:
        self._world = world
        self.table = table
        self.planned: tuple[int, ...] = ()

    def pull(self, **changes: Any) -> Progress:
        """Run the table's own work item."""
        divider = Divider(rows=ROWS, planned=self._plan)
        return self._world.pull(self.table, **{"divider": divider, **changes})

    def pull_part(self, number: int, **changes: Any) -> Progress:
        """Run the work item of a part."""
        values = {"epoch": self._world.order(self.table).epoch, **changes}
        order = PartOrder(
            table=self.table,
            number=number,
            time_slice=values.pop("time_slice", timedelta(minutes=1)),
            renew=values.pop("renew", lambda: None),
            **values,
        )
        source = self._world.source.source(page_size=self._world.page_size)
        with self._world.staging() as conn:
            return pull_part(conn, source, order)

    def finish(self) -> None:
        """Read all that is left, and end the load."""
        while not self.pull().is_finished:
            for number in self.planned:
                self.pull_part(number)

    def _plan(self, parts: Any) -> None:
        self.planned = tuple(parts)


def add_accounts(world: World, count: int, *, prefix: str = "Site") -> None:
    for number in range(count):
        world.source.put(
            "account", guid(f"{prefix} {number}"), name=f"{prefix} {number}"
        )
