"""What the plain service holds: entity sets of every kind that OData knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

METADATA = (Path(__file__).parent / "metadata.xml").read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySet:
    """`types` are those that need care when values are compared."""

    name: str
    key: tuple[str, ...]
    has_etags: bool
    # The column that the service sets to its clock with every edit.
    stamp: str | None
    types: Mapping[str, str] = field(default_factory=dict)


SETS = {
    made.name: made
    for made in (
        EntitySet(
            name="Products",
            key=("ID",),
            has_etags=True,
            stamp="ModifiedAt",
            types={"Price": "decimal", "ModifiedAt": "datetime"},
        ),
        EntitySet(
            name="Customers",
            key=("Code",),
            has_etags=False,
            stamp="LastUpdated",
            types={"LastUpdated": "datetime"},
        ),
        EntitySet(
            name="OrderLines",
            key=("Order", "Line"),
            has_etags=False,
            stamp=None,
            types={"Amount": "decimal"},
        ),
        EntitySet(
            name="People",
            key=("Id",),
            has_etags=True,
            stamp="ModifiedOn",
            types={"Id": "guid", "ModifiedOn": "datetime", "Salary": "decimal"},
        ),
        EntitySet(
            name="Notes", key=("Id",), has_etags=False, stamp=None, types={"Id": "guid"}
        ),
        EntitySet(
            name="Samples",
            key=("ID",),
            has_etags=False,
            stamp="UpdatedAt",
            types={
                "Exact": "decimal",
                "Moment": "datetime",
                "UpdatedAt": "datetime",
                "Guid": "guid",
            },
        ),
    )
}
