"""Samples of what replication has come to: taken each minute, thinned, forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db.models import F, Min, Model, Q, Sum, Window
from django.db.models.functions import RowNumber, TruncHour

from provisioning import queries
from provisioning.models import WorkItem
from replication.models import Sample

# Charts of the last hours show minutes, older ones hours.
FINE_FOR = timedelta(hours=6)
# Thinning comes back this long for hours in which nobody kept house.
THINNING_REACH = timedelta(hours=24)
KEPT_FOR = timedelta(days=30)
BATCH = 500

_TOTALS = ("pulls", "pages", "changes", "failures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What one staging database holds."""

    rows: Mapping[str, int]
    set_aside: int


def staged(conn: psycopg.Connection) -> Staged:
    rows = conn.execute(
        "SELECT name, row_count + (SELECT coalesce(sum(p.row_count), 0)"
        " FROM sync.part p WHERE p.source_id = s.id)::bigint FROM sync.source s"
    ).fetchall()
    aside = conn.execute("SELECT count(*) FROM sync.set_aside").fetchone()
    return Staged(rows=dict(rows), set_aside=aside[0] if aside else 0)


def record(held: Mapping[UUID, Staged], *, now: datetime) -> None:
    """Store one sample per organization, and one of all of them; tidy up behind.

    Organizations whose staging is not among `held` are sampled without rows. One
    sample a minute: repeating within it changes nothing.
    """
    at = now.replace(second=0, microsecond=0)
    samples = [
        _sample(work, held.get(work["organization"]), at=at, now=now)
        for work in _work_of_all()
    ]
    Sample.objects.bulk_create(
        [*samples, _sum(samples, at=at)], batch_size=BATCH, ignore_conflicts=True
    )
    tidy(Sample, now=now)


def tidy(model: type[Model], *, now: datetime) -> None:
    """Keep the last sample of each hour that is long past; forget very old ones.

    The model has `organization` and `at`, and counts in running totals.
    """
    samples = model._default_manager
    hour = now.replace(minute=0, second=0, microsecond=0)
    ends_at = hour - FINE_FOR
    past = samples.filter(at__gte=ends_at - THINNING_REACH, at__lt=ends_at)
    ranked = past.annotate(
        place=Window(
            RowNumber(),
            partition_by=[F("organization"), TruncHour("at")],
            order_by=F("at").desc(),
        )
    )
    superfluous = ranked.filter(place__gt=1).values("pk")
    samples.filter(pk__in=superfluous).delete()
    samples.filter(at__lt=now - KEPT_FOR).delete()


def _work_of_all() -> list[Mapping[str, Any]]:
    loaded = Q(kind=WorkItem.Kind.TABLE, completed_once=True)
    items = WorkItem.objects.filter(organization__in=queries.live_organizations())
    return list(
        items.values("organization").annotate(
            # Parts come and go; their epochs would make the total fall.
            pulls=Sum("epoch", filter=Q(part=0)),
            pages=Sum("pages"),
            changes=Sum("changes"),
            failures=Sum("failures"),
            oldest=Min("last_succeeded_at", filter=loaded),
        )
    )


def _sample(
    work: Mapping[str, Any], held: Staged | None, *, at: datetime, now: datetime
) -> Sample:
    lag = int((now - work["oldest"]).total_seconds()) if work["oldest"] else None
    return Sample(
        organization_id=work["organization"],
        at=at,
        rows=sum(held.rows.values()) if held else None,
        set_aside=held.set_aside if held else None,
        tables=dict(held.rows) if held else {},
        lag_seconds=None if lag is None else max(0, lag),
        **{name: work[name] for name in _TOTALS},
    )


def _sum(samples: list[Sample], *, at: datetime) -> Sample:
    lags = [one.lag_seconds for one in samples if one.lag_seconds is not None]
    return Sample(
        organization=None,
        at=at,
        rows=sum(one.rows or 0 for one in samples),
        set_aside=sum(one.set_aside or 0 for one in samples),
        lag_seconds=max(lags, default=None),
        **{name: sum(getattr(one, name) for one in samples) for name in _TOTALS},
    )
