"""What the admin's charts show: samples, turned into datasets of Chart.js."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from replication.domain import history
from replication.domain.history import Slots
from replication.models import Sample
from syncapi.models import DeviceSample

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_COLORS = ("teal", "blue", "violet", "amber", "rose", "slate")
# More tables than this are summed up in one line.
MOST_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """How far back charts go, and how finely."""

    name: str
    label: StrOrPromise
    width: timedelta
    count: int
    time_format: str

    def slots(self, now: datetime) -> Slots:
        return history.slots_until(now, width=self.width, count=self.count)


RANGES = (
    Range(
        name="hour",
        label=gettext_lazy("1 hour"),
        width=timedelta(minutes=1),
        count=60,
        time_format="%H:%M",
    ),
    Range(
        name="day",
        label=gettext_lazy("24 hours"),
        width=timedelta(hours=1),
        count=24,
        time_format="%H:%M",
    ),
    Range(
        name="month",
        label=gettext_lazy("30 days"),
        width=timedelta(days=1),
        count=30,
        time_format="%d.%m.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    label: str
    values: Sequence[float | None]
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One picture, as the template hands it to Chart.js."""

    title: str
    type: str
    data: str
    options: str
    legend: Sequence[Line] = ()


def chosen_range(name: str | None) -> Range:
    return next((one for one in RANGES if one.name == name), RANGES[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """The samples that a page of charts is made from, in the order of time."""

    samples: Sequence[Sample]
    devices: Sequence[DeviceSample]
    slots: Slots
    over: Range

    def rises(self, total: str) -> list[int | None]:
        """By how much a total of replication rose in each slot."""
        return self._rises(self.samples, total)

    def device_rises(self, total: str) -> list[int | None]:
        return self._rises(self.devices, total)

    def _rises(
        self, samples: Sequence[Sample | DeviceSample], total: str
    ) -> list[int | None]:
        values = [(one.at, getattr(one, total)) for one in samples]
        before = 0 if _is_whole_history(samples) else None
        return history.increases(values, self.slots, before=before)

    def latest(self, value: Callable[[Sample], int | None]) -> list[int | None]:
        return history.latest([(s.at, value(s)) for s in self.samples], self.slots)


def fleet(over: Range) -> list[Chart]:
    """All organizations together."""
    past = _past(None, over)
    return [_changes(past), _lag(past), _syncs(past)]


def organization(organization_id: UUID, over: Range) -> list[Chart]:
    past = _past(organization_id, over)
    return [
        _rows(past),
        _changes(past),
        _requests(past),
        _failures(past),
        _lag(past),
        _syncs(past),
    ]


def _past(organization_id: UUID | None, over: Range) -> _Past:
    slots = over.slots(timezone.now())
    # One more slot, so that the first one has something to differ from.
    since = slots.begins_at - slots.width
    samples = Sample.objects.filter(organization=organization_id, at__gte=since)
    devices = DeviceSample.objects.filter(organization=organization_id, at__gte=since)
    return _Past(
        samples=list(samples.order_by("at")),
        devices=list(devices.order_by("at")),
        slots=slots,
        over=over,
    )


def _is_whole_history(samples: Sequence[Sample | DeviceSample]) -> bool:
    """Whether nothing was sampled before, so that totals began with nothing."""
    if not samples:
        return False
    first = samples[0]
    earlier = type(first)._default_manager.filter(
        organization=first.organization_id, at__lt=first.at
    )
    return not earlier.exists()


def _rows(past: _Past) -> Chart:
    last = past.samples[-1].tables if past.samples else {}
    largest = sorted(last, key=lambda table: -last[table])[:MOST_LINES]
    lines = [
        Line(
            label=table,
            values=past.latest(partial(_of_table, table=table)),
            color=_COLORS[number],
        )
        for number, table in enumerate(largest)
    ]
    if len(last) > MOST_LINES:
        others = past.latest(partial(_of_others, shown=largest))
        lines.append(Line(label=_("other tables"), values=others, color=_COLORS[-1]))
    return _chart(_("Rows in staging"), "line", lines, past, stacked=True)


def _of_table(sample: Sample, *, table: str) -> int | None:
    held: Mapping[str, int] = sample.tables
    return held.get(table)


def _of_others(sample: Sample, *, shown: Sequence[str]) -> int | None:
    if sample.rows is None:
        return None
    return sample.rows - sum(_of_table(sample, table=one) or 0 for one in shown)


def _changes(past: _Past) -> Chart:
    line = Line(label=_("changes"), values=past.rises("changes"), color="teal")
    return _chart(_("Changes pulled"), "bar", [line], past)


def _requests(past: _Past) -> Chart:
    lines = [
        Line(label=_("pages fetched"), values=past.rises("pages"), color="blue"),
        Line(label=_("runs begun"), values=past.rises("pulls"), color="violet"),
    ]
    return _chart(_("Requests to the source"), "line", lines, past)


def _failures(past: _Past) -> Chart:
    line = Line(label=_("failed runs"), values=past.rises("failures"), color="rose")
    return _chart(_("Failures"), "bar", [line], past)


def _lag(past: _Past) -> Chart:
    values = past.latest(lambda sample: sample.lag_seconds)
    line = Line(label=_("seconds"), values=values, color="amber")
    return _chart(_("Worst lag in seconds"), "line", [line], past)


def _syncs(past: _Past) -> Chart:
    line = Line(label=_("syncs"), values=past.device_rises("syncs"), color="blue")
    return _chart(_("Device syncs"), "bar", [line], past)


def _chart(
    title: str, kind: str, lines: Sequence[Line], past: _Past, *, stacked: bool = False
) -> Chart:
    data = {
        "labels": [
            start.strftime(past.over.time_format) for start in past.slots.starts
        ],
        "datasets": [_dataset(line, kind, stacked=stacked) for line in lines],
    }
    return Chart(
        title=title,
        type=kind,
        data=json.dumps(data),
        options=json.dumps(_options(stacked=stacked)),
        legend=lines if len(lines) > 1 else (),
    )


def _dataset(line: Line, kind: str, *, stacked: bool) -> dict[str, object]:
    return {
        "label": line.label,
        "data": line.values,
        "borderColor": f"var(--ws-{line.color})",
        "backgroundColor": f"var(--ws-{line.color}{'-fill' if stacked else ''})",
        "fill": "stack" if stacked else False,
        "borderWidth": 0 if kind == "bar" else 2,
        "borderRadius": 2,
        "tension": 0.25,
        # A line needs two neighbours; what has none is a dot.
        "pointRadius": 0 if len(line.values) - line.values.count(None) > 2 else 2,
        "pointHitRadius": 8,
    }


def _options(*, stacked: bool) -> dict[str, object]:
    small = {"color": "#8a94a6", "font": {"size": 11}, "maxRotation": 0}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {
                "ticks": {**small, "maxTicksLimit": 7},
                "grid": {"display": False},
            },
            "y": {
                "beginAtZero": True,
                "stacked": stacked,
                "suggestedMax": 4,
                "ticks": {**small, "maxTicksLimit": 5, "precision": 0},
                "grid": {"color": "rgba(138, 148, 166, .15)"},
                "border": {"display": False},
            },
        },
    }
