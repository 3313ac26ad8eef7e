"""The machine is worth something: it finds the bugs that such services are born with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.oracle import run, seeding
from tests.oracle.mutants import Edit, Mutant
from tests.oracle.seeding import MUTANTS, SeedingError

# A machine that needs longer than a minute has become careless.
SECONDS = 60
RUNS = "200"

# `make soak` looks for all of them, `make test` for some that are found soon.
QUICK = [mutant for mutant in MUTANTS if mutant.is_quick]
SOUGHT = MUTANTS if os.environ.get("ORACLE_BUGS") == "all" else QUICK


def _each(mutants: Sequence[Mutant]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mutant", mutants, ids=lambda one: one.name)


@_each(SOUGHT)
def test_the_machine_finds_a_seeded_bug(mutant, live):
    ended, said = live("--runs", RUNS, seconds=SECONDS, SEEDED_BUG=mutant.name)

    assert ended == run.FOUND, f"{mutant.story}\n{said}"
    assert "Mismatch: " in said


@_each(MUTANTS)
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
