"""The admin's first page: all organizations, the worst first."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.models import Organization
from provisioning.templatetags.waystation import mood_of
from syncapi.admin import charts
from syncapi.services import fleet
from syncapi.services.fleet import Fleet

# The list of organizations pages through all of them.
MOST_SHOWN = 100


def show(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill the index; who may not see organizations gets an empty page."""
    if not request.user.has_perm("provisioning.view_organization"):
        return context
    found = fleet.overview(now=timezone.now())
    over = charts.chosen_range(request.GET.get("over"))
    chosen = request.GET.get("state", "")
    shown = [one for one in found.standings if chosen in {"", one.organization.state}]
    return {
        **context,
        "title": _("Fleet"),
        "tiles": _tiles(found),
        "states": _states(found, chosen=chosen),
        "chosen_state": chosen,
        "standings": shown[:MOST_SHOWN],
        "left_out": max(0, len(shown) - MOST_SHOWN),
        "charts": charts.fleet(over),
        "ranges": charts.RANGES,
        "over": over,
    }


def _tiles(found: Fleet) -> list[dict[str, Any]]:
    def tile(label: str, figure: str, *, mood: str = "") -> dict[str, Any]:
        value = found.total(figure)
        return {"label": label, "value": value, "mood": mood if value else ""}

    return [
        tile(_("Rows in staging"), "rows"),
        tile(_("Rows set aside"), "set_aside", mood="warn"),
        tile(_("Work items halted"), "halted", mood="bad"),
        tile(_("Postponed"), "postponed", mood="warn"),
        tile(_("Paused"), "paused", mood="warn"),
        tile(_("Devices in 24 h"), "devices_seen"),
        tile(_("Edits that wait"), "waiting"),
        {
            "label": _("Oldest edit that waits"),
            "seconds": found.longest_waiting_seconds,
            "is_time": True,
        },
        {
            "label": _("Worst lag"),
            "seconds": found.worst_lag_seconds,
            "is_time": True,
        },
    ]


def _states(found: Fleet, *, chosen: str) -> list[dict[str, Any]]:
    counts = Counter(one.organization.state for one in found.standings)
    return [
        {
            "state": state.value,
            "label": state.label,
            "count": counts[state.value],
            "mood": mood_of(state.value),
            "is_chosen": state.value == chosen,
        }
        for state in Organization.State
        if counts[state.value]
    ]
