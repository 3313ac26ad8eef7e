"""What replication needs from a source system; `odata` implements it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from project.errors import TransientError
from replication.domain.pages import Cursor, Page
from replication.domain.tables import TableDef


class ResyncRequiredError(TransientError):
    """The source no longer knows the cursor (expired, metadata changed, restored)."""

    code = "resync_required"


class RowCodec(Protocol):
    """Knows the decoded rows of one table."""

    def key(self, row: Any) -> str:
        """The key of PROTOCOL §5: the value, or a JSON array for a composite one."""

    def version(self, row: Any) -> str:
        """The source's row version, else its ETag, else a hash of the row."""

    def copy_lines(self, rows: Iterable[Any]) -> bytes:
        """COPY text format: `table.columns` in order, then the version."""


class Source(Protocol):
    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """Return the changes that follow `cursor`; None means the whole table.

        :raises TransientError: busy, throttling, unreachable, or nonsense came.
        :raises MisconfiguredError: it refused our credentials or the table.
        :raises ResyncRequiredError: the cursor is too old; load anew.
        """

    def has_row(self, table: TableDef, key: str) -> bool:
        """Whether the row is there now, for a table whose key is one GUID."""

    def codec(self, table: TableDef) -> RowCodec:
        """Return the codec that reads the rows of `fetch_page`."""

    def load_tables(self, names: tuple[str, ...]) -> tuple[TableDef, ...]:
        """Return the definitions of these tables; unknown names are left out."""
