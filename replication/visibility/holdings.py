"""What a device holds against what its user may hold (FEED §3, step 2). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from replication.visibility.access import Access, TableAccess
from replication.visibility.checkpoints import (
    DROP,
    SCAN,
    Checkpoint,
    Grant,
    Holding,
    Progress,
)

Holdings = dict[str, Holding]


def of_checkpoint(
    checkpoint: Checkpoint | None, sets: Mapping[str, frozenset[Grant]]
) -> Holdings:
    """The checkpoint's tables with the content of the sets that it names."""
    if checkpoint is None:
        return {}
    return {
        name: Holding(
            rev=held.rev,
            columns_id=held.columns_id,
            grants={
                grant: Progress(one.state, one.position)
                for one in held.sets
                for grant in sets[one.grants_id]
            },
        )
        for name, held in checkpoint.tables.items()
    }


def brought_up_to(
    held: Holdings,
    access: Access,
    *,
    rev: int,
    column_types: Mapping[str, Mapping[str, str]],
    reset: Collection[str],
) -> tuple[Holdings, tuple[str, ...]]:
    """The work that the present access makes of the holdings, and the tables that
    are sent again in full. Tables that left the model are forgotten."""
    current: Holdings = {}
    resets = []
    for name, table in access.tables.items():
        holding = held.get(name)
        if holding is not None and (
            name in reset or _has_new_columns(column_types[holding.columns_id], table)
        ):
            resets.append(name)
            holding = None
        if holding is None:
            holding = Holding(rev=rev, columns_id=table.columns_id)
        holding.columns_id = table.columns_id
        _compare_grants(holding, table.grants)
        current[name] = holding
    return current, tuple(resets)


def _has_new_columns(before: Mapping[str, str], table: TableAccess) -> bool:
    return any(before.get(name) != kind for name, kind in table.columns_content)


def _compare_grants(holding: Holding, granted: frozenset[Grant]) -> None:
    for grant, progress in holding.grants.items():
        if grant not in granted and progress.state != "drop":
            holding.grants[grant] = DROP
        elif grant in granted and progress.state == "drop":
            # Some of its rows are gone from the device already.
            holding.grants[grant] = SCAN
    for grant in granted - holding.grants.keys():
        holding.grants[grant] = SCAN
