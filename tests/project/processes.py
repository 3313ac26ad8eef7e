"""Looking at processes from outside, with a deadline instead of a sleep."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 180.0


def eventually(condition):
    """Wait until `condition` holds and return what it returned."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, "It never happened."
        time.sleep(0.05)
    return found


def python(*command, **variables):
    """Start Python in the project, with more variables in its environment."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def mentioning(word):
    """Return the command lines of processes that were started for `word`, by number.

    It stands in their command line, folder or environment.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode(errors="replace")
            folder = str((process / "cwd").readlink())
            if word in command or word in environment or word in folder:
                found[int(process.name)] = command
    return found
