"""A staging database that the machine of pulls may do with as it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.project.processes import python
from tests.replication.databases import SharedDatabase


@pytest.fixture(scope="session")
def laboratory() -> Iterator[SharedDatabase]:
    database = SharedDatabase("pulling")
    yield database
    database.drop()


@pytest.fixture
def live(laboratory: SharedDatabase) -> Callable[..., tuple[int, str]]:
    """Let the machine run in a process of its own; return how it ended and said."""

    def run(*options: str, seconds: float, **variables: str) -> tuple[int, str]:
        command = ("-m", "tests.replication.pulling.run", *options)
        found = {"PULLING_CONNINFO": laboratory.conninfo, **variables}
        with python(*command, **found) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
            except BaseException:
                process.kill()
                raise
        return process.returncode, said

    return run
