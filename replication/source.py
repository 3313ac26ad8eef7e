"""What replication needs from a source system; `odata` implements it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from project.errors import MisconfiguredError, TransientError
from replication.domain.modes import Found
from replication.domain.pages import Cursor, Page
from replication.domain.parts import Span
from replication.domain.source_profiles import Relationship
from replication.domain.tables import TableDef


class ResyncRequiredError(TransientError):
    """The source no longer knows the cursor (expired, metadata changed, restored)."""

    code = "resync_required"


class TrackingUnsupportedError(MisconfiguredError):
    """The source ignores change tracking although its metadata promises it."""

    code = "tracking_unsupported"


class PollingUnsupportedError(MisconfiguredError):
    """The source takes conditions and orders, and does not keep to them."""

    code = "polling_unsupported"


class RangesUnsupportedError(MisconfiguredError):
    """The source cannot be read by ranges after all; one worker has to do it."""

    code = "ranges_unsupported"


class RowCodec(Protocol):
    """Knows the decoded rows of one table."""

    def key(self, row: Any) -> str:
        """The key of PROTOCOL §5: the value, or a JSON array for a composite one."""

    def version(self, row: Any) -> str:
        """The source's row version, else its ETag, else a hash of the row."""

    def copy_lines(self, rows: Iterable[Any]) -> bytes:
        """COPY text format: `table.columns` in order, then the version."""


class PageReader(Protocol):
    """Reads one table page by page, in the way of its mode."""

    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """See `Source.fetch_page`."""


class Ranges(Protocol):
    """Lets several workers read one table at once."""

    def column(self, table: TableDef, found: Found) -> str | None:
        """Name the column by which the table can be divided, if there is one."""

    def listed(self, table: TableDef, link: str | None) -> Page:
        """Return keys and versions of a tracked table, a page of the whole."""

    def versions(self, table: TableDef, rows: Sequence[Any]) -> list[int]:
        """Return the versions of rows that were listed."""

    def cursor_after(self, table: TableDef, found: Found, link: str | None) -> str:
        """Return from where on everything is read that changes from now on.

        `link`: the delta link of the listing, for tables that are tracked.

        :raises SyncError: the source does not take it.
        """

    def ends(self, table: TableDef, column: str) -> Span | None:
        """Return the span of all values; None when there is no row."""

    def reader(self, column: str, *, upto: int) -> PageReader:
        """Return what reads a span, from the value on that a cursor names."""


class Source(Protocol):
    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """Return the changes that follow `cursor`; None means the whole table.

        :raises TransientError: busy, throttling, unreachable, or nonsense came.
        :raises MisconfiguredError: it refused our credentials or the table.
        :raises ResyncRequiredError: the cursor is too old; load anew.
        """

    def has_row(self, table: TableDef, key: str) -> bool:
        """Whether the row is there now, for a table whose key is one GUID."""

    def fetch_rows(self, table: TableDef, keys: Sequence[str]) -> Page:
        """Return the rows with these keys as they are now; what is gone is left out."""

    def find_mode(self, table: TableDef) -> Found:
        """Find out how changes of the table can be found; asks the source."""

    def reader(self, found: Found) -> PageReader:
        """Return what reads a table in this mode."""

    def ranges(self) -> Ranges:
        """Return what reads tables by ranges."""

    def row_count(self, table: TableDef) -> int | None:
        """Return how many rows the source has, None where it does not tell."""

    def codec(self, table: TableDef) -> RowCodec:
        """Return the codec that reads the rows of `fetch_page`."""

    def metadata_stamp(self, known: str | None = None) -> str | None:
        """Return what differs once metadata has changed; None if nothing tells.

        Only its first word does; what follows helps to ask again, so that `known` is
        what was returned the last time.
        """

    def load_relationships(self, tables: tuple[str, ...]) -> tuple[Relationship, ...]:
        """Return the relationships of these tables, as far as the source has any."""

    def load_tables(self, names: tuple[str, ...]) -> tuple[TableDef, ...]:
        """Return the definitions of these tables; unknown names are left out."""
