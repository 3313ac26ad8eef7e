"""Run the machine by itself: `python -m tests.oracle.run --runs 500`.

With `SEEDED_BUG=name` in the environment it runs against the service with that bug
in it. `ORACLE_ORGANIZATION` names an organization whose staging database may be
overwritten; without it, servers are started for the occasion.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.oracle import seeding

if TYPE_CHECKING:
    from tests.oracle.harness import Harness

# How the process ends, beside 0.
BROKEN = 1
FOUND = 3


def main() -> int:
    options = _options()
    seeding.install()
    with contextlib.ExitStack() as cleanup:
        if "ORACLE_ORGANIZATION" not in os.environ:
            cleanup.enter_context(_servers())
        import django  # noqa: PLC0415  after the servers and the seeded bug

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        django.setup()
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    from tests.oracle import lives  # noqa: PLC0415  needs Django

    began_at = time.monotonic()
    harness = lives.harness(os.environ.get("ORACLE_ORGANIZATION"))
    seeding.check_all_seeded()
    try:
        lives.live(
            harness,
            runs=options.runs,
            steps=options.steps,
            seed=options.seed,
            shrink=options.shrink,
            until=began_at + options.minutes * 60,
        )
        if options.faults:
            lives.check_faults(harness)
    except Exception as error:
        traceback.print_exc()
        is_mismatch = type(error).__name__ == "MismatchError"
        print(f"{'Mismatch' if is_mismatch else 'Defect'}: {error}")  # noqa: T201
        return FOUND if is_mismatch else BROKEN
    finally:
        _report(harness, seconds=time.monotonic() - began_at)
        harness.close()
    return 0


def _report(harness: Harness, *, seconds: float) -> None:
    """How many runs there were, and in which of them each kind of fault occurred."""
    used = time.process_time()
    print(f"{harness.runs} runs in {seconds:.1f} s, {used:.1f} s of CPU")  # noqa: T201
    print(f"{harness.totals['rows compared']} rows compared")  # noqa: T201
    for event, runs in harness.occurred.most_common():
        print(f"  {event:28} {runs:6} runs {harness.totals[event]:7} times")  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="at least so long")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--faults", action="store_true", help="each must occur")
    return parser.parse_args()


@contextlib.contextmanager
def _servers() -> Iterator[None]:
    from project import embedded  # noqa: PLC0415  after the seeded bug

    with tempfile.TemporaryDirectory(prefix="waystation-oracle-") as folder:
        os.environ["WAYSTATION_EMBEDDED"] = "on"
        os.environ["WAYSTATION_DATA"] = folder
        with embedded.servers(Path(folder), options=embedded.UNSAFE_BUT_FAST) as urls:
            os.environ["DATABASE_URL"] = urls.database
            os.environ["REDIS_URL"] = urls.redis
            yield
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.1f} s of CPU in the servers")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
