"""A device that dies in the middle of storing holds the old state or the new one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.device.store import Store
from tests.sandbox.device.answers import (
    ADA,
    GRACE,
    checkpoint,
    complete,
    delta,
    model,
    names,
    reset,
    rows,
    snapshot,
    state,
    table,
)

M1 = model("M1", table("account"), table("contact"))
M2 = model("M2", table("account", name="string", city="string"), table("task"))
FIRST_DOWNLOAD = [
    snapshot(M1),
    rows("account", [ADA, "Ada", "1"], [GRACE, "Grace", "1"]),
    complete("k1"),
]
NEW_MODEL = [
    delta(M2),
    reset("account"),
    rows("account", [ADA, "Ada", "London", "2"], deletes=[GRACE]),
    rows("task", [ADA, "Call back", "1"]),
    complete("k2"),
]

# Dies like a process that the system kills while it commits the second checkpoint.
KILLED_WHILE_COMMITTING = """
import os, signal, sys
from sandbox.device.store import Store
from tests.sandbox.device.test_crashes import M1, TWO_CHUNKS

commits = 0

def kill_at_the_second_commit(statement):
    global commits
    commits += statement == "COMMIT"
    if commits == 2:
        os.kill(os.getpid(), signal.SIGKILL)

store = Store(sys.argv[1])
store.connection.set_trace_callback(kill_at_the_second_commit)
store.apply(TWO_CHUNKS, model=M1)
"""
TWO_CHUNKS = [
    snapshot(M1),
    rows("account", [ADA, "Ada", "1"]),
    checkpoint("k1"),
    rows("account", [GRACE, "Grace", "1"]),
    complete("k2"),
]


def crashed_copy(path: Path, folder: Path) -> dict[str, object]:
    """Return the state that the next start finds if the process dies right now."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        # The -shm file is memory shared between processes; a crash loses it.
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder / file.name)
    with Store(folder / path.name) as store:
        return state(store)


def test_a_crash_at_any_statement_leaves_the_state_before_the_chunk(tmp_path):
    path = tmp_path / "ada.sqlite"
    found: list[dict[str, object]] = []
    with Store(path) as store:
        store.apply(FIRST_DOWNLOAD, model=M1)
        before = state(store)
        store.connection.set_trace_callback(
            lambda _statement: found.append(crashed_copy(path, tmp_path / "copy"))
        )

        store.apply(NEW_MODEL, model=M2)

        store.connection.set_trace_callback(None)
        after = state(store)
    assert len(found) > 10
    assert all(crashed == before for crashed in found)
    assert crashed_copy(path, tmp_path / "copy") == after


def test_a_process_killed_while_it_commits_keeps_the_checkpoint_before(tmp_path):
    path = tmp_path / "ada.sqlite"

    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_COMMITTING, str(path)],
        cwd=Path(__file__).parents[3],
        timeout=30,
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL
    with Store(path) as store:
        assert (names(store), store.checkpoint) == ({ADA: "Ada"}, "k1")


def test_a_row_that_was_taken_away_leaves_no_trace_in_the_file(tmp_path):
    path = tmp_path / "ada.sqlite"
    secret = "The merger is called Analytical Engine"
    with Store(path) as store:
        store.apply(
            [snapshot(M1), rows("account", [ADA, secret, "1"]), complete("k1")],
            model=M1,
        )
    held = secret.encode() in path.read_bytes()

    with Store(path) as store:
        store.apply([delta(M1), rows("account", deletes=[ADA]), complete("k2")])

    assert (held, secret.encode() in path.read_bytes()) == (True, False)


def test_another_process_reads_the_old_state_until_the_commit(tmp_path):
    path = tmp_path / "ada.sqlite"
    seen: list[dict[str, object]] = []
    with Store(path) as store:
        store.apply(FIRST_DOWNLOAD, model=M1)
        with Store(path) as reader:
            store.connection.set_trace_callback(
                lambda _statement: seen.append(names(reader))
            )
            store.apply([delta(M1), rows("account", deletes=[ADA]), complete("k2")])
            store.connection.set_trace_callback(None)

            assert all(found == {ADA: "Ada", GRACE: "Grace"} for found in seen)
            assert names(reader) == {GRACE: "Grace"}
