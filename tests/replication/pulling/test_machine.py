"""Whatever happens to a source and to workers, staging becomes the source."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.oracle import run, seeding
from tests.replication.pulling.mutants import MUTANTS
from tests.replication.pulling.situations import SITUATIONS
from tests.replication.pulling.stage import Stage

# On two cores that others need as well.
SECONDS = 600


@pytest.fixture
def stage(laboratory):
    made = Stage(laboratory.conninfo)
    made.begin()
    yield made
    made.close()


each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def test_staging_becomes_the_source_in_every_life(live):
    ended, said = live("--runs", "30", seconds=SECONDS)

    assert ended == 0, said


@pytest.mark.parametrize("name", SITUATIONS)
def test_staging_is_the_source_after_a_situation_in_which_a_bug_would_show(name, stage):
    SITUATIONS[name](stage)


@each_mutant
def test_a_seeded_bug_shows_in_its_situation(mutant, live):
    ended, said = live(
        "--situation", mutant.name, seconds=SECONDS, SEEDED_BUG=mutant.name
    )

    assert ended == run.FOUND, f"{mutant.story}\n{said}"


@pytest.mark.skipif(
    os.environ.get("PULLING_BUGS") != "all", reason="`make soak` looks for them."
)
@each_mutant
def test_the_machine_finds_a_seeded_bug(mutant, live):
    ended, said = live("--runs", "600", seconds=SECONDS, SEEDED_BUG=mutant.name)

    assert ended == run.FOUND, f"{mutant.story}\n{said}"
    # A pull that fails says nothing about what the bug does to rows.
    assert "does not finish" not in said


@each_mutant
def test_a_seeded_bug_still_has_its_place_in_the_service(mutant):
    for edit in mutant.edits:
        spec = find_spec(edit.module)
        assert spec is not None
        assert spec.origin is not None

        source = seeding.with_bug(Path(spec.origin).read_text(), [edit])

        compile(source, spec.origin, "exec")
