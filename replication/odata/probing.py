"""Finds out, by asking, how changes of an untracked table can be found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from replication.domain import modes
from replication.domain.modes import Found
from replication.domain.tables import ColumnDef, ColumnType, TableDef
from replication.odata import asking
from replication.odata.errors import MalformedAnswerError, RequestRefusedError
from replication.odata.literals import literal
from replication.source import PollingUnsupportedError

if TYPE_CHECKING:
    from replication.odata.client import ODataSource

# With more rows that bear no stamp, a table is compared: each poll reads them again.
_MOST_UNSTAMPED = 1000


def find_mode(client: ODataSource, table: TableDef) -> Found:
    """Return the mode of a table that the source does not track."""
    for column in modes.candidates(table):
        try:
            if _is_usable(client, table, column):
                return Found(mode="watermark", column=column.name)
        except (RequestRefusedError, PollingUnsupportedError, MalformedAnswerError):
            # The source knows no such condition or order.
            continue
    return Found(mode="compare")


def newest(client: ODataSource, table: TableDef, column: ColumnDef) -> str | None:
    """Return the highest stamp of the table that is not of the future."""
    shape = asking.keys_only(table, column)
    name = column.source_name
    condition = f"{name} ne null"
    if column.type is ColumnType.DATETIME:
        now = datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat()
        condition = f"{name} le {now}Z"

    def address(_: int) -> str:
        return client.address(shape, filter=condition, orderby=f"{name} desc", top="1")

    answer = asking.ask(client, shape, address)
    found = asking.stamps(shape, column, answer.decoded.rows)
    return modes.highest(column, found, now=answer.now)


def _is_usable(client: ODataSource, table: TableDef, column: ColumnDef) -> bool:
    """Whether the source sorts and filters by the column, and fills it.

    A service that ignores options it does not know would answer with any rows.
    """
    high = newest(client, table, column)
    if high is None:
        return False
    name = column.source_name
    shape = asking.keys_only(table, column)

    def rows(condition: str, order: str, most: int) -> list[str | None]:
        def address(_: int) -> str:
            return client.address(shape, filter=condition, orderby=order, top=str(most))

        answer = asking.ask(client, shape, address)
        return asking.stamps(shape, column, answer.decoded.rows)

    above = rows(f"{name} gt {literal(column, high)}", name, 2)
    lowest = rows(f"{name} le {literal(column, high)}", name, 2)
    asking.check_order(table, column, [*lowest, high, *above])
    if column.required:
        return True
    return len(rows(f"{name} eq null", name, _MOST_UNSTAMPED)) < _MOST_UNSTAMPED
