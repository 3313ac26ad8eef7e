"""Run the machine by itself: `python -m tests.uploads.run --runs 500`.

`UPLOADS_ORGANIZATION` names an organization whose staging database may be overwritten;
without it, servers are started for the occasion. With `SEEDED_BUG=name` it runs against
the service with that bug in it.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING
from uuid import UUID

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.oracle import seeding
from tests.oracle.run import BROKEN, FOUND, _servers
from tests.uploads.mutants import MUTANTS

if TYPE_CHECKING:
    from tests.uploads.stage import Stage

# After that many runs Hypothesis turns to repeating what it has drawn. New draws find
# more here, hence many batches, each with a seed of its own.
BATCH = 15
LEAST_SHARE = 0.05


def main() -> int:
    options = _options()
    seeding.BY_NAME.update({mutant.name: mutant for mutant in MUTANTS})
    seeding.install()
    with contextlib.ExitStack() as cleanup:
        if "UPLOADS_ORGANIZATION" not in os.environ:
            cleanup.enter_context(_servers())
        import django  # noqa: PLC0415  after the servers and the seeded bug

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        django.setup()
        return _run(options)


def stage_of(organization_id: str | None) -> Stage:
    """The stage of that organization, or of one that is made for it."""
    from django.core.management import call_command  # noqa: PLC0415

    from provisioning.models import Organization  # noqa: PLC0415
    from tests.staged import organization  # noqa: PLC0415
    from tests.uploads.stage import Stage  # noqa: PLC0415

    if organization_id is not None:
        return Stage(Organization.objects.get(pk=UUID(organization_id)))
    call_command("migrate", verbosity=0)
    return Stage(organization("uploads"))


def _run(options: argparse.Namespace) -> int:
    began_at = time.monotonic()
    stage = stage_of(os.environ.get("UPLOADS_ORGANIZATION"))
    seeding.check_all_seeded()
    try:
        _live(options, stage, until=began_at + options.minutes * 60)
    except Exception as error:
        found = _mismatch_in(error)
        if found is None:
            traceback.print_exc()
            sys.stdout.write(f"Defect: {error}\n")
            return BROKEN
        sys.stdout.write(f"Mismatch: {found}\n")
        sys.stdout.writelines(f"{n}\n" for n in getattr(error, "__notes__", ()))
        return FOUND
    finally:
        _report(stage, seconds=time.monotonic() - began_at)
        stage.close()
    rare = _rare(stage) if options.faults else []
    if rare:
        sys.stdout.write(f"These hardly ever occur: {', '.join(rare)}.\n")
    return BROKEN if rare else 0


def _mismatch_in(error: BaseException | None) -> BaseException | None:
    """What was found, also where threads made that it is not found again."""
    if error is None or type(error).__name__ == "MismatchError":
        return error
    inner = getattr(error, "exceptions", ())
    for one in (*inner, error.__cause__, error.__context__):
        found = _mismatch_in(one)
        if found is not None:
            return found
    return None


def _live(options: argparse.Namespace, stage: Stage, *, until: float) -> None:
    from tests.uploads.life import Life  # noqa: PLC0415

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
            error.add_note(f"--seed {seed}, after {stage.occurred.runs} runs")
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


def _rare(stage: Stage) -> list[str]:
    """What occurred in too few runs for that to be chance."""
    from tests.uploads.occurrences import EVENTS  # noqa: PLC0415

    expected = LEAST_SHARE * stage.occurred.runs
    least = expected - 2 * math.sqrt(expected)
    return [event for event in EVENTS if stage.occurred.in_runs[event] < least]


def _report(stage: Stage, *, seconds: float) -> None:
    from tests.uploads.occurrences import EVENTS  # noqa: PLC0415

    occurred = stage.occurred
    sys.stdout.write(f"{occurred.runs} runs in {seconds:.1f} s\n")
    for event in sorted({*EVENTS, *occurred.times}, key=lambda e: -occurred.in_runs[e]):
        share = occurred.in_runs[event] / max(occurred.runs, 1)
        sys.stdout.write(
            f"  {event:28} {share:6.1%} of runs {occurred.times[event]:7} times\n"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="at least so long")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--faults", action="store_true", help="each must occur")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
