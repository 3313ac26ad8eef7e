"""Reads one table by ranges, so that several workers may do so at once.

A table that Dataverse tracks is divided by the versions of its rows. A tracked request
takes no condition, and its delta link comes with the last page only. So keys and
versions are listed first, in one tracked run; parts are read after that, each by
conditions of its own; and what changed since the listing comes with its delta link.
A row that nobody touches meanwhile keeps its version, so that exactly one part has it.

Polled tables are divided by a key that is a whole number; what changes meanwhile comes
with the poll that begins at the watermark from before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from replication.domain.modes import Found, Place
from replication.domain.pages import Cursor, Page
from replication.domain.parts import Span
from replication.domain.tables import ColumnType, TableDef
from replication.odata import asking, probing
from replication.odata.rows import codec_for
from replication.source import RangesUnsupportedError

if TYPE_CHECKING:
    from replication.odata.client import ODataSource

_NUMBERS = frozenset({ColumnType.INT, ColumnType.BIGINT})


class Ranges:
    """Implements `source.Ranges`."""

    def __init__(self, client: ODataSource, *, is_dataverse: bool) -> None:
        self._client = client
        self._is_dataverse = is_dataverse

    def column(self, table: TableDef, found: Found) -> str | None:
        """See `source.Ranges.column`."""
        if self._is_dataverse:
            is_tracked = table.tracked and found.mode == "delta"
            return table.version_column if is_tracked else None
        if found.mode != "watermark" or len(table.key) > 1:
            return None
        is_number = table.column(table.key[0]).type in _NUMBERS
        return table.key[0] if is_number else None

    def listed(self, table: TableDef, link: str | None) -> Page:
        """See `source.Ranges.listed`."""
        shape = _outline(table)
        cursor = Cursor(kind="next", link=link) if link else None
        return self._client.fetch_page(shape, cursor)

    def versions(self, table: TableDef, rows: Sequence[Any]) -> list[int]:
        """See `source.Ranges.versions`."""
        codec = codec_for(_outline(table))
        return [int(codec.version(row)) for row in rows]

    def cursor_after(self, table: TableDef, found: Found, link: str | None) -> str:
        """See `source.Ranges.cursor_after`."""
        if link is None:
            column = table.column(found.column or "")
            high = probing.newest(self._client, table, column)
            return Place(kind="poll", high=high).encoded()
        whole = _with_columns_of(link, self._client.address(table))
        # The link was put together here, so it is tried before anybody relies on it.
        self._client.fetch_page(table, Cursor(kind="delta", link=whole))
        return whole

    def ends(self, table: TableDef, column: str) -> Span | None:
        """See `source.Ranges.ends`."""
        lowest = self._end(table, column, "asc")
        highest = self._end(table, column, "desc")
        if lowest is None or highest is None:
            return None
        return Span(after=lowest - 1, upto=highest)

    def _end(self, table: TableDef, column: str, direction: str) -> int | None:
        shape = asking.keys_only(table, table.column(column))
        order = f"{table.column(column).source_name} {direction}"

        def address(_: int) -> str:
            return self._client.address(shape, orderby=order, top="1")

        rows = asking.ask(self._client, shape, address).decoded.rows
        found = _values(shape, column, rows)
        return found[0] if found else None

    def reader(self, column: str, *, upto: int) -> RangeReader:
        """See `source.Ranges.reader`."""
        return RangeReader(self._client, column, upto=upto)


class RangeReader:
    """Implements `PageReader` for a range; cursors are the last value that was read.

    Each page is asked for by a condition: pages that a service cuts by counting would
    hide rows when others are deleted meanwhile.
    """

    def __init__(self, client: ODataSource, column: str, *, upto: int) -> None:
        self._client = client
        self._column = column
        self._upto = upto

    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """See `Source.fetch_page`.

        :raises RangesUnsupportedError: the source does not keep to the range.
        """
        assert cursor is not None
        after = int(cursor.link)
        table = replace(table, tracked=False)
        name = table.column(self._column).source_name
        condition = f"{name} gt {after} and {name} le {self._upto}"

        def address(_: int) -> str:
            return self._client.address(table, filter=condition, orderby=name)

        answer = asking.ask(self._client, table, address)
        values = _values(table, self._column, answer.decoded.rows)
        self._check(table, [after, *values])
        if answer.is_full and not values:
            message = f"No row of a page of {table.name} is usable."
            raise RangesUnsupportedError(message)
        goes_on = answer.is_full and values[-1] < self._upto
        return Page(
            rows=answer.decoded.rows,
            deletes=[],
            next_link=str(values[-1]) if goes_on else None,
            set_aside=tuple(answer.decoded.set_aside),
            stripped_nuls=answer.decoded.stripped_nuls,
            size=answer.size,
        )

    def _check(self, table: TableDef, values: Sequence[int]) -> None:
        if values[-1] > self._upto or any(a >= b for a, b in pairwise(values)):
            raise RangesUnsupportedError(
                f"The source does not keep to ranges of {table.name}."
            )


def _outline(table: TableDef) -> TableDef:
    assert table.version_column is not None
    shape = asking.keys_only(table, table.column(table.version_column))
    return replace(shape, tracked=True)


def _values(table: TableDef, column: str, rows: Sequence[Any]) -> list[int]:
    """:raises RangesUnsupportedError: a row has no value."""
    found = asking.stamps(table, table.column(column), rows)
    values = [int(value) for value in found if value is not None]
    if len(values) < len(found):
        message = f"Rows of {table.name} have no place in any range."
        raise RangesUnsupportedError(message)
    return values


def _with_columns_of(link: str, address: str) -> str:
    """Return a link with the `$select` of another address, and all else as it is.

    :raises RangesUnsupportedError: the link names no columns.
    """
    base, _, query = link.partition("?")
    (wanted,) = [part for part in _parts(address) if _is_select(part)]
    parts = query.split("&")
    if sum(map(_is_select, parts)) != 1:
        raise RangesUnsupportedError("A delta link does not name its columns.")
    changed = [wanted if _is_select(part) else part for part in parts]
    return f"{base}?{'&'.join(changed)}"


def _parts(address: str) -> list[str]:
    return address.partition("?")[2].split("&")


def _is_select(part: str) -> bool:
    return unquote(part.partition("=")[0]).lower() == "$select"
