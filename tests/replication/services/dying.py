"""Pulls in processes that a failpoint kills.

Starting Python and Django takes longer than everything else, so one process loads
them and forks itself for each order. The fork is a process like any other: its
death closes its connections and runs nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from replication.domain.tables import TableDef
from replication.services import follow_schema
from replication.services.division import Divider
from replication.services.pull import PullOrder, pull_table
from replication.services.pull_part import PartOrder, pull_part
from replication.source import Source
from replication.staging import registry
from tests.replication.worlds import World

ROOT = Path(__file__).resolve().parents[3]


class WorkerProcess:
    """Does as it is ordered, in a fork of itself, and tells how that ended."""

    def __init__(self, folder: Path) -> None:
        self._source = folder / "source"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.replication.services.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pull(
        self,
        world: World,
        tables: Sequence[str],
        *,
        fail: str,
        divide_from: int | None = None,
    ) -> int:
        """Pull the tables; return the exit status, negative for a signal."""
        more = {"divide_from": divide_from}
        return self._order(world, tables, fail=fail, follows=False, **more)

    def pull_part(self, world: World, table: str, number: int, *, fail: str) -> int:
        """Pull a part of a table that is divided; the same status."""
        more = {"part": [table, number, world.order(table).epoch]}
        return self._order(world, (), fail=fail, follows=False, **more)

    def follow(self, world: World, *, fail: str) -> int:
        """Bring staging to the world's definitions; the same status."""
        return self._order(world, (), fail=fail, follows=True)

    def _order(
        self,
        world: World,
        tables: Sequence[str],
        *,
        fail: str,
        follows: bool,
        **more: object,
    ) -> int:
        self._source.write_bytes(pickle.dumps(world.source))
        order = {
            "conninfo": world.database.conninfo,
            "source": str(self._source),
            "page_size": world.page_size,
            "pulls": [[table, world.order(table).epoch] for table in tables],
            "fail": fail,
            "follows": follows,
            "definitions": [registry.encode(table) for table in world.tables],
            **more,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate(timeout=10)


def serve() -> None:
    """Fork for each line of standard input, and write how the fork ended."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _obey(json.loads(line))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _obey(order: dict[str, Any]) -> None:
    try:
        os.environ["WAYSTATION_FAIL"] = order["fail"]
        fake = pickle.loads(Path(order["source"]).read_bytes())  # noqa: S301  our own
        source = fake.source(page_size=order["page_size"])
        if order["follows"]:
            _follow(order)
        for table, epoch in order["pulls"]:
            with psycopg.connect(order["conninfo"], autocommit=True) as conn:
                pull_table(conn, source, _order(table, epoch, order))
        if "part" in order:
            _pull_part(order, source)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _follow(order: dict[str, Any]) -> None:
    definitions = [
        msgspec.json.decode(text, type=TableDef) for text in order["definitions"]
    ]
    with psycopg.connect(order["conninfo"], autocommit=True) as conn:
        asked = [table.definition.name for table in registry.tables(conn)]
        follow_schema.follow(conn, definitions, asked=asked)


def _pull_part(order: dict[str, Any], source: Source) -> None:
    table, number, epoch = order["part"]
    with psycopg.connect(order["conninfo"], autocommit=True) as conn:
        pull_part(
            conn,
            source,
            PartOrder(
                table=table,
                number=number,
                epoch=epoch,
                time_slice=timedelta(minutes=1),
                renew=lambda: None,
            ),
        )


def _order(table: str, epoch: int, order: dict[str, Any]) -> PullOrder:
    return PullOrder(
        table=table,
        epoch=epoch,
        time_slice=timedelta(minutes=1),
        renew=lambda: None,
        divider=Divider(rows=order.get("divide_from")),
    )
