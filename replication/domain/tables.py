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
    # Field security: only who is granted the column may have it.
    secured: bool = False
    # The source's own id of the column, which outlives a new name.
    source_id: str | None = None
    # The source computes the value; nobody else may write it.
    computed: bool = False
    # Whether a value may be given when a row is created, and later.
    creatable: bool = True
    updatable: bool = True
    # The row's ETag is made from it: it changes with every edit.
    guards_row: bool = False
    # Holds, as one JSON object, what rows of an open type have beyond their columns.
    undeclared: bool = False


Ownership = Literal["user", "business", "organization", "none"]

FileKind = Literal["file", "image", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDef:
    """A column that holds a file. Its body never travels in a row: it is fetched and
    sent alone (PROTOCOL §8)."""

    name: str
    kind: FileKind
    secured: bool = False
    updatable: bool = True


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
    # Rows are asked for without `$select`: only so do they bring columns of heirs of
    # their type, and what was never declared.
    whole_rows: bool = False
    # The relation in staging where it is not called like the table.
    relation: str | None = None
    # Rises when rows have to be handed out again although they did not change.
    form: int = 1
    # Columns that the source has no longer. They are neither pulled nor served, but a
    # rule may name them until it is looked at anew.
    retired: tuple[ColumnDef, ...] = ()
    files: tuple[FileDef, ...] = ()

    def column(self, name: str) -> ColumnDef:
        """A column, also a retired one.

        :raises KeyError: the table has no such column.
        """
        for column in (*self.columns, *self.retired):
            if column.name == name:
                return column
        raise KeyError(name)

    def file(self, name: str) -> FileDef | None:
        """A column that holds a file; None if there is none of that name."""
        return next((file for file in self.files if file.name == name), None)

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

# Replicated where the source has them; they decide who may see which columns, and
# what a filter means for a user.
MORE_SECURITY_TABLES = (
    "principalobjectaccess",
    "position",
    "fieldpermission",
    "systemuserprofiles",
    "teamprofiles",
    "usersettings",
)

# Rows that users follow (SOURCE §5.1).
FOLLOWS = "postfollow"

# A change of these changes what users may hold, without a feed entry that says so.
ACCESS_TABLES = frozenset(SECURITY_TABLES) | {
    "fieldpermission",
    "systemuserprofiles",
    "teamprofiles",
    "usersettings",
}
