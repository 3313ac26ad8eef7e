"""Decide what an event or a finished step does to an organization's state. Pure.

requested → creating → loading_metadata → loading_mandatory → ready → active;
suspended, failed; deprovisioning → deprovisioned.
"""

from __future__ import annotations

from dataclasses import dataclass

LOADING = frozenset({"loading_metadata", "loading_mandatory"})
# Work items are handed out in these states only.
WORKING = LOADING | {"ready", "active"}
# The worker carries these out step by step.
STEPPING = frozenset({"requested", "creating", "deprovisioning"})
# Nothing but another provisioning brings an organization back from these.
LEAVING = frozenset({"deprovisioning", "deprovisioned"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """The event does not fit the state; the text says why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an organization stands, as far as an event's effect depends on it."""

    state: str
    suspended_from: str = ""
    failed_step: str = ""


def after_verb(verb: str, *, now: Standing | None) -> Standing | Refusal:
    """Decide what a verb does; None is an organization that does not exist."""
    if verb == "provision":
        return _provision(now)
    if now is None:
        return Refusal("There is no such organization.")
    if verb == "deprovision":
        return _deprovision(now)
    if now.state in LEAVING:
        return Refusal(f"The organization is {now.state}.")
    if verb == "suspend":
        return _suspend(now)
    if verb == "resume":
        return _resume(now)
    return _retried(now) if verb == "update" else now


def after_tables(state: str, *, mandatory_loaded: bool, all_loaded: bool) -> str:
    """Decide how far the loaded tables bring an organization."""
    if state == "loading_mandatory" and mandatory_loaded:
        state = "ready"
    if state == "ready" and all_loaded:
        state = "active"
    return state


def _provision(now: Standing | None) -> Standing | Refusal:
    if now is None or now.state == "deprovisioned":
        return Standing(state="requested")
    if now.state == "deprovisioning":
        return Refusal("The organization is still being deprovisioned.")
    return Refusal("The organization exists already; send organization.update.")


def _deprovision(now: Standing) -> Standing | Refusal:
    if now.state in LEAVING:
        return Refusal(f"The organization is {now.state} already.")
    return Standing(state="deprovisioning")


def _suspend(now: Standing) -> Standing | Refusal:
    if now.state == "suspended":
        return Refusal("The organization is suspended already.")
    came_from = now.failed_step if now.state == "failed" else now.state
    return Standing(state="suspended", suspended_from=came_from)


def _resume(now: Standing) -> Standing | Refusal:
    if now.state == "suspended":
        return Standing(state=now.suspended_from)
    if now.state == "failed":
        return _retried(now)
    return Refusal(f"The organization is {now.state}, not suspended.")


def _retried(now: Standing) -> Standing:
    """A failed organization goes back to its step; others stay where they are."""
    return Standing(state=now.failed_step) if now.state == "failed" else now
