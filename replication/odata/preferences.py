"""Says what is wished for beside rows: pages, changes, names of lookups' tables. Pure."""

from __future__ import annotations

from replication.domain.tables import TableDef
from replication.odata.rows import LOOKUP_TYPE


def of_page(table: TableDef, size: int) -> str:
    """Return the `Prefer` header for a page of so many rows."""
    wishes = ["odata.track-changes"] if table.tracked else []
    return ",".join([*wishes, f"odata.maxpagesize={size}", *_annotations(table)])


def of_row(table: TableDef) -> dict[str, str]:
    """Return the headers for a single row."""
    wishes = _annotations(table)
    return {"Prefer": ",".join(wishes)} if wishes else {}


def _annotations(table: TableDef) -> list[str]:
    if any(column.from_annotation for column in table.columns):
        return [f'odata.include-annotations="{LOOKUP_TYPE}"']
    return []
