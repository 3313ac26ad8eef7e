"""Run the machine by itself: `python -m tests.oracle.run --examples 500`.

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

from tests.oracle import seeding

# How the process ends, beside 0.
FOUND = 3
BROKEN = 1


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
    ended = 0
    try:
        lives.live(
            harness,
            examples=options.examples,
            steps=options.steps,
            seed=options.seed,
            shrink=options.shrink,
            until=began_at + options.minutes * 60 if options.minutes else None,
        )
    except AssertionError as error:
        traceback.print_exc()
        is_mismatch = type(error).__name__ == "MismatchError"
        ended = FOUND if is_mismatch else BROKEN
        if is_mismatch:
            print(f"Mismatch: {error}")  # noqa: T201  the outcome
    except Exception:
        traceback.print_exc()
        ended = BROKEN
    finally:
        _report(harness, time.monotonic() - began_at)
        harness.close()
    return ended


def _report(harness: object, seconds: float) -> None:
    occurred = getattr(harness, "occurred")  # noqa: B009
    totals = getattr(harness, "totals")  # noqa: B009
    runs = getattr(harness, "runs")  # noqa: B009
    print(f"{runs} runs in {seconds:.1f} s, {time.process_time():.1f} s of CPU")  # noqa: T201
    for event, number in occurred.most_common():
        print(f"  {event:28} {number:6} runs {totals[event]:7} times")  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--shrink", action="store_true")
    return parser.parse_args()


@contextlib.contextmanager
def _servers() -> Iterator[None]:
    from project import embedded  # noqa: PLC0415

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
