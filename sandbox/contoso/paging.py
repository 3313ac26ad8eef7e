"""Pages of ordinary queries, and the opaque cookies that lead to the next one."""

from __future__ import annotations

import base64
import binascii
import json
import re
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sandbox.contoso.errors import WebApiError, bad_query
from sandbox.contoso.filters import Condition
from sandbox.contoso.schema import Table
from sandbox.contoso.store import sql_name

# `$count` says no more than this, and marks it in an annotation.
COUNT_LIMIT = 5_000

_COOKIE = re.compile(
    r'<cookie pagenumber="(\d+)" pagingcookie="([\w=\-]*)" istracking="(True|False)" />'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """Where the next page of a query begins."""

    table: str
    page_number: int
    is_tracking: bool
    # Integers with short names, chosen by who pages.
    place: dict[str, int]

    def write(self) -> str:
        text = json.dumps([self.table, self.place], separators=(",", ":"))
        sealed = f"{zlib.crc32(text.encode()):08x}{text}"
        return (
            f'<cookie pagenumber="{self.page_number}"'
            f' pagingcookie="{base64.urlsafe_b64encode(sealed.encode()).decode()}"'
            f' istracking="{self.is_tracking}" />'
        )


def read_cookie(text: str, *, table: Table) -> Cookie:
    """:raises WebApiError: not a cookie that was handed out for this table; 400."""
    match = _COOKIE.fullmatch(text)
    if match is None:
        raise _malformed()
    try:
        sealed = base64.urlsafe_b64decode(match[2]).decode()
        name, place = json.loads(sealed[8:])
        is_whole = int(sealed[:8], 16) == zlib.crc32(sealed[8:].encode())
    except (binascii.Error, ValueError, TypeError):
        raise _malformed() from None
    if not is_whole or name != table.name:
        raise _malformed()
    return Cookie(
        table=name,
        page_number=int(match[1]),
        is_tracking=match[3] == "True",
        place=place,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Stored rows of a page, and the cookie of the next."""

    bodies: Sequence[bytes]
    next_cookie: Cookie | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    table: Table
    condition: Condition
    # None: in the order of arrival.
    order: str | None


def page(
    connection: sqlite3.Connection, query: Query, *, cookie: Cookie | None, size: int
) -> Found:
    """Return the next rows; a query with an order of its own pages by number."""
    number = 1 if cookie is None else cookie.page_number
    start = 0 if cookie is None else cookie.place["p"]
    condition, order = query.condition, query.order
    skipped = start
    if order is None:
        condition = Condition("place > ?", (start,)) & condition
        order, skipped = "place", 0
    rows = connection.execute(
        f"SELECT place, CAST(body AS BLOB) FROM {sql_name(query.table)}"
        f" WHERE {condition.sql} ORDER BY {order} LIMIT ? OFFSET ?",
        (*condition.parameters, size + 1, skipped),
    ).fetchall()
    following = None
    if len(rows) > size:
        following = Cookie(
            table=query.table.name,
            page_number=number + 1,
            is_tracking=False,
            place={"p": rows[size - 1][0] if query.order is None else start + size},
        )
    return Found(bodies=[body for _, body in rows[:size]], next_cookie=following)


def first(connection: sqlite3.Connection, query: Query, *, top: int) -> Found:
    """Return the first rows, as `$top` asks."""
    found = page(connection, query, cookie=None, size=top)
    return Found(bodies=found.bodies, next_cookie=None)


def count(
    connection: sqlite3.Connection,
    table: Table,
    condition: Condition,
    *,
    limit: int | None = COUNT_LIMIT,
) -> int:
    """Return how many rows there are, one more than `limit` standing for more."""
    most = -1 if limit is None else limit + 1
    query = (
        f"SELECT count(*) FROM (SELECT 1 FROM {sql_name(table)}"
        f" WHERE {condition.sql} LIMIT ?)"
    )
    parameters = (*condition.parameters, most)
    return int(connection.execute(query, parameters).fetchone()[0])


def link(url: str, **options: str | None) -> str:
    """Return the address with these query options; None leaves one out."""
    words = [
        f"${name.removesuffix('_')}={quote(value, safe=',')}"
        for name, value in options.items()
        if value is not None
    ]
    return f"{url}?{'&'.join(words)}" if words else url


def _malformed() -> WebApiError:
    return bad_query("Malformed paging cookie in the skip token.")
