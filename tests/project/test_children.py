"""Children: they end with their parent, and say how they ended."""

from __future__ import annotations

import pytest

from project import children
from tests.project.processes import eventually, mentioning, python

# Each leaves a grandchild behind that nobody but a watchdog knows of.
START_FAMILY = """
import sys, time
from pathlib import Path
from project import children
with children.watched() as watch:
    child = children.start(
        "family", command=["sh", "-c", "sleep 600 & sleep 600"],
        log=Path(sys.argv[1]) / "family.log", folder=Path(sys.argv[1]),
    )
    watch.over(child)
    print("up", flush=True)
    time.sleep(600)
"""


def ended(tmp_path, script):
    child = children.start(
        "speaker", command=["sh", "-c", script], log=tmp_path / "speaker.log"
    )
    child.process.wait()
    return child


def test_a_killed_parent_takes_its_grandchildren_along(tmp_path):
    with python("-c", START_FAMILY, str(tmp_path)) as parent:
        assert parent.stdout.readline() == "up\n"
        eventually(lambda: len(mentioning(str(tmp_path))) >= 3)

        parent.kill()

        eventually(lambda: not mentioning(str(tmp_path)))


def test_stopping_a_child_leaves_none_of_its_own(tmp_path):
    child = children.start(
        "family",
        command=["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"],
        log=tmp_path / "family.log",
        folder=tmp_path,
    )
    eventually(lambda: len(mentioning(str(tmp_path))) >= 3)

    children.stop(child, patience=0.1)

    eventually(lambda: not mentioning(str(tmp_path)))


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("echo a; echo 'FATAL: b'; echo c; exit 3", "exit code 3; its last words: F"),
        ("echo a; echo c; exit 1", "exit code 1; its last words: c (see "),
        ("exit 2", "exit code 2; its last words: none (see "),
        ("kill -KILL $$", "SIGKILL; its last words: none (see "),
        (
            """printf '%s' '{"message": "d", "exception": "T:\\n  E"}'; exit 1""",
            ": E (see ",
        ),
    ],
)
def test_a_child_says_how_it_ended_and_why(tmp_path, script, how):
    assert how in ended(tmp_path, script).how_it_ended()


def test_the_log_of_the_run_before_is_kept(tmp_path):
    ended(tmp_path, "echo first")
    ended(tmp_path, "echo second")

    kept = (tmp_path / "speaker.log", tmp_path / "speaker.previous.log")
    assert [log.read_text() for log in kept] == ["second\n", "first\n"]
