"""Work items: what is due, what failed, and the verbs on them."""

from __future__ import annotations

from functools import partial

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from provisioning.admin.reading import ReadOnly, Verb
from provisioning.models import WorkItem
from provisioning.services import operate
from provisioning.templatetags.waystation import NOTHING, ago, span, state_badge

_State = WorkItem.State
_STOPPED = frozenset({_State.PAUSED, _State.HALTED})


def _act(row: WorkItem, operator: str, *, verb: str) -> None:
    operate.work_item(row.pk, verb=verb, operator=operator)


VERBS = (
    Verb(
        name="pause",
        label=_("Pause"),
        act=partial(_act, verb="pause"),
        icon="pause",
        fits=lambda item: item.state != _State.PAUSED,
    ),
    Verb(
        name="resume",
        label=_("Resume"),
        act=partial(_act, verb="resume"),
        icon="play_arrow",
        fits=lambda item: item.state in _STOPPED,
    ),
    Verb(
        name="run_now",
        label=_("Run now"),
        act=partial(_act, verb="run_now"),
        icon="bolt",
        fits=lambda item: item.state not in _STOPPED,
    ),
    Verb(
        name="resync",
        label=_("Resync"),
        act=partial(_act, verb="resync"),
        icon="sync",
        question=_(
            "The table is read from the source in full. Devices receive only what"
            " turns out to differ."
        ),
        fits=lambda item: item.kind == WorkItem.Kind.TABLE,
    ),
    Verb(
        name="accept_sweep",
        label=_("Accept the deletions"),
        act=partial(_act, verb="accept_sweep"),
        icon="delete_sweep",
        question=_(
            "The full load goes on and deletes whatever the source no longer has,"
            " from staging and from devices."
        ),
        fits=lambda item: item.last_error_code == "sweep_brake",
    ),
)


@admin.register(WorkItem)
class WorkItemAdmin(ReadOnly):
    list_display = [
        "name",
        "organization",
        "standing",
        "lag",
        "due",
        "leased_until",
        "attempts",
        "last_error_code",
        "last_error",
    ]
    list_filter = ["state", "kind", "last_failure", "mandatory", "completed_once"]
    list_select_related = ["organization"]
    search_fields = ["organization__unique_name", "table"]
    ordering = ["organization__unique_name", "kind", "table"]
    verbs = VERBS

    @admin.display(description=_("work item"), ordering="table")
    def name(self, item: WorkItem) -> str:
        if item.part:
            return f"{item.table} · {item.part}"
        return item.table or item.get_kind_display()

    @admin.display(description=_("state"), ordering="state")
    def standing(self, item: WorkItem) -> SafeString:
        return state_badge(item)

    @admin.display(description=_("lag"), ordering="last_succeeded_at")
    def lag(self, item: WorkItem) -> str:
        return ago(item.last_succeeded_at)

    @admin.display(description=_("due in"), ordering="next_due_at")
    def due(self, item: WorkItem) -> str:
        if item.state not in {_State.DUE, _State.POSTPONED}:
            return NOTHING
        if item.next_due_at <= timezone.now():
            return str(_("now"))
        return span(item.next_due_at - timezone.now())
