"""Spreads work that is not urgent over time. Pure."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

# Organizations that began together drift apart within a day.
SPREAD = 0.2


def staggered(interval: timedelta, *, identity: UUID) -> timedelta:
    """The interval, longer or shorter by up to `SPREAD`; the same for the same id."""
    digest = blake2b(identity.bytes, digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    seconds = interval.total_seconds() * (1 - SPREAD + 2 * SPREAD * share)
    return timedelta(seconds=round(seconds))
