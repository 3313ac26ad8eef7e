"""Random lives of devices that edit: each edit has one outcome, and is done once."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.oracle import run, seeding
from tests.uploads.mutants import MUTANTS

# On two cores that others need as well.
SECONDS = 600
# `make soak` looks for all of them, `make test` for some that are found soon.
QUICK = [mutant for mutant in MUTANTS if mutant.is_quick]
SOUGHT = MUTANTS if os.environ.get("UPLOADS_BUGS") == "all" else QUICK


def test_every_edit_has_one_outcome_and_is_done_once_in_every_life(live):
    ended, said = live("--runs", "20", seconds=SECONDS)

    assert ended == 0, said


@pytest.mark.parametrize("mutant", SOUGHT, ids=lambda mutant: mutant.name)
def test_the_machine_finds_a_seeded_bug(mutant, live):
    ended, said = live("--runs", "400", seconds=SECONDS, SEEDED_BUG=mutant.name)

    assert ended == run.FOUND, f"{mutant.story}\n{said}"
    assert "Mismatch: " in said


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_still_has_its_place_in_the_service(mutant):
    for module in {edit.module for edit in mutant.edits}:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        edits = [edit for edit in mutant.edits if edit.module == module]

        source = seeding.with_bug(Path(spec.origin).read_text(), edits)

        compile(source, spec.origin, "exec")
