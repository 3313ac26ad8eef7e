"""How states, counts, times and progress look, on every page alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

register = template.Library()

NOTHING = "\N{EN DASH}"

# state -> how an operator should feel about it
_MOOD = {
    "active": "good",
    "applied": "good",
    "due": "good",
    "ready": "good",
    "creating": "busy",
    "deprovisioning": "busy",
    "leased": "busy",
    "loading_mandatory": "busy",
    "loading_metadata": "busy",
    "requested": "busy",
    "waiting": "busy",
    "paused": "warn",
    "postponed": "warn",
    "refused": "warn",
    "suspended": "warn",
    "failed": "bad",
    "halted": "bad",
    "revoked": "bad",
}


@register.filter
def badge(text: object, mood: str = "quiet") -> SafeString:
    return format_html('<span class="ws-badge ws-{}">{}</span>', mood, text)


@register.filter
def state_badge(row: Any) -> SafeString:
    """The state of an organization, event, work item or device."""
    return badge(row.get_state_display(), mood_of(row.state))


@register.filter
def mood_of(state: str) -> str:
    return _MOOD.get(state, "quiet")


@register.filter
def ago(moment: datetime | None) -> str:
    """How long ago, in one unit; a moment ago is 0 seconds."""
    if moment is None:
        return NOTHING
    return span(timezone.now() - moment)


@register.filter
def seconds(number: int | None) -> str:
    return NOTHING if number is None else span(timedelta(seconds=number))


def span(length: timedelta) -> str:
    whole = max(0, int(length.total_seconds()))
    if whole < 60:
        return ngettext("%(n)d second", "%(n)d seconds", whole) % {"n": whole}
    now = timezone.now()
    return timesince(now - timedelta(seconds=whole), now, depth=1)


@register.filter
def count(number: int | None) -> str:
    """A whole number with the language's separators; a dash if it is not known."""
    if number is None:
        return NOTHING
    return str(number_format(number, force_grouping=True))


@register.simple_tag
def progress(done: int, total: int) -> SafeString:
    """A bar with `done / total` beside it."""
    share = round(100 * done / total) if total else 0
    return format_html(
        '<span class="ws-progress" title="{}"><span class="ws-bar">'
        '<span style="width:{}%"></span></span>{} / {}</span>',
        _("%(share)d %% loaded") % {"share": share},
        share,
        done,
        total,
    )


@register.filter
def facts(detail: Mapping[str, object]) -> str:
    """The members of a small object, as a line to read."""
    told = (f"{name}: {_told(value)}" for name, value in detail.items())
    return ", ".join(told) or NOTHING


def _told(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
