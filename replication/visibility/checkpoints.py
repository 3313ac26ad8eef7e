"""What a device holds, as it says itself (FEED §2). Pure.

Sets of grants are named by a hash of their content. The sets that a checkpoint
names are written before its line is sent, and never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import msgspec

# (rule id, then one value for each of `install.FEED_KEYS`); None leaves a key
# attribute free.
Key = int | None
Grant = tuple[int, Key, Key, Key, Key, Key, Key]
State = Literal["done", "scan", "drop"]

_DIGEST_LENGTH = 32


class GrantSet(msgspec.Struct, frozen=True, array_like=True):
    """Grants that have come equally far: `position` is the last row id reached."""

    grants_id: str
    state: State
    position: str | None = None


class TableHolding(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint says of one table."""

    rev: int
    columns_id: str
    sets: tuple[GrantSet, ...]


class Checkpoint(msgspec.Struct, frozen=True, rename="lower"):
    """A point from which a device may continue."""

    organization: UUID
    user: UUID
    device: UUID
    epoch: UUID
    model: str
    # Name of the first download while it goes on.
    snapshot: str | None
    # Highest rev of a snapshot that is contained.
    seen: int
    rows: int
    tables: dict[str, TableHolding]
    # Highest rev of an outcome that is contained, and all below.
    told: int = 0

    def to_payload(self) -> dict[str, object]:
        payload: dict[str, object] = msgspec.to_builtins(self)
        return payload

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> Checkpoint:
        """:raises ValueError: this is no checkpoint."""
        return msgspec.convert(dict(payload), type=cls)

    def grants_ids(self) -> frozenset[str]:
        return frozenset(
            one.grants_id for held in self.tables.values() for one in held.sets
        )

    def columns_ids(self) -> frozenset[str]:
        return frozenset(held.columns_id for held in self.tables.values())

    def is_settled_at(self, rev: int) -> bool:
        """Nothing was left to do when it was given, and that was at `rev`."""
        # `seen` too: a model without tables has no table that could say it.
        return (
            self.snapshot is None
            and self.seen == self.told == rev
            and all(
                held.rev == rev and all(one.state == "done" for one in held.sets)
                for held in self.tables.values()
            )
        )


@dataclass(frozen=True, slots=True)
class Progress:
    state: State
    position: str | None = None


DONE = Progress("done")
SCAN = Progress("scan")
DROP = Progress("drop")


@dataclass(slots=True)
class Holding:
    """A table's part of a checkpoint while an answer is computed."""

    rev: int
    columns_id: str
    grants: dict[Grant, Progress] = field(default_factory=dict)

    def furthest_behind(self, state: State) -> tuple[frozenset[Grant], str | None]:
        """The grants in `state` at the lowest position, and that position."""
        positions = [p.position for p in self.grants.values() if p.state == state]
        lowest = None if None in positions else min(filter(None, positions))
        return (
            frozenset(
                g for g, p in self.grants.items() if p == Progress(state, lowest)
            ),
            lowest,
        )

    def next_position(self, state: State, after: str | None) -> str | None:
        """The next position at which other grants in `state` wait to be joined."""
        return min(
            (
                p.position
                for p in self.grants.values()
                if p.state == state and p.position is not None and p.position != after
            ),
            default=None,
        )

    def has(self, state: State) -> bool:
        return any(progress.state == state for progress in self.grants.values())

    def frozen(self) -> tuple[TableHolding, dict[str, frozenset[Grant]]]:
        """The checkpoint's form, and the sets that it names."""
        by_progress: dict[Progress, set[Grant]] = {}
        for grant, progress in self.grants.items():
            by_progress.setdefault(progress, set()).add(grant)
        named = {
            grants_id(grants): frozenset(grants) for grants in by_progress.values()
        }
        sets = tuple(
            GrantSet(grants_id(grants), progress.state, progress.position)
            for progress, grants in sorted(by_progress.items(), key=_order)
        )
        return TableHolding(self.rev, self.columns_id, sets), named


def _order(item: tuple[Progress, set[Grant]]) -> tuple[str, str]:
    return item[0].state, item[0].position or ""


def as_grant(numbers: Sequence[int | None]) -> Grant:
    """A stored grant; one from before there were so many keys leaves the rest free."""
    k1, k2, k3, k4, k5, k6 = (*numbers[1:], *(None,) * 6)[:6]
    rule = numbers[0]
    assert rule is not None
    return rule, k1, k2, k3, k4, k5, k6


def sorted_grants(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda grant: tuple(key or 0 for key in grant))


def grants_id(grants: Iterable[Grant]) -> str:
    return content_id("g", sorted_grants(grants))


def content_id(kind: str, content: object) -> str:
    digest = hashlib.sha256(msgspec.json.encode([kind, content])).hexdigest()
    return f"{kind}{digest[:_DIGEST_LENGTH]}"
