"""What becomes of an edit, given the server's row at that moment. Pure.

The table of PROTOCOL §7: what the device saw against what the source has now, under
the conflict policy of the user's profile items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from replication.domain.profiles import Conflicts

RowOp = Literal["create", "update", "delete"]
Status = Literal["applied", "conflict", "rejected", "parked"]
# Whether two values of a column are the same one, however each is written.
Same = Callable[[str, Any, Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the device wants of one row, and what it had seen of it."""

    op: RowOp
    base_version: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    base_values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """The row as the source has it now."""

    version: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """These values are to be written, guarded by the row's present version.

    `lost` are columns that are left as they are: the outcome is a conflict then.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    merged: bool = False
    lost: tuple[str, ...] = ()

    @property
    def outcome(self) -> Settled:
        """The outcome once the source has confirmed it."""
        if self.lost:
            return Settled(status="conflict", lost=self.lost)
        return Settled(status="applied", merged=self.merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing more is to be sent."""

    status: Status
    reason: str | None = None
    message: str | None = None
    merged: bool = False
    lost: tuple[str, ...] = ()


Decision = Send | Settled

NOT_FOUND = Settled(
    status="rejected", reason="not_found", message="The row does not exist any more."
)
EXISTS = Settled(
    status="rejected", reason="exists", message="A row with this key exists already."
)
_APPLIED = Settled(status="applied")
# `x__type` says of which table the row is that the lookup `x` names.
_COMPANION = "__type"


def decide(
    intent: Intent,
    row: ServerRow | None,
    *,
    policy: Conflicts,
    own_version: str | None = None,
    same: Same = lambda _column, left, right: bool(left == right),
) -> Decision:
    """Decide by what the source has now; `row` is None when it has nothing.

    `own_version`: the version that the last edit of the same device has left.
    """
    if intent.op == "create":
        return EXISTS if row is not None else Send(values=intent.values)
    if row is None:
        return _APPLIED if intent.op == "delete" else NOT_FOUND
    if is_as_seen(row.version, intent.base_version, own_version=own_version):
        return Send(values=intent.values)
    return _changed(intent, row, policy=policy, same=same)


def is_as_seen(
    version: str, base_version: str | None, *, own_version: str | None
) -> bool:
    """Whether nobody but this device has changed the row since its user saw it."""
    return version in {base_version, own_version} - {None}


def _changed(
    intent: Intent, row: ServerRow, *, policy: Conflicts, same: Same
) -> Decision:
    if policy == "client_wins":
        return Send(values=intent.values)
    if policy == "server_wins" or intent.op == "delete":
        return Settled(status="conflict", lost=tuple(sorted(intent.values)))
    return _merged(intent, row, same=same)


def _merged(intent: Intent, row: ServerRow, *, same: Same) -> Decision:
    """Write the columns that only the device has changed.

    A column that both have set to the same value is neither written nor lost.
    """
    kept: dict[str, Any] = {}
    lost: list[str] = []
    for columns in _written_together(intent.values):
        if all(same(c, row.values.get(c), intent.values[c]) for c in columns):
            continue
        if all(_is_untouched(intent, row, c, same=same) for c in columns):
            kept |= {c: intent.values[c] for c in columns}
        else:
            lost += columns
    if not kept:
        return _nothing_to_write(lost)
    return Send(values=kept, merged=True, lost=tuple(sorted(lost)))


def _written_together(values: Mapping[str, Any]) -> Iterable[list[str]]:
    """Columns by themselves; a polymorphic lookup with what says of which table."""
    for column in values:
        if column.removesuffix(_COMPANION) == column:
            companion = column + _COMPANION
            yield [column, companion] if companion in values else [column]
        elif column.removesuffix(_COMPANION) not in values:
            yield [column]


def _nothing_to_write(lost: list[str]) -> Settled:
    if lost:
        return Settled(status="conflict", lost=tuple(sorted(lost)))
    return Settled(status="applied", merged=True)


def _is_untouched(intent: Intent, row: ServerRow, column: str, *, same: Same) -> bool:
    """A column whose former value the device did not tell counts as touched."""
    if column not in intent.base_values:
        return False
    return same(column, row.values.get(column), intent.base_values[column])


def is_done(intent: Intent, row: ServerRow | None, *, same: Same) -> bool:
    """Whether the row looks as the edit would leave it."""
    if intent.op == "delete":
        return row is None
    if row is None:
        return False
    return all(
        same(column, row.values.get(column), wanted)
        for column, wanted in intent.values.items()
    )
