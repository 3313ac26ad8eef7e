"""What an explanation says: why a user sees, or does not see, one row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from replication.domain.tables import TableDef


class Outcome(StrEnum):
    """Visible, or the first condition that failed, in the order of asking."""

    VISIBLE = "visible"
    UNKNOWN_TABLE = "unknown_table"
    UNKNOWN_ROW = "unknown_row"
    UNKNOWN_USER = "unknown_user"
    DISABLED_USER = "disabled_user"
    BLOCKED_USER = "blocked_user"
    NO_ROLE = "no_role"
    NO_PROFILE = "no_profile"
    NOT_IN_PROFILES = "not_in_profiles"
    NO_PRIVILEGE = "no_privilege"
    NOT_OPENED = "not_opened"
    ORGANIZATION_FILTER = "organization_filter"
    NOT_TAKEN = "not_taken"
    # Every condition holds, and the feed does not say so yet.
    CATCHING_UP = "catching_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A user, team, business unit or row with a name for people."""

    id: UUID
    table: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.table} {self.name or self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A privilege that opens the row. `opens` says by what: everything, owner,
    unit, ancestor or through; `by` is the principal or unit that is meant.

    Where the source has no roles, what profiles take is open to all who have them.
    """

    role: str
    depth: str
    opens: str
    team: Named | None = None
    by: Named | None = None


# A source without roles of its own: whoever has a profile may read what it takes.
OPEN = Right(role="", depth="", opens="everything")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which a profile item may take the row, and whether it does.

    `slot` is the way's place: `profile/table`, after the tables that rows of this
    one bring. `path` are the related rows that lead to the row which decides.
    """

    slot: str
    is_taken: bool
    reason: str
    path: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A feed entry through which the user has the row, since which rev."""

    rule: int
    shape: str
    rev: int
    keys: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`detail` says more about the outcome, for people. `is_visible` is as the feed
    has it, whatever the conditions say."""

    outcome: Outcome
    is_visible: bool = False
    detail: str = ""
    user: Named | None = None
    row: Named | None = None
    owner: Named | None = None
    unit: Named | None = None
    profiles: tuple[str, ...] = ()
    rights: tuple[Right, ...] = ()
    ways: tuple[Way, ...] = ()
    entries: tuple[Entry, ...] = ()
    # Secured columns that the user is not granted, and what no profile chose.
    masked: tuple[str, ...] = ()
    not_chosen: tuple[str, ...] = ()
    # The clock's rev at which all of this is true.
    rev: int = 0


def title_column(table: TableDef) -> str | None:
    """The column by which people know a row."""
    has_it = any(column.name == table.primary_name for column in table.columns)
    return table.primary_name if has_it else None
