"""Reads tables that the source does not track, in orders of our own.

A *poll* asks for rows whose stamp (modified time or version) is no older than the
watermark less an overlap, in the order of stamp and key. A *scan* reads the whole
table in the order of its key, or only keys and versions. Each page begins after the
last row of the one before, so that rows which are edited, created or deleted between
two pages displace nothing. Rows without a stamp are read at the end of every poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as moved

from replication.domain import modes
from replication.domain.modes import Found, Place
from replication.domain.pages import Cursor, Outline, Page
from replication.domain.tables import ColumnDef, TableDef
from replication.odata import asking, probing
from replication.odata.asking import Answer
from replication.odata.errors import MalformedAnswerError, RequestRefusedError
from replication.odata.keys import key_columns
from replication.odata.literals import after, literal
from replication.odata.rows import codec_for, has_own_version
from replication.source import PollingUnsupportedError, ResyncRequiredError

if TYPE_CHECKING:
    from replication.odata.client import ODataSource

# How many times the usual number of rows is asked for, to get past one stamp.
_WIDEST = 64


class Poller:
    """Implements `PageReader` for the modes `watermark` and `compare`."""

    def __init__(self, client: ODataSource, found: Found) -> None:
        self._client = client
        self._found = found

    def fetch_page(self, table: TableDef, cursor: Cursor | None) -> Page:
        """See `Source.fetch_page`.

        :raises PollingUnsupportedError: the source does not keep to the order.
        """
        table = replace(table, tracked=False)
        place = _place(table, cursor)
        match place.kind:
            case "scan":
                return self._scan(table, place)
            case "unstamped":
                return self._unstamped(table, place)
            case "poll":
                return self._poll(table, place)

    def _poll(self, table: TableDef, place: Place) -> Page:
        column = table.column(self._found.column or "")
        order = [column, *key_columns(table)]
        condition = _poll_condition(column, order, place)

        def address(size: int) -> str:
            return self._client.address(
                table, filter=condition, orderby=asking.ordered(order), top=str(size)
            )

        answer = asking.ask(self._client, table, address, wider=place.wider)
        stamps = asking.stamps(table, column, answer.decoded.rows)
        asking.check_order(table, column, stamps)
        high = modes.highest(column, [place.high, *stamps], now=answer.now)
        if answer.is_full:
            behind = moved(_behind(table, column, answer, place), high=high)
            return _page(answer, following=behind, watermark=high)
        if column.required:
            return _page(answer, ended=Place(kind="poll", high=high), watermark=high)
        rest = Place(kind="unstamped", high=high)
        return _page(answer, following=rest, watermark=high)

    def _unstamped(self, table: TableDef, place: Place) -> Page:
        column = table.column(self._found.column or "")
        answer = self._in_key_order(table, place, f"{column.source_name} eq null")
        following = _next_by_key(table, answer, place)
        ended = Place(kind="poll", high=place.high)
        return _page(answer, following=following, ended=ended, watermark=place.high)

    def _scan(self, table: TableDef, place: Place) -> Page:
        try:
            return self._scan_page(table, place)
        except (RequestRefusedError, PollingUnsupportedError):
            if place.by_links or not asking.is_comparable(table):
                raise
            # No conditions on keys here: once more, by the source's own pages.
            again = Place(kind="scan", light=place.light, by_links=True)
            return self._scan_page(table, again)

    def _scan_page(self, table: TableDef, place: Place) -> Page:
        place = self._begun(table, place)
        shape = asking.keys_only(table) if place.light else table
        answer = self._in_key_order(shape, place, None)
        if place.light and not _have_etags(shape, answer):
            # Only whole rows tell what has changed.
            return self._scan_page(table, moved(place, light=False))
        following = _next_by_key(shape, answer, place)
        ended = Place(kind="poll", high=place.high) if self._found.column else None
        page = _page(answer, following=following, ended=ended, watermark=place.high)
        return _outlined(shape, page) if place.light else page

    def _begun(self, table: TableDef, place: Place) -> Place:
        """Note the watermark before a scan: what changes behind it is polled then."""
        has_begun = place.after is not None or place.link is not None
        if has_begun or self._found.column is None:
            return place
        column = table.column(self._found.column)
        return moved(place, high=probing.newest(self._client, table, column))

    def _in_key_order(
        self, table: TableDef, place: Place, condition: str | None
    ) -> Answer:
        """Ask for the rows behind a place; the source's links lead on where keys
        cannot be compared."""
        keys = key_columns(table)
        conditions = [condition] if condition else []
        if place.after is not None:
            conditions.append(after(keys, place.after))
        options = {"orderby": asking.ordered(keys)}
        if conditions:
            options["filter"] = " and ".join(f"({part})" for part in conditions)

        def address(size: int) -> str:
            if place.link is not None:
                return place.link
            top = {"top": str(size)} if _goes_by_keys(table, place) else {}
            return self._client.address(table, **options, **top)

        return asking.ask(self._client, table, address)


def _place(table: TableDef, cursor: Cursor | None) -> Place:
    if cursor is None:
        return Place(kind="scan")
    try:
        return modes.place_of(cursor.link)
    except ValueError as error:
        message = f"The cursor of {table.name} is of another mode."
        raise ResyncRequiredError(message) from error


def _poll_condition(column: ColumnDef, order: Sequence[ColumnDef], place: Place) -> str:
    name = column.source_name
    if place.after is not None and len(place.after) == len(order):
        return after(order, place.after)
    if place.after is not None:
        return f"{name} ge {literal(column, place.after[0])}"
    if place.high is not None:
        return f"{name} ge {modes.low_end(column, place.high)}"
    return f"{name} ne null"


def _behind(table: TableDef, column: ColumnDef, answer: Answer, place: Place) -> Place:
    """Return the place after a page of a poll that has more.

    :raises PollingUnsupportedError: the page brought the poll no further.
    """
    last = _last(table, answer)
    [stamp] = asking.stamps(table, column, [last])
    position = (stamp or "", *asking.key_values(table, last))
    if asking.is_comparable(table):
        return Place(kind="poll", after=_further(table, place, position))
    if place.after != position[:1]:
        return Place(kind="poll", after=position[:1])
    # A page full of one stamp: only a larger one leads out of it.
    if place.wider >= _WIDEST:
        raise PollingUnsupportedError(f"Too many rows of {table.name} have one stamp.")
    return Place(kind="poll", after=place.after, wider=place.wider * 2)


def _next_by_key(table: TableDef, answer: Answer, place: Place) -> Place | None:
    """Return the place after a page in key order, None when it was the last."""
    if not _goes_by_keys(table, place):
        return moved(place, link=answer.link) if answer.link else None
    if not answer.is_full:
        return None
    position = asking.key_values(table, _last(table, answer))
    return moved(place, after=_further(table, place, position))


def _goes_by_keys(table: TableDef, place: Place) -> bool:
    return asking.is_comparable(table) and not place.by_links


def _further(
    table: TableDef, place: Place, position: tuple[str, ...]
) -> tuple[str, ...]:
    if position == place.after:
        message = f"The source does not keep to conditions on {table.name}."
        raise PollingUnsupportedError(message)
    return position


def _last(table: TableDef, answer: Answer) -> Any:
    if not answer.decoded.rows:
        raise MalformedAnswerError(f"No row of a page of {table.name} is usable.")
    return answer.decoded.rows[-1]


def _have_etags(table: TableDef, answer: Answer) -> bool:
    return not answer.decoded.set_aside and all(
        map(has_own_version, answer.decoded.rows)
    )


def _outlined(table: TableDef, page: Page) -> Page:
    codec = codec_for(table)
    keys = [codec.key(row) for row in page.rows]
    versions = [codec.version(row) for row in page.rows]
    return replace(page, rows=[], outline=Outline(keys=keys, versions=versions))


def _page(
    answer: Answer,
    *,
    following: Place | None = None,
    ended: Place | None = None,
    watermark: str | None,
) -> Page:
    """`ended`: where the next pull begins, when this is the last page."""
    decoded = answer.decoded
    goes_on = following is not None
    return Page(
        rows=decoded.rows,
        deletes=[],
        next_link=following.encoded() if following else None,
        delta_link=ended.encoded() if ended and not goes_on else None,
        set_aside=tuple(decoded.set_aside),
        stripped_nuls=decoded.stripped_nuls,
        size=answer.size,
        watermark=watermark,
    )
