"""Where all organizations stand, in a few queries however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Q, Sum

from provisioning import queries
from provisioning.models import Organization, WorkItem
from replication.models import Sample
from syncapi.models import Device

# A sample older than this says nothing about the present.
SAMPLE_AGE = timedelta(minutes=10)
SEEN_WITHIN = timedelta(hours=24)

_State = WorkItem.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One organization, as far as the catalog knows it.

    `rows` and `set_aside` are None while nothing recent is known of staging.
    """

    organization: Organization
    tables: int = 0
    loaded: int = 0
    halted: int = 0
    postponed: int = 0
    paused: int = 0
    failing: int = 0
    lag_seconds: int | None = None
    # Edits of devices that wait for the source, and for how long the oldest.
    waiting: int = 0
    waiting_seconds: int | None = None
    rows: int | None = None
    set_aside: int | None = None
    devices: int = 0
    devices_seen: int = 0
    last_sync_at: datetime | None = None

    @property
    def urgency(self) -> tuple[bool, int, bool, int]:
        """The worst first: failed, then halted items, then trouble, then lag."""
        return (
            self.organization.state == Organization.State.FAILED,
            self.halted,
            bool(self.failing or self.set_aside),
            self.lag_seconds or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All live organizations, the worst first, and their sums."""

    standings: list[Standing]

    def total(self, figure: str) -> int:
        return sum(getattr(one, figure) or 0 for one in self.standings)

    @property
    def worst_lag_seconds(self) -> int | None:
        lags = (one.lag_seconds for one in self.standings)
        return max((lag for lag in lags if lag is not None), default=None)

    @property
    def longest_waiting_seconds(self) -> int | None:
        ages = (one.waiting_seconds for one in self.standings)
        return max((age for age in ages if age is not None), default=None)


def overview(*, now: datetime) -> Fleet:
    """Where every organization stands that is not deprovisioned."""
    work = _work(now)
    held = _held(now)
    devices = _devices(now)
    organizations = queries.live_organizations().defer(
        "ca_certificate", "credential_sealed", "role_password_sealed"
    )
    standings = [
        Standing(
            organization=one,
            **work.get(one.pk, {}),
            **held.get(one.pk, {}),
            **devices.get(one.pk, {}),
        )
        for one in organizations.order_by("unique_name")
    ]
    return Fleet(standings=sorted(standings, key=_urgency, reverse=True))


def _urgency(standing: Standing) -> tuple[bool, int, bool, int]:
    return standing.urgency


def _work(now: datetime) -> dict[UUID, dict[str, Any]]:
    tables = Q(kind=WorkItem.Kind.TABLE)
    loaded = tables & Q(completed_once=True)
    found = WorkItem.objects.values("organization").annotate(
        tables=Count("pk", filter=tables),
        loaded=Count("pk", filter=loaded),
        halted=Count("pk", filter=Q(state=_State.HALTED)),
        postponed=Count("pk", filter=Q(state=_State.POSTPONED)),
        paused=Count("pk", filter=Q(state=_State.PAUSED)),
        failing=Count("pk", filter=Q(last_failure__gt="")),
        oldest=Min("last_succeeded_at", filter=loaded),
        waiting=Sum("waiting"),
        waiting_since=Min("waiting_since"),
    )
    work = _by_organization(found)
    for one in work.values():
        one["lag_seconds"] = _age(one.pop("oldest"), now=now)
        one["waiting_seconds"] = _age(one.pop("waiting_since"), now=now)
    return work


def _age(moment: datetime | None, *, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment).total_seconds()))


def _held(now: datetime) -> dict[UUID, dict[str, Any]]:
    recent = Sample.objects.filter(at__gte=now - SAMPLE_AGE, organization__isnull=False)
    latest = recent.order_by("organization", "-at").distinct("organization")
    return _by_organization(latest.values("organization", "rows", "set_aside"))


def _devices(now: datetime) -> dict[UUID, dict[str, Any]]:
    active = Q(state=Device.State.ACTIVE)
    seen = active & Q(last_seen_at__gte=now - SEEN_WITHIN)
    return _by_organization(
        Device.objects.values("organization").annotate(
            devices=Count("pk", filter=active),
            devices_seen=Count("pk", filter=seen),
            last_sync_at=Max("last_completed_at"),
        )
    )


def _by_organization(
    found: Iterable[Mapping[str, Any]],
) -> dict[UUID, dict[str, Any]]:
    return {one.pop("organization"): one for one in map(dict, found)}
