"""What the plain service holds: entity sets of every kind that OData knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from defusedxml import ElementTree

METADATA = (Path(__file__).parent / "metadata.xml").read_bytes()

_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


def _declared() -> Mapping[str, tuple[str, ...]]:
    """Return the properties of each set's own type and of those it inherits from."""
    root = ElementTree.fromstring(METADATA)
    kinds = {kind.get("Name"): kind for kind in root.iter(f"{_EDM}EntityType")}

    def properties(name: str) -> tuple[str, ...]:
        kind = kinds[name.rpartition(".")[2]]
        base = kind.get("BaseType")
        own = (str(found.get("Name")) for found in kind.iter(f"{_EDM}Property"))
        return (*(properties(base) if base else ()), *own)

    return {
        str(found.get("Name")): properties(str(found.get("EntityType")))
        for found in root.iter(f"{_EDM}EntitySet")
    }


DECLARED = _declared()


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
