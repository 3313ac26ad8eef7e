"""Workers killed by SIGKILL wherever a pull passes: the next one makes up for it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.replication.databases import SharedDatabase
from tests.replication.pulling.killed import NOWHERE, KilledWorkers, Remains
from tests.replication.pulling.pulls import PULLS

KILLED = -signal.SIGKILL
# Otherwise the first time that a pull passes a failpoint, and the last.
KILLS_EVERYWHERE = os.environ.get("PULLING_KILLS") == "all"

each_pull = pytest.mark.parametrize("pull", PULLS.values(), ids=list(PULLS))


@pytest.fixture(scope="module")
def remains():
    database = SharedDatabase("killed")
    left = Remains(database)
    yield left
    left.stage.close()
    database.drop()


@pytest.fixture(scope="module")
def workers(remains):
    process = KilledWorkers(remains.database.conninfo)
    yield process
    process.stop()


@each_pull
def test_a_pull_that_is_killed_at_any_failpoint_loses_nothing(pull, remains, workers):
    status, passed = workers.pull(pull.name, fail=NOWHERE, epoch=remains.begin(pull))
    remains.check_after(pull)
    assert status == 0
    assert passed["page.committed"] > 1

    kills = 0
    for point, times in passed.items():
        for nth in range(1, times + 1) if KILLS_EVERYWHERE else {1, times}:
            epoch = remains.begin(pull)
            killed, _ = workers.pull(pull.name, fail=f"{point}:{nth}", epoch=epoch)
            assert killed == KILLED, (point, nth)
            remains.check_after(pull)
            kills += 1
    print(f"{kills} kills: {pull.name}")  # noqa: T201  `make soak` shows it
