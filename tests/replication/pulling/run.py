"""Run the machine by itself: `python -m tests.replication.pulling.run --runs 500`.

`PULLING_CONNINFO` names a staging database that may be overwritten; without it,
servers are started for the occasion. With `SEEDED_BUG=name` it runs against the
service with that bug in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.oracle import seeding
from tests.oracle.run import BROKEN, FOUND, _servers
from tests.replication.pulling.mutants import MUTANTS

if TYPE_CHECKING:
    from tests.replication.pulling.stage import Stage

# After that many runs Hypothesis turns to repeating what it has drawn. New draws find
# more here, hence many batches, each with a seed of its own.
BATCH = 15


def main() -> int:
    options = _options()
    seeding.BY_NAME.update({mutant.name: mutant for mutant in MUTANTS})
    seeding.install()
    with contextlib.ExitStack() as cleanup:
        if "PULLING_CONNINFO" not in os.environ:
            cleanup.enter_context(_servers())
        import django  # noqa: PLC0415  after the servers and the seeded bug

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        django.setup()
        return _run(options, cleanup.enter_context(_staging()))


@contextlib.contextmanager
def _staging() -> Iterator[str]:
    if "PULLING_CONNINFO" in os.environ:
        yield os.environ["PULLING_CONNINFO"]
        return
    from tests.replication.databases import SharedDatabase  # noqa: PLC0415

    database = SharedDatabase("pulling")
    yield database.conninfo
    database.drop()


def _run(options: argparse.Namespace, conninfo: str) -> int:
    from tests.oracle.failures import MismatchError  # noqa: PLC0415
    from tests.replication.pulling.situations import SITUATIONS  # noqa: PLC0415
    from tests.replication.pulling.stage import Stage  # noqa: PLC0415

    began_at = time.monotonic()
    seeding.check_all_seeded()
    stage = Stage(conninfo)
    try:
        if options.situation:
            stage.begin()
            SITUATIONS[options.situation](stage)
        else:
            try:
                _live(options, stage, until=began_at + options.minutes * 60)
            finally:
                _report(stage, seconds=time.monotonic() - began_at)
            if options.faults and (rare := stage.occurred.rare()):
                sys.stdout.write(f"These hardly ever occur: {', '.join(rare)}.\n")
                return BROKEN
    except MismatchError as error:
        seconds = time.monotonic() - began_at
        sys.stdout.write(f"Mismatch: {error}\n")
        sys.stdout.write(f"in run {stage.occurred.runs}, after {seconds:.1f} s\n")
        sys.stdout.writelines(f"{n}\n" for n in getattr(error, "__notes__", ()))
        return FOUND
    finally:
        stage.close()
    return 0


def _live(options: argparse.Namespace, stage: Stage, *, until: float) -> None:
    from tests.replication.pulling.life import Life  # noqa: PLC0415

    Life.stage = stage
    seed = options.seed
    while stage.occurred.runs < options.runs or time.monotonic() < until:

        def life() -> Life:
            return Life()

        hypothesis.seed(seed)(life)
        try:
            run_state_machine_as_test(
                life,  # type: ignore[arg-type]  # a factory will do
                settings=_settings(options),
            )
        except BaseException as error:
            error.add_note(f"--seed {seed}")
            raise
        seed += 1


def _settings(options: argparse.Namespace) -> settings:
    return settings(
        max_examples=BATCH,
        stateful_step_count=options.steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if options.shrink else (Phase.generate,),
        suppress_health_check=tuple(HealthCheck),
        print_blob=False,
        # The first failure ends the run.
        report_multiple_bugs=False,
    )


def _report(stage: Stage, *, seconds: float) -> None:
    occurred = stage.occurred
    sys.stdout.write(f"{occurred.runs} runs in {seconds:.1f} s\n{occurred.report()}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="at least so long")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--faults", action="store_true", help="each must occur")
    parser.add_argument("--situation", help="only this one, by hand")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
