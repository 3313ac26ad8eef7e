"""Which columns of a table a user takes along. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from replication.domain.alternatives import type_column
from replication.domain.profiles import Association, ProfileDef
from replication.domain.tables import ColumnDef, TableDef

# In every user's model, whatever columns a profile chooses.
_ALWAYS = frozenset({"ownerid", "ownerid__type", "statecode", "statuscode"})


def columns(
    table: TableDef,
    profiles: Iterable[ProfileDef],
    *,
    granted: Collection[tuple[str, str]],
) -> tuple[ColumnDef, ...]:
    """The union of what the profiles choose, without secured columns that are not
    granted: the key, name, owner, state and the lookups of associations always.
    """
    profiles = tuple(profiles)
    chosen = {*table.key, *_ALWAYS, *_lookups(table.name, profiles)}
    if table.primary_name:
        chosen.add(table.primary_name)
    takes_all = False
    for profile in profiles:
        for item in profile.items:
            if item.table == table.name:
                takes_all = takes_all or item.columns is None
                chosen |= set(item.columns or ())
    return tuple(
        column
        for column in table.columns
        if (takes_all or column.name in chosen)
        and (not column.secured or _is_granted(table, column, granted))
    )


def _is_granted(
    table: TableDef, column: ColumnDef, granted: Collection[tuple[str, str]]
) -> bool:
    return (table.name.lower(), column.name.lower()) in granted


def _lookups(table: str, profiles: Iterable[ProfileDef]) -> set[str]:
    found: set[str] = set()
    for profile in profiles:
        for item in profile.items:
            for association in item.associations:
                if _holder(item.table, association) == table:
                    found |= {association.column, type_column(association.column)}
    return found


def _holder(table: str, association: Association) -> str | None:
    """The table that has the association's lookup."""
    if association.kind == "one_to_many":
        return association.table
    return table if association.kind == "many_to_one" else None
