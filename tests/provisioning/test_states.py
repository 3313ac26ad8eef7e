"""What each verb does to an organization in each state."""

from __future__ import annotations

import pytest

from provisioning.domain import states
from provisioning.domain.states import Refusal, Standing, after_tables, after_verb
from provisioning.models import Organization

EVERY_STATE = set(Organization.State.values)
LEFT = {"deprovisioning", "deprovisioned"}


def standing(state):
    return Standing(
        state=state,
        suspended_from="active" if state == "suspended" else "",
        failed_step="creating" if state == "failed" else "",
    )


def allowed(verb):
    """State by state, where the verb leads, unless it is refused."""
    decisions = {state: after_verb(verb, now=standing(state)) for state in EVERY_STATE}
    return {
        state: decision.state
        for state, decision in decisions.items()
        if isinstance(decision, Standing)
    }


def test_the_domain_speaks_of_known_states_only():
    mentioned = states.WORKING | states.STEPPING | states.LEAVING

    assert mentioned <= EVERY_STATE


def test_only_what_is_not_there_can_be_provisioned():
    assert allowed("provision") == {"deprovisioned": "requested"}
    assert after_verb("provision", now=None) == Standing(state="requested")


@pytest.mark.parametrize(
    "verb", ["update", "suspend", "resume", "resync", "deprovision"]
)
def test_what_is_not_there_can_only_be_provisioned(verb):
    assert isinstance(after_verb(verb, now=None), Refusal)


def test_everything_that_is_there_can_be_deprovisioned():
    assert allowed("deprovision") == dict.fromkeys(EVERY_STATE - LEFT, "deprovisioning")


def test_a_suspended_organization_goes_back_to_where_it_was():
    suspended = after_verb("suspend", now=Standing(state="loading_mandatory"))
    assert suspended == Standing(state="suspended", suspended_from="loading_mandatory")

    assert after_verb("resume", now=suspended) == Standing(state="loading_mandatory")


def test_resuming_fits_suspended_and_failed_organizations_only():
    assert allowed("resume") == {"suspended": "active", "failed": "creating"}


def test_an_update_gives_a_failed_organization_another_chance():
    assert allowed("update") == {
        state: "creating" if state == "failed" else state
        for state in EVERY_STATE - LEFT
    }


def test_a_resync_leaves_the_state_alone():
    assert allowed("resync") == {state: state for state in EVERY_STATE - LEFT}


@pytest.mark.parametrize(
    ("state", "mandatory", "everything", "expected"),
    [
        ("loading_mandatory", False, False, "loading_mandatory"),
        ("loading_mandatory", True, False, "ready"),
        ("loading_mandatory", True, True, "active"),
        ("ready", True, True, "active"),
        ("active", False, False, "active"),
        ("suspended", True, True, "suspended"),
    ],
)
def test_loaded_tables_bring_an_organization_forward_and_never_back(
    state, mandatory, everything, expected
):
    reached = after_tables(state, mandatory_loaded=mandatory, all_loaded=everything)

    assert reached == expected
