"""Run the benchmarks: `python -m benchmarks`, with `ONLY=delta_10` and `JSON=1`.

Ends with 1 when a target was missed or an answer was wrong, with 2 when `ONLY` names
no figure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator

from benchmarks import figures, groups, world
from benchmarks.figures import Figure, WrongAnswerError
from benchmarks.groups import UnknownFigureError

MISSED = 1
MISUSED = 2


def main() -> int:
    try:
        wanted = groups.chosen(os.environ.get("ONLY", ""))
    except UnknownFigureError as error:
        sys.stderr.write(f"{error}\n")
        return MISUSED
    if len(wanted) > 1:
        return _measure_each(wanted)
    ((group, names),) = wanted.items()
    try:
        return MISSED if _measure(group, names) else 0
    except WrongAnswerError as error:
        sys.stderr.write(f"Wrong answer: {error}\n")
        return MISSED


def _measure_each(wanted: dict[str, tuple[str, ...]]) -> int:
    """Give each group servers, and so a Django, of its own."""
    ended = [
        subprocess.run(
            [sys.executable, "-m", "benchmarks"],
            env={**os.environ, "ONLY": ",".join(names)},
        ).returncode
        for names in wanted.values()
    ]
    return MISSED if any(ended) else 0


def _measure(group: str, names: tuple[str, ...]) -> int:
    """Show the figures as they come; return how many missed their targets."""
    missed = 0
    with world.running(wanted=frozenset(names)) as servers:
        for figure in _asked_for(groups.GROUPS[group].measure(servers), names):
            figures.show(figure, machine_readable=os.environ.get("JSON") == "1")
            missed += not figure.ok
    return missed


def _asked_for(measuring: Iterator[Figure], names: tuple[str, ...]) -> Iterator[Figure]:
    """Go as far as the last figure that somebody asked for."""
    left = set(names)
    try:
        for figure in measuring:
            if figure.name in left:
                left.remove(figure.name)
                yield figure
            if not left:
                return
    finally:
        if isinstance(measuring, Generator):
            measuring.close()
    raise LookupError(f"Nothing measures {', '.join(sorted(left))}.")


if __name__ == "__main__":
    sys.exit(main())
