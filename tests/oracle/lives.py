"""Let the machine live many lives under the settings that a run asks for."""

from __future__ import annotations

import math
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


# What happens, and goes wrong, in a real installation. A machine in which one of these has become
# rare tests less than it seems to.
FAULTS = (
    "Appoint",
    "Connect",
    "Follow",
    "HoldColumns",
    "Join",
    "Move",
    "MovePrincipal",
    "Permit",
    "Raise",
    "Refollow",
    "Regard",
    "Reparent",
    "Report",
    "Share",
    "Speak",
    "answer lost",
    "association edited",
    "changed in mid-answer",
    "cut",
    "died",
    "died building rules",
    "died catching up",
    "died moving windows",
    "died storing",
    "fenced",
    "filter edited",
    "hierarchy of managers",
    "hierarchy of positions",
    "loaded anew",
    "met",
    "met before the clock",
    "met building rules",
    "met catching up",
    "met on the way",
    "model_changed",
    "organization filter",
    "page by page",
    "published",
    "purged",
    "reset",
    "restored",
    "resync_required",
    "small chunks",
    "source restored",
    "stale",
    "stored rows",
    "taken over",
    "time passed",
    "waits for its rules",
)
LEAST_SHARE = 0.05

# After that many runs Hypothesis turns to repeating what it has drawn. New draws find
# more here, hence many batches, each with a seed of its own.
BATCH = 10


def live(
    harness: Harness,
    *,
    runs: int,
    steps: int,
    seed: int = 0,
    shrink: bool = True,
    until: float = 0.0,
) -> None:
    """Live at least so many lives, and go on `until` then (of the monotonic clock).

    :raises MismatchError: the service and the oracle disagree.
    """
    while harness.runs < runs or time.monotonic() < until:
        try:
            _live(harness, steps=steps, seed=seed, shrink=shrink)
        except BaseException as error:
            error.add_note(f"--seed {seed}, after {harness.runs} runs in all")
            raise
        seed += 1


def check_faults(harness: Harness) -> None:
    """:raises AssertionError: a kind of fault occurred in too few runs, and that is
    hardly chance."""
    expected = LEAST_SHARE * harness.runs
    least = expected - 2 * math.sqrt(expected)
    rare = [fault for fault in FAULTS if harness.occurred[fault] < least]
    assert not rare, f"These hardly ever occur: {', '.join(rare)}."


def _live(harness: Harness, *, steps: int, seed: int, shrink: bool) -> None:
    def machine() -> OracleMachine:
        return OracleMachine(harness)

    hypothesis.seed(seed)(machine)
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=BATCH,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        ),
    )
