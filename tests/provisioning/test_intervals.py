"""Work that is not urgent is spread over time."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from provisioning.domain.intervals import staggered

HOUR = timedelta(hours=1)


def test_an_organization_keeps_its_interval():
    identity = UUID(int=7)

    assert staggered(HOUR, identity=identity) == staggered(HOUR, identity=identity)


def test_organizations_are_spread_over_the_fifth_before_and_after_the_interval():
    found = [staggered(HOUR, identity=UUID(int=n)) for n in range(500)]

    assert timedelta(minutes=48) <= min(found) < timedelta(minutes=50)
    assert timedelta(minutes=70) < max(found) <= timedelta(minutes=72)
    assert len(set(found)) > 400
