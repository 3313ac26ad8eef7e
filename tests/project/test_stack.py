"""The whole stack: one line when it cannot start, and nothing left when it ends."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager

import pytest

from tests.project.processes import eventually, mentioning, python


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextmanager
def started(data, **variables):
    """Run a stack; the second value finds its processes, and theirs."""
    process = python(
        *("-m", "project.stack"),
        DATABASE_URL="",
        REDIS_URL="",
        WAYSTATION_DATA=str(data),
        WAYSTATION_PORT=free_port(),
        **{"SANDBOX_PORT": free_port(), **variables},
    )
    with process:
        try:
            yield process, lambda: mentioning(str(data))
        finally:
            process.kill()


def until_up(process):
    said = []
    for line in process.stdout:
        if "Ctrl-C ends it" in line:
            return
        said.append(line)
    pytest.fail("".join(said))


def test_a_taken_port_is_one_line_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with started(tmp_path / "data", SANDBOX_PORT=port) as (process, _):
            said = process.stdout.read()

    assert process.returncode == 1
    reason = f"Port {port} cannot be used (Address already in use)"
    assert said == f"waystation  stopped: {reason}: set SANDBOX_PORT to another one.\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.serial
def test_a_killed_stack_leaves_nothing_and_the_next_one_ends_when_a_process_does(
    tmp_path,
):
    with started(tmp_path) as (process, family):
        until_up(process)
        process.kill()
        eventually(lambda: not family())

    with started(tmp_path) as (process, family):
        until_up(process)
        (worker,) = [
            pid
            for pid, line in family().items()
            if "celery --app project worker" in line and "replication" in line
        ]
        os.kill(worker, signal.SIGKILL)
        said = process.stdout.read()

    assert process.returncode == 1
    assert "stopped: worker ended by itself: SIGKILL" in said
    assert family() == {}
