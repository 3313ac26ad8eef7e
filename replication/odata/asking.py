"""Asks for rows in an order of our own, and checks that they came in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replication.domain import modes
from replication.domain.modes import UnreadableStampError
from replication.domain.tables import ColumnDef, TableDef
from replication.odata.answers import time_of
from replication.odata.decoding import Decoded, decoder_for
from replication.odata.keys import key_columns
from replication.odata.literals import COMPARABLE, key_parts
from replication.odata.rows import codec_for
from replication.source import PollingUnsupportedError

if TYPE_CHECKING:
    from replication.odata.client import ODataSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One page as it came."""

    decoded: Decoded
    # The source's own link to the next page.
    link: str | None
    # How many rows were asked for.
    asked: int
    # The source's time.
    now: datetime
    size: int

    @property
    def is_full(self) -> bool:
        """Whether more may follow; a full page may be the last one too."""
        count = len(self.decoded.rows) + len(self.decoded.set_aside)
        return self.link is not None or count >= self.asked


def ask(
    client: ODataSource,
    table: TableDef,
    address: Callable[[int], str],
    *,
    wider: int = 1,
) -> Answer:
    """Return a page; `address` makes its URL for a number of rows."""
    asked_at: list[str] = []

    def remembered(size: int) -> str:
        asked_at.append(address(size * wider))
        return asked_at[-1]

    reply, size = client.read_page(table, remembered)
    decoded = decoder_for(table).decode(reply.body)
    return Answer(
        decoded=decoded,
        link=client.own_link(decoded.next_link, asked_at[-1]),
        asked=size * wider,
        now=time_of(reply, now=datetime.now(UTC)),
        size=len(reply.body),
    )


def ordered(columns: Sequence[ColumnDef]) -> str:
    return ",".join(column.source_name for column in columns)


def is_comparable(table: TableDef) -> bool:
    """Whether any service can say which of two keys of the table is greater."""
    return all(column.type in COMPARABLE for column in key_columns(table))


def key_values(table: TableDef, row: Any) -> tuple[str, ...]:
    key = codec_for(table).key(row)
    return (key,) if len(table.key) == 1 else tuple(key_parts(key))


def keys_only(table: TableDef, *more: ColumnDef) -> TableDef:
    """Return the table with its key columns, and no others but these."""
    columns = dict.fromkeys((*key_columns(table), *more))
    return replace(table, columns=tuple(columns), whole_rows=False, tracked=False)


def stamps(table: TableDef, column: ColumnDef, rows: Sequence[Any]) -> list[str | None]:
    """Return the stamps of rows as texts."""
    field = codec_for(table).fields[column.name]
    values = [getattr(row, field) for row in rows]
    return [None if value is None else str(value) for value in values]


def check_order(
    table: TableDef, column: ColumnDef, found: Sequence[str | None]
) -> None:
    """Refuse rows that are out of order, or have no stamp.

    :raises PollingUnsupportedError: they are; a watermark would skip rows.
    """
    message = f"The source does not sort {table.name} by {column.source_name}."
    before: Any = None
    for stamp in found:
        if stamp is None:
            raise PollingUnsupportedError(message)
        try:
            order = modes.order_of(column, stamp)
        except UnreadableStampError:
            continue
        if before is not None and order < before:
            raise PollingUnsupportedError(message)
        before = order
