"""A page of source changes, decoded, and the cursor that follows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

CursorKind = Literal["next", "delta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in the source's order: its link, verbatim."""

    kind: CursorKind
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A row that cannot be stored. `key` is None when that is what is missing."""

    key: str | None
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Keys and versions of rows, where only those that differ are worth reading."""

    keys: list[str]
    versions: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Consecutive changes in the order in which they arrived.

    `rows` are decoded structs of the codec that made the page (opaque to
    everybody else); `deletes` are keys in the form of PROTOCOL §5. Exactly one
    of `next_link` and `delta_link` is set, or neither when the source does not
    track changes and this was the last page.
    """

    rows: list[Any]
    deletes: list[str]
    next_link: str | None = None
    delta_link: str | None = None
    set_aside: tuple[SetAside, ...] = ()
    # NUL characters that PostgreSQL has no room for, taken out of strings.
    stripped_nuls: int = 0
    # Bytes of the body after decompression.
    size: int = 0
    # Instead of rows: what was read of them. It is resolved before the commit.
    outline: Outline | None = None
    # Keys of rows that the source has as staging has them.
    met: Sequence[str] = ()
    # The highest modified time, or version, that a poll has read.
    watermark: str | None = None
    # The source says that these are rows as they stand, and not changes.
    lists_rows: bool = False

    @property
    def is_last(self) -> bool:
        return self.next_link is None
