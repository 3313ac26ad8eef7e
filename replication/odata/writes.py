"""The words in which rows of a source are written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from replication.domain.pages import Page
from replication.domain.tables import TableDef

Op = Literal["create", "update", "delete", "associate", "disassociate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One edit, in the words of PROTOCOL §5 and §7.

    `key` has the canonical values of `table.key`, in that order; a create sends them
    in its body. `values` are JSON values by staging column, a polymorphic lookup as
    both columns. `if_match` is the ETag that the row must still have; without it an
    update asks only that the row exists. `relationship` and `other_key` belong to
    associate and disassociate: the source's name of the relationship, for services
    that are not Dataverse that of the navigation property.
    """

    table: TableDef
    op: Op
    key: tuple[Any, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    if_match: str | None = None
    relationship: str | None = None
    other_key: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A row of the marker table that is written together with edits, or not at all."""

    id: UUID
    # For people who look at the table: device and sequence.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """A row as the application user reads it now."""

    # Holds the one row, ready to be committed as pulled pages are.
    page: Page
    key: str
    version: str
    # What goes into `If-Match`; None where the source has no ETags.
    etag: str | None
    # Canonical JSON values by staging column, as devices get them.
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A write that the source confirmed."""

    # The row after the write, where the source's answer had it and it was read with
    # nobody else's rights; None means that it has to be read.
    row: ReadRow | None = None
