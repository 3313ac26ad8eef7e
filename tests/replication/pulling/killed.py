"""Workers that a failpoint kills in the middle of a pull, and what is left of it.

Starting Python and Django takes longer than everything else, so one process loads
them and forks itself for each pull. The fork is a process like any other: its death
closes its connections and runs nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from psycopg import sql

from provisioning import failpoints
from replication.domain.profiles import Policy, ProfileItem
from replication.staging import columns, schema
from replication.visibility import policy, reconcile, rules
from tests.fake_dataverse import FakeDataverse
from tests.replication.checks import assert_sound
from tests.replication.databases import SharedDatabase
from tests.replication.pulling.played import Played
from tests.replication.pulling.pulls import PULLS, Disturbed
from tests.replication.pulling.stage import AT_ONCE, ONE_DAY, TABLES, Stage
from tests.replication.worlds import World, profile

ROOT = Path(__file__).resolve().parents[3]
PAGE_SIZE = 2
# No failpoint: the pull goes on to its end and counts what it passes.
NOWHERE = "nowhere:1"


class KilledWorkers:
    """The process that forks, until `stop`."""

    def __init__(self, conninfo: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.replication.pulling.worker", conninfo],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pull(self, name: str, *, fail: str, epoch: int) -> tuple[int, dict[str, int]]:
        """Return the exit status, negative for a signal, and failpoints passed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, fail, epoch]) + "\n")
        self._process.stdin.flush()
        status, hits = json.loads(self._process.stdout.readline())
        return status, hits

    def stop(self) -> None:
        self._process.communicate(timeout=10)


def serve(conninfo: str) -> None:
    """Fork for each line of standard input; write how the fork ended and its hits."""
    for line in sys.stdin:
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reads)
            _obey(conninfo, *json.loads(line), report=writes)
        os.close(writes)
        with os.fdopen(reads) as report:
            hits = json.loads(report.read() or "{}")
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), hits]) + "\n")
        sys.stdout.flush()


def _obey(conninfo: str, name: str, fail: str, epoch: int, *, report: int) -> None:
    try:
        os.environ["WAYSTATION_FAIL"] = fail
        stage = Stage(conninfo, leases=epoch - 1)
        _played_until(stage, PULLS[name])
        _pull(stage, PULLS[name])
        os.write(report, json.dumps(dict(failpoints.hits())).encode())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _played_until(stage: Stage, pull: Disturbed) -> None:
    stage.played = Played()
    pull.grow(stage.played)
    pull.change(stage.played)


def _pull(stage: Stage, pull: Disturbed) -> None:
    stage.pull(pull.table, page_size=PAGE_SIZE, reconcile_every=pull.reconcile_every)


class Remains:
    """One staging database: as it was before each pull, and as it is after."""

    def __init__(self, database: SharedDatabase) -> None:
        self.database = database
        self.stage = Stage(database.conninfo)
        self._world = World(
            database,
            organization=database.organization,
            tables=tuple(TABLES.values()),
            source=FakeDataverse(()),
        )
        conn = database.kept("test")
        items = [ProfileItem(table=name) for name in TABLES]
        policy.publish(conn, Policy(profiles=(profile(*items, name="Everything"),)))
        reconcile.reconcile(conn)
        database.save("new")
        self._saved: set[str] = set()
        self._held: dict[str, str] = {}
        self._rev = 0

    def begin(self, pull: Disturbed) -> int:
        """Make the table as it is before the pull; return the epoch of its lease."""
        if pull.name not in self._saved:
            self.database.restore("new")
            self._prepare(pull)
            self.database.save(pull.name)
            self._saved.add(pull.name)
        self.database.restore(pull.name)
        self._held, self._rev = self._rows(pull), self._world.rev
        return self.stage.lease()

    def _prepare(self, pull: Disturbed) -> None:
        self.stage.played = Played()
        pull.grow(self.stage.played)
        if pull.is_known:
            self.stage.settle(pull.table, reconcile_every=ONE_DAY)

    def check_after(self, pull: Disturbed) -> None:
        """Another worker goes on where the killed one was. Then staging is the
        source, and the feed says so to whoever was up to date before."""
        _played_until(self.stage, pull)
        _pull(self.stage, pull)
        definition = TABLES[pull.table]
        self.stage.settle(pull.table, reconcile_every=ONE_DAY)
        if self.stage.staged(pull.table).mode == "watermark":
            self.stage.check_polled(definition, ())
            self.stage.settle(pull.table, reconcile_every=AT_ONCE)
        self.stage.check(definition)
        assert_sound(self._world)
        assert self._replayed(pull) == self._rows(pull)

    def _replayed(self, pull: Disturbed) -> dict[str, str]:
        """What a device has that held the rows of before, and reads on from there."""
        now = self._rows(pull)
        if not pull.is_known:
            return now
        held = dict(self._held)
        for row_id, is_live in self._news(pull):
            if is_live:
                held[row_id] = now[row_id]
            else:
                held.pop(row_id, None)
        return held

    def _news(self, pull: Disturbed) -> list[tuple[str, bool]]:
        conn = self.database.kept("test")
        source = self.stage.staged(pull.table)
        [rule] = [rule for rule in rules.living(conn) if rule.source_id == source.id]
        query = sql.SQL("SELECT row_id::text, live FROM {} WHERE rev > %s ORDER BY rev")
        return conn.execute(query.format(rule.partition), (self._rev,)).fetchall()

    def _rows(self, pull: Disturbed) -> dict[str, str]:
        table = TABLES[pull.table]
        query = sql.SQL("SELECT {}::text, {} FROM {}").format(
            columns.row_id(table),
            sql.Identifier(columns.VERSION),
            schema.relation(table),
        )
        return dict(self.database.kept("test").execute(query).fetchall())
