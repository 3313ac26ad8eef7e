"""Put a known bug into the service while its modules are imported.

Set `SEEDED_BUG` to the name of a mutant. The product has no flags for this:
the text of the module is changed on its way to the compiler. Text that is not there
exactly once is an error, so that no refactoring takes the sting out of a bug unnoticed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.oracle import mutants, mutants_of_rules
from tests.oracle.mutants import Edit

VARIABLE = "SEEDED_BUG"
MUTANTS = (*mutants.MUTANTS, *mutants_of_rules.MUTANTS)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}

# Modules whose text is to be changed, and those for which that has been done.
_edits: dict[str, list[Edit]] = {}
_seeded: set[str] = set()


class SeedingError(Exception):
    """The bug cannot be put where it belongs."""


def install() -> str | None:
    """Prepare the bug that the environment names; return its name."""
    name = os.environ.get(VARIABLE)
    if name is None:
        return None
    for edit in BY_NAME[name].edits:
        if edit.module in sys.modules:
            raise SeedingError(f"{edit.module} was imported before {name} was seeded.")
        _edits.setdefault(edit.module, []).append(edit)
    sys.meta_path.insert(0, _Finder())
    return name


def check_all_seeded() -> None:
    """:raises SeedingError: a module of the bug was never imported."""
    missing = _edits.keys() - _seeded
    if missing:
        raise SeedingError(f"Nobody imported {', '.join(sorted(missing))}.")


def with_bug(source: str, edits: Sequence[Edit]) -> str:
    """Return the module's text with the bug in it.

    :raises SeedingError: a text to be replaced does not stand there exactly once.
    """
    for edit in edits:
        found = source.count(edit.old)
        if found != 1:
            raise SeedingError(f"{edit.module} has {found} times:\n{edit.old}")
        source = source.replace(edit.old, edit.new)
    return source


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in _edits:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            raise SeedingError(f"There is no source of {fullname}.")
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        # Compiled anew each time: a cached file would have no bug, or keep one.
        source = self.get_data(self.path).decode()
        _seeded.add(fullname)
        return compile(
            with_bug(source, _edits[fullname]), self.path, "exec", dont_inherit=True
        )
