"""Which mutations of a device are carried out together, and which have to wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from replication.domain.tables import ColumnDef, ColumnType

# Source answers that waiting may cure: soon again, then ever more slowly. The source's
# own budget spares it; this spares the device's queue.
FIRST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(seconds=30)
SPREAD = 0.25
# An edit that makes the source fail each time, while it answers everything else, would
# keep all later edits of its device waiting.
HOPELESS_AFTER = 12

# A row: its table, None where only the key is known, and its key as text.
Row = tuple[str | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of a mutation decides on its turn."""

    id: UUID
    sequence: int
    op: str
    row: Row | None = None
    group: UUID | None = None
    # Rows that it names beside its own.
    names: frozenset[Row] = field(default_factory=frozenset)
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A mutation that was not done."""

    id: UUID
    sequence: int
    op: str
    row: Row | None
    # Of one that is parked: what it waits behind.
    blocked_by: UUID | None = None
    # When its device confirmed that it knows; None: not yet.
    delivered_at: datetime | None = None

    @property
    def root(self) -> UUID:
        return self.blocked_by or self.id


def units(waiting: Sequence[Place]) -> list[tuple[Place, ...]]:
    """Split a queue into what is carried out together, in order of sequence.

    Neighbours of one group belong together; everything else stands alone.
    """
    found: list[list[Place]] = []
    for place in waiting:
        last = found[-1][-1] if found else None
        if last is not None and _are_neighbours(last, place):
            found[-1].append(place)
        else:
            found.append([place])
    return [tuple(unit) for unit in found]


def _are_neighbours(one: Place, next_one: Place) -> bool:
    return (
        one.group is not None
        and one.group == next_one.group
        and one.sequence + 1 == next_one.sequence
    )


def blocker(place: Place, failed: Iterable[Failed]) -> UUID | None:
    """The failed mutation that this one waits behind, the earliest if there are more.

    It waits behind one of the same row, and behind a create whose row it names; but
    not if the device knew of the failure when the edit came: then its user has decided.
    """
    if place.op == "void":
        return None
    behind = [
        one for one in failed if one.sequence < place.sequence and _depends(place, one)
    ]
    return min(behind, key=lambda one: one.sequence).root if behind else None


def _depends(place: Place, failed: Failed) -> bool:
    is_known = (
        failed.delivered_at is not None and failed.delivered_at <= place.accepted_at
    )
    if failed.row is None or is_known:
        return False
    if failed.row == place.row:
        return True
    return failed.op == "create" and not place.names.isdisjoint(
        {failed.row, (None, failed.row[1])}
    )


def named_rows(
    values: Mapping[str, object], columns: Mapping[str, ColumnDef]
) -> frozenset[Row]:
    """The rows that the lookups among these values may refer to."""
    found: set[Row] = set()
    for name, value in values.items():
        column = columns.get(name)
        if column is None or not isinstance(value, str | int):
            continue
        # Keys that are GUIDs are in lower case, others as they are.
        keys = {str(value), str(value).lower()}
        kind = values.get(f"{name}__type")
        targets = (kind,) if isinstance(kind, str) else column.references
        found |= {(t, key) for t in targets for key in keys}
        if not targets and column.type is ColumnType.GUID:
            found |= {(None, key) for key in keys}
    return frozenset(found)


def delay_after(attempts: int, *, jitter: float) -> timedelta:
    """How long a mutation waits after its attempt of this number, the first being 1."""
    growth: int = 2 ** min(max(attempts - 1, 0), 8)
    delay = min(FIRST_DELAY * growth, LONGEST_DELAY)
    return min(delay * (1 - SPREAD + 2 * SPREAD * jitter), LONGEST_DELAY)
