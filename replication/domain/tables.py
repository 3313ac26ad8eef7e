"""What a replicated table looks like, whatever source it comes from. Pure.

Names of columns are the *staging* names (PROTOCOL §5): a lookup that the source
calls `_ownerid_value` is the column `ownerid`; `source_name` keeps the wire name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class ColumnType(StrEnum):
    """The types of PROTOCOL §5, and how PostgreSQL stores them."""

    GUID = "guid"
    STRING = "string"
    INT = "int"
    BIGINT = "bigint"
    BOOL = "bool"
    DOUBLE = "double"
    DECIMAL = "decimal"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    CHOICES = "choices"
    BINARY = "binary"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDef:
    """One column. `source_name` is its name on the wire; None for a companion
    that is filled from an annotation (`x__type` of a polymorphic lookup)."""

    name: str
    type: ColumnType
    source_name: str
    required: bool = False
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    # Names of the tables that a lookup may refer to.
    references: tuple[str, ...] = ()
    # Value to label, in the organization's base language.
    options: tuple[tuple[int, str], ...] = ()
    # True for `x__type`: the value is the annotation
    # `source_name@Microsoft.Dynamics.CRM.lookuplogicalname`.
    from_annotation: bool = False


Ownership = Literal["user", "business", "organization", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDef:
    """One table as replication needs it.

    `columns` includes the key. `version_column` names the column whose value is
    the row's version and which grows with every change (Dataverse
    `versionnumber`, `bigint`); None when only ETags tell versions apart.
    """

    name: str
    entity_set: str
    key: tuple[str, ...]
    columns: tuple[ColumnDef, ...]
    primary_name: str | None = None
    version_column: str | None = None
    ownership: Ownership = "none"
    # Change tracking is on at the source: deltas come by delta links.
    tracked: bool = False
    # The privilege that lets a user read rows, e.g. `prvReadAccount`; compared
    # case-insensitively. Activities share `prvReadActivity`.
    read_privilege: str | None = None
    label: str | None = None

    def column(self, name: str) -> ColumnDef:
        """:raises KeyError: the table has no such column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def has_guid_key(self) -> bool:
        return len(self.key) == 1 and self.column(self.key[0]).type is ColumnType.GUID

    @property
    def owner_column(self) -> str | None:
        return "ownerid" if self.ownership == "user" else None

    @property
    def unit_column(self) -> str | None:
        """The column that names the business unit a row belongs to."""
        by_ownership = {"user": "owningbusinessunit", "business": "businessunitid"}
        name = by_ownership.get(self.ownership)
        if any(column.name == name for column in self.columns):
            return name
        return None


# Tables that decide who may see what. Without them no device can start.
SECURITY_TABLES = (
    "systemuser",
    "team",
    "teammembership",
    "businessunit",
    "role",
    "systemuserroles",
    "teamroles",
    "roleprivileges",
    "privilege",
)
