"""Let the machine live many lives under the settings that a run asks for."""

from __future__ import annotations

import time
from uuid import UUID

import hypothesis
from django.core.management import call_command
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from provisioning.models import Organization
from tests.oracle.harness import Harness
from tests.oracle.machine import OracleMachine
from tests.staged import organization


def harness(organization_id: str | None = None) -> Harness:
    """The harness of that organization, or of one that is made for it."""
    if organization_id is not None:
        return Harness(Organization.objects.get(pk=UUID(organization_id)))
    call_command("migrate", verbosity=0)
    return Harness(organization("oracle"))


def live(
    harness: Harness,
    *,
    examples: int,
    steps: int = 20,
    seed: int | None = None,
    shrink: bool = True,
    until: float | None = None,
) -> None:
    """Live so many lives; the same ones each time, unless there is a seed.

    `until` (of the monotonic clock) goes on with other lives until then.

    :raises MismatchError: the service and the oracle disagree.
    """
    while True:
        _live(harness, examples=examples, steps=steps, seed=seed, shrink=shrink)
        if until is None or time.monotonic() >= until:
            return
        seed = (seed or 0) + 1


def _live(
    harness: Harness, *, examples: int, steps: int, seed: int | None, shrink: bool
) -> None:
    def machine() -> OracleMachine:
        return OracleMachine(harness)

    if seed is not None:
        print(f"Seed {seed}, {harness.runs} runs so far", flush=True)  # noqa: T201
        hypothesis.seed(seed)(machine)
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=seed is None,
            database=None,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        ),
    )
