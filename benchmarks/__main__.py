"""Run the benchmarks: `python -m benchmarks`, with `ONLY=serving` and `JSON=1`."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import figures, pulling, serving, world

GROUPS = {"pulling": pulling.figures, "serving": serving.figures}


def main() -> int:
    only = os.environ.get("ONLY", "")
    if only:
        return _run(only)
    # Each group has servers, and so a Django, of its own.
    ended = [
        subprocess.run(
            [sys.executable, "-m", "benchmarks"], env={**os.environ, "ONLY": group}
        ).returncode
        for group in GROUPS
    ]
    return max(ended)


def _run(group: str) -> int:
    missed = 0
    with world.running() as servers:
        for figure in GROUPS[group](servers):
            figures.show(figure, machine_readable=os.environ.get("JSON") == "1")
            missed += not figure.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
