"""What a change of a table's definition at the source means for staging. Pure.

Devices go on with the former definition until the rows are there in the new form.
What takes values that staging lacks is loaded in one of two ways: `fill` writes the
new columns of all rows where they are, `replace` loads the table into a relation of
its own, which takes the former one's place when it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from replication.domain.tables import (
    MORE_SECURITY_TABLES,
    SECURITY_TABLES,
    ColumnDef,
    ColumnType,
    TableDef,
)

Way = Literal["none", "fill", "replace"]

# Their relations are known by name, so that another one cannot take their place.
FIXED = frozenset({*SECURITY_TABLES, *MORE_SECURITY_TABLES})


@dataclass(frozen=True, slots=True)
class Describe:
    """Labels, lengths, rights and the like; no value changes."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Widen:
    """Other digits of a decimal: its values are written another way."""

    column: str


@dataclass(frozen=True, slots=True)
class AddColumn:
    column: str


@dataclass(frozen=True, slots=True)
class RefillColumn:
    """The source has another column of the same name and type."""

    column: str


@dataclass(frozen=True, slots=True)
class ChangeType:
    column: str
    before: ColumnType
    after: ColumnType


@dataclass(frozen=True, slots=True)
class RenameColumn:
    column: str
    to: str


@dataclass(frozen=True, slots=True)
class RetireColumn:
    """It is no longer pulled nor served; what staging holds of it stays a while."""

    column: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Rows are identified, ordered or owned another way: nothing staged can stay."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repull:
    """The rows come from another place, or by another kind of cursor."""

    members: tuple[str, ...]


