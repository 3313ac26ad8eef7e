"""The machine is worth something: it finds the bugs that such services are born with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.oracle import run, seeding
from tests.oracle.mutants import MUTANTS, Edit
from tests.oracle.seeding import SeedingError

# A machine that needs longer than a minute has become careless.
SECONDS = 60
RUNS = "200"

each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each_mutant
def test_the_machine_finds_a_seeded_bug(mutant, live):
    ended, said = live("--runs", RUNS, seconds=SECONDS, SEEDED_BUG=mutant.name)

    assert ended == run.FOUND, f"{mutant.story}\n{said}"
    assert "Mismatch: " in said


@each_mutant
def test_a_seeded_bug_still_has_its_place_in_the_service(mutant):
    for module in {edit.module for edit in mutant.edits}:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        edits = [edit for edit in mutant.edits if edit.module == module]

        source = seeding.with_bug(Path(spec.origin).read_text(), edits)

        compile(source, spec.origin, "exec")


@pytest.mark.parametrize("source", ["", "here, and here"])
def test_a_bug_whose_place_is_not_there_exactly_once_is_refused(source):
    edit = Edit(module="somewhere", old="here", new="there")

    with pytest.raises(SeedingError):
        seeding.with_bug(source, [edit])
