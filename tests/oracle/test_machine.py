"""Random lives of an organization: devices equal the naive oracle whenever quiet."""

from __future__ import annotations

import os

import pytest

from tests.oracle import run
from tests.oracle.mutants import MUTANTS
from tests.project.processes import python

# Lives in a run of the suite; `ORACLE_EXAMPLES` asks for more of them.
EXAMPLES = os.environ.get("ORACLE_EXAMPLES", "25")
# Longer than the machine ever takes, so that one that hangs ends.
SECONDS = 600
# Lives in which a bug is looked for.
LIVES = "250"
# Lives in which a bug shows early.
SEEDS = {"purged_too_early": "2"}


def lives(*options, **variables):
    """Run the machine in a process with servers of its own; how it ended and why."""
    with python(
        *("-m", "tests.oracle.run"),
        *options,
        DATABASE_URL="",
        REDIS_URL="",
        **variables,
    ) as process:
        said, _ = process.communicate(timeout=SECONDS)
    return process.returncode, said


def test_devices_hold_what_the_oracle_says_after_any_history():
    ended, said = lives("--examples", EXAMPLES, "--steps", "25")

    assert ended == 0, said


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_machine_finds_a_seeded_bug(mutant):
    ended, said = lives(
        *("--examples", LIVES, "--steps", "30"),
        *("--seed", SEEDS.get(mutant.name, "1")),
        SEEDED_BUG=mutant.name,
    )

    assert ended == run.FOUND, said
    assert "Mismatch: " in said