Step = (
    Describe
    | Widen
    | RetireColumn
    | AddColumn
    | RefillColumn
    | RenameColumn
    | ChangeType
    | Reload
    | Repull
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPlan:
    """`served` holds at once, `coming` when it is loaded.

    `retired` are columns that leave `served` now. `is_refused` names what cannot be
    followed, because the table is one of those that decide who may see what.
    """

    steps: tuple[Step, ...] = ()
    served: TableDef
    coming: TableDef | None = None
    way: Way = "none"
    retired: tuple[ColumnDef, ...] = ()
    pulls_anew: bool = False
    is_refused: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps


# Rows are identified, ordered or handed out by these.
_RELOADING = ("key", "version_column", "ownership")
_REPULLING = ("entity_set", "tracked", "whole_rows")
_DESCRIBING = ("primary_name", "read_privilege", "label", "files")


def plan(
    stored: TableDef,
    wanted: TableDef,
    *,
    left_over: Mapping[str, ColumnType] | None = None,
) -> SchemaPlan:
    """Compare what staging serves with what the source has now.

    `left_over`: types of columns that the relation still has although they were
    retired.
    """
    steps = _steps(stored, wanted)
    if not steps:
        return SchemaPlan(served=stored)
    is_fixed = stored.name in FIXED
    way = _way(steps, wanted, left_over or {})
    if way == "replace" and is_fixed:
        return _of_fixed(stored, wanted, steps, left_over or {})
    return _plan(stored, wanted, steps, way, left_over or {})


def _plan(
    stored: TableDef,
    wanted: TableDef,
    steps: tuple[Step, ...],
    way: Way,
    left_over: Mapping[str, ColumnType],
) -> SchemaPlan:
    gone = tuple(
        stored.column(step.column) for step in steps if isinstance(step, RetireColumn)
    )
    # A device may still hold a column that comes back, with its former values.
    changes_text = any(
        isinstance(step, Widen | RefillColumn)
        or (isinstance(step, AddColumn) and step.column in left_over)
        for step in steps
    )
    form = stored.form + (1 if changes_text or way == "replace" else 0)
    full = replace(
        wanted,
        relation=stored.relation,
        form=form,
        retired=_retired(stored, wanted, gone),
    )
    if way == "none":
        served, coming = full, None
    else:
        names = {column.name for column in gone}
        served = _described_as(_without(stored, names, retired=gone), wanted)
        coming = full
    return SchemaPlan(
        steps=steps,
        served=served,
        coming=coming,
        way=way,
        retired=gone,
        pulls_anew=any(isinstance(step, Repull) for step in steps),
    )


def _of_fixed(
    stored: TableDef,
    wanted: TableDef,
    steps: tuple[Step, ...],
    left_over: Mapping[str, ColumnType],
) -> SchemaPlan:
    """A column of another type is first retired, and added once its old values are
    gone for good; other upheavals are refused."""
    refused = [m for s in steps if isinstance(s, Reload) for m in s.members]
    if refused:
        return SchemaPlan(served=stored, is_refused=tuple(refused))
    changed = {s.column for s in steps if isinstance(s, ChangeType)}
    occupied = {
        c.name for c in wanted.columns if left_over.get(c.name, c.type) is not c.type
    }
    reachable = _without(wanted, changed | occupied)
    found = _steps(stored, reachable, knows_renames=False)
    way = _way(found, reachable, left_over)
    return _plan(stored, reachable, found, way, left_over)


def _without(
    table: TableDef, names: Collection[str], *, retired: tuple[ColumnDef, ...] = ()
) -> TableDef:
    kept = tuple(c for c in table.columns if c.name not in names)
    primary_name = None if table.primary_name in names else table.primary_name
    return replace(
        table,
        columns=kept,
        primary_name=primary_name,
        retired=(*(c for c in table.retired if c.name not in names), *retired),
    )


# Of a column that stays what it is, these hold at once, whatever is still loaded.
_AT_ONCE = (
    "required",
    "max_length",
    "references",
    "options",
    "creatable",
    "updatable",
)


def _described_as(table: TableDef, wanted: TableDef) -> TableDef:
    """The table with what the source says of it now, where no value is at stake."""
    after = {column.name: column for column in wanted.columns}
    columns = []
    for column in table.columns:
        now = after.get(column.name, column)
        members = _AT_ONCE if now.type is column.type else ()
        described = {member: getattr(now, member) for member in members}
        columns.append(replace(column, **described, secured=now.secured))
    names = {column.name for column in columns}
    return replace(
        table,
        columns=tuple(columns),
        primary_name=wanted.primary_name if wanted.primary_name in names else None,
        read_privilege=wanted.read_privilege,
        label=wanted.label,
        files=wanted.files,
    )


def _retired(
    stored: TableDef, wanted: TableDef, gone: tuple[ColumnDef, ...]
) -> tuple[ColumnDef, ...]:
    """Rules may name a column that is gone until they are looked at anew."""
    present = {column.name for column in wanted.columns}
    former = {c.name: c for c in (*stored.retired, *stored.columns, *gone)}
    return tuple(c for name, c in former.items() if name not in present)


def _way(
    steps: tuple[Step, ...], wanted: TableDef, left_over: Mapping[str, ColumnType]
) -> Way:
    if any(isinstance(step, ChangeType | RenameColumn | Reload) for step in steps):
        return "replace"
    added = [step.column for step in steps if isinstance(step, AddColumn)]
    if any(
        left_over.get(n, wanted.column(n).type) != wanted.column(n).type for n in added
    ):
        return "replace"
    if added or any(isinstance(step, RefillColumn) for step in steps):
        return "fill"
    return "none"


def _steps(
    stored: TableDef, wanted: TableDef, *, knows_renames: bool = True
) -> tuple[Step, ...]:
    """In the order in which they are best understood: what goes, comes, changes."""
    before = {column.name: column for column in stored.columns}
    after = {column.name: column for column in wanted.columns}
    renamed = _renamed(before, after) if knows_renames else {}
    found: list[Step] = [
        RetireColumn(name)
        for name in before
        if name not in after and name not in renamed
    ]
    found += [RenameColumn(name, to) for name, to in renamed.items()]
    comers = after.keys() - before.keys() - set(renamed.values())
    found += [AddColumn(name) for name in after if name in comers]
    for name in after:
        if name in before:
            found += _changes(before[name], after[name])
    for kind, names in ((Reload, _RELOADING), (Repull, _REPULLING)):
        members = _differing(stored, wanted, names)
        if members:
            found.append(kind(members))
    described = (*_described(before, after), *_differing(stored, wanted, _DESCRIBING))
    if described or (not found and list(before) != list(after)):
        found.append(Describe(described))
    return tuple(found)


def _renamed(
    before: Mapping[str, ColumnDef], after: Mapping[str, ColumnDef]
) -> dict[str, str]:
    """Columns that bear another name now, where the source says so by its own ids."""
    came = {
        c.source_id: c
        for c in after.values()
        if c.source_id and c.name not in before and not c.from_annotation
    }
    return {
        c.name: came[c.source_id].name
        for c in before.values()
        if c.name not in after
        and not c.from_annotation
        and c.source_id in came
        and came[c.source_id].type is c.type
    }


def _changes(before: ColumnDef, after: ColumnDef) -> list[Step]:
    if before.type is not after.type or _wire(before) != _wire(after):
        return [ChangeType(after.name, before.type, after.type)]
    if before.source_id and after.source_id and before.source_id != after.source_id:
        return [RefillColumn(after.name)]
    if after.type is ColumnType.DECIMAL and before.scale != after.scale:
        return [Widen(after.name)]
    return []


def _wire(column: ColumnDef) -> tuple[str, bool]:
    return column.source_name, column.from_annotation


_OF_COLUMNS = (
    "required",
    "max_length",
    "precision",
    "scale",
    "references",
    "options",
    "secured",
    "creatable",
    "updatable",
    "source_id",
)


def _described(
    before: Mapping[str, ColumnDef], after: Mapping[str, ColumnDef]
) -> tuple[str, ...]:
    return tuple(
        f"{name}.{member}"
        for name in after
        if name in before
        for member in _OF_COLUMNS
        if getattr(before[name], member) != getattr(after[name], member)
    )


def _differing(
    stored: TableDef, wanted: TableDef, members: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(m for m in members if getattr(stored, m) != getattr(wanted, m))
