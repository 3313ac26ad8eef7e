"""Run the machine by itself: `python -m tests.replication.pulling.run --runs 500`.

`PULLING_CONNINFO` names a staging database that may be overwritten. With
`SEEDED_BUG=name` it runs against the service with that bug in it.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.oracle import seeding
from tests.oracle.run import BROKEN, FOUND
from tests.replication.pulling.mutants import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=25)
    options = parser.parse_args()
    seeding.BY_NAME.update({mutant.name: mutant for mutant in MUTANTS})
    seeding.install()
    import django  # noqa: PLC0415  after the seeded bug

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    return _run(options.runs, options.steps)


def _run(runs: int, steps: int) -> int:
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415
    from hypothesis.stateful import run_state_machine_as_test  # noqa: PLC0415

    from tests.oracle.failures import MismatchError  # noqa: PLC0415
    from tests.replication.pulling.life import Life  # noqa: PLC0415
    from tests.replication.pulling.stage import Stage  # noqa: PLC0415

    seeding.check_all_seeded()
    Life.stage = Stage(os.environ["PULLING_CONNINFO"])
    try:
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=runs,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=tuple(HealthCheck),
                print_blob=False,
                # The first failure ends the run.
                report_multiple_bugs=False,
            ),
        )
    except MismatchError as error:
        sys.stdout.write(f"Mismatch: {error}\n")
        return FOUND
    except AssertionError as error:
        sys.stdout.write(f"Broken: {error!r}\n")
        return BROKEN
    finally:
        Life.stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
