"""Answer reads: collections with their pages, deltas, counts and single rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from werkzeug.wrappers import Response

from sandbox.contoso import column_rights, files, paging, security, tracking
from sandbox.contoso.errors import WebApiError, bad_query, no_such_resource
from sandbox.contoso.filters import EVERYTHING, Condition, order, where
from sandbox.contoso.following import Expanding, row_at, way_from
from sandbox.contoso.preferences import (
    LARGEST_PAGE,
    METADATA_VERSION,
    TOTAL_COUNT,
    TOTAL_EXCEEDED,
)
from sandbox.contoso.requests import Call, json_response, no_content
from sandbox.contoso.schema import ETAG, FILE_TYPES, Schema, Table
from sandbox.contoso.shaping import Shape, labelled, shape_of, shaped
from sandbox.contoso.store import Row, decode, encode

_SAFE = "/()=',$"


@dataclass(frozen=True, slots=True)
class Reading:
    """One call that reads, at one moment of the organization."""

    call: Call
    connection: sqlite3.Connection
    now: datetime
    schema: Schema

    def collection(self, table: Table) -> Response:
        self.call.insist_on_known_options()
        if self._is_tracking() or self._is_tracking_page(table):
            return self._changes(table)
        return self._rows(table, where(table, self.call.options.get("$filter")))

    def below(self, table: Table, row: Row, segments: Sequence[str]) -> Response:
        """Answer for what a path names below a row: a property or a navigation."""
        self._insist_on_row(table, row)
        name = segments[0]
        if name in table.by_wire:
            return self._property(table, row, segments)
        way = way_from(self.schema, table, row, name)
        if way is None or len(segments) > 1:
            raise no_such_resource(segments[-1])
        if way.condition is not None:
            wanted = where(way.target, self.call.options.get("$filter"))
            return self._rows(way.target, way.condition & wanted)
        found = row_at(self.connection, way)
        if found is None:
            return no_content()
        return self.row(way.target, found)

    def _property(self, table: Table, row: Row, segments: Sequence[str]) -> Response:
        name, value = segments[0], row[segments[0]]
        if len(segments) > 1 and segments[1:] != ["$value"]:
            raise no_such_resource(segments[1])
        if len(segments) > 1 and table.by_wire[name].type in FILE_TYPES:
            return files.download(
                self.connection, self.call, table=table, row=row, name=name
            )
        if value is None:
            return no_content()
        if len(segments) > 1:
            return Response(str(value), content_type="text/plain")
        context = self._context(f"{table.entity_set}({row[table.key]})/{name}")
        return json_response({"@odata.context": context, "value": value})

    def count(self, table: Table) -> Response:
        """Answer `/$count`, which with a delta token counts pending changes."""
        token_text = self.call.options.get("$deltatoken")
        if token_text is None:
            wanted = where(table, self.call.options.get("$filter"))
            condition = self._readable(table, wanted)
            total = paging.count(self.connection, table, condition)
            number = min(total, paging.COUNT_LIMIT)
        else:
            security.insist_on_global_read(
                self.connection, self.call.caller, table=table
            )
            token = tracking.read_token(token_text)
            self._insist_on_fresh(table, token)
            number = tracking.pending(self.connection, table, since=token)
        return Response(str(number), content_type="text/plain")

    def row(self, table: Table, row: Row) -> Response:
        self._insist_on_row(table, row)
        etag = str(row[ETAG])
        if self.call.request.headers.get("If-None-Match") == etag:
            return Response(status=304, headers={"ETag": etag})
        return self.representation(table, row, status=200)

    def representation(self, table: Table, row: Row, *, status: int) -> Response:
        shape = self._shape(table)
        context = self._context(f"{table.entity_set}{shape.context_columns()}/$entity")
        inner = self._shown(shape, [encode(row)])
        return json_response(
            b'{"@odata.context":' + encode_text(context) + b"," + inner[1:],
            status=status,
            headers={"ETag": str(row[ETAG])} | self._applied(),
        )

    def _insist_on_row(self, table: Table, row: Row) -> None:
        security.insist_on_row(
            self.connection, self.call.caller, table=table, row=row, verb="Read"
        )

    def _rows(self, table: Table, wanted: Condition) -> Response:
        options, shape = self.call.options, self._shape(table)
        condition = self._readable(table, wanted)
        ordering = order(table, options["$orderby"]) if "$orderby" in options else None
        query = paging.Query(table=table, condition=condition, order=ordering)
        if "$top" in options:
            top = _natural(options["$top"])
            found = paging.first(self.connection, query, top=min(top, LARGEST_PAGE))
        else:
            cookie = self._cookie(table)
            size = self.call.preferences.page_size or LARGEST_PAGE
            found = paging.page(self.connection, query, cookie=cookie, size=size)
        notes = self._notes(table, condition)
        if found.next_cookie is not None:
            notes["@odata.nextLink"] = self._link(skiptoken=found.next_cookie.write())
        context = f"{table.entity_set}{shape.context_columns()}"
        return self._page(context, notes, self._shown(shape, found.bodies))

    def _shown(self, shape: Shape, bodies: Sequence[bytes]) -> bytes:
        bodies = self._masked(shape.table, bodies)
        text = self.call.options.get("$expand")
        if text is None:
            return shaped(shape, bodies)
        expanding = Expanding(
            self.schema, self.connection, self.call.caller, self.call.preferences
        )
        shown = []
        for row in map(decode, bodies):
            plain = labelled(shape, row)
            shown.append(expanding.expanded(shape.table, row, plain, text))
        return b",".join(map(encode, shown))

    def _masked(self, table: Table, bodies: Sequence[bytes]) -> Sequence[bytes]:
        """Empty the columns that are closed to the caller."""
        closed = column_rights.closed(
            self.connection, self.call.caller, table=table, right="canread"
        )
        if not closed:
            return bodies
        empty = dict.fromkeys(closed)
        return [encode(decode(body) | empty) for body in bodies]

    def _changes(self, table: Table) -> Response:
        tracking.refuse_options(tuple(self.call.options))
        tracking.insist_on_tracking(table)
        security.insist_on_global_read(self.connection, self.call.caller, table=table)
        run, shape = self._run(table), self._shape(table)
        size = self.call.preferences.page_size or LARGEST_PAGE
        found = tracking.changes(self.connection, table, run, size=size)
        notes = self._notes(table, EVERYTHING)
        if found.next_cookie is not None:
            notes["@odata.nextLink"] = self._link(skiptoken=found.next_cookie.write())
        elif found.token is not None:
            notes["@odata.deltaLink"] = self._link(deltatoken=found.token.write())
        parts = [
            shaped(shape, self._masked(table, found.bodies)),
            self._deleted(table, found.deleted),
        ]
        context = f"{table.entity_set}{shape.context_columns()}"
        if run.since is not None:
            context += "/$delta"
        return self._page(context, notes, b",".join(part for part in parts if part))

    def _run(self, table: Table) -> tracking.Run:
        cookie, token_text = self._cookie(table), self.call.options.get("$deltatoken")
        if cookie is not None:
            run = tracking.resume(cookie)
            self._insist_on_fresh(table, run.token)
            return run
        since = None if token_text is None else tracking.read_token(token_text)
        if since is not None:
            self._insist_on_fresh(table, since)
        return tracking.begin(self.connection, since=since, now=self.now)

    def _insist_on_fresh(self, table: Table, token: tracking.Token) -> None:
        try:
            tracking.insist_on_fresh(self.connection, table, token, now=self.now)
        except WebApiError as error:
            if error.status == 410:
                error.headers["Location"] = self._link()
            raise

    def _is_tracking(self) -> bool:
        return self.call.preferences.track_changes or "$deltatoken" in self.call.options

    def _is_tracking_page(self, table: Table) -> bool:
        cookie = self._cookie(table)
        return cookie is not None and cookie.is_tracking

    def _cookie(self, table: Table) -> paging.Cookie | None:
        text = self.call.options.get("$skiptoken")
        return None if text is None else paging.read_cookie(text, table=table)

    def _readable(self, table: Table, wanted: Condition) -> Condition:
        """Return which of the rows the caller may read."""
        within = security.reach(
            self.connection, self.call.caller, table=table, verb="Read"
        )
        mine = within.condition(table)
        return wanted if mine is EVERYTHING else wanted & mine

    def _shape(self, table: Table) -> Shape:
        return shape_of(
            table,
            select=self.call.options.get("$select"),
            preferences=self.call.preferences,
        )

    def _notes(self, table: Table, condition: Condition) -> dict[str, object]:
        """Return the annotations of a collection."""
        preferences, notes = self.call.preferences, dict[str, object]()
        if preferences.wants(METADATA_VERSION):
            notes[f"@{METADATA_VERSION}"] = str(self.schema.version)
        if self.call.options.get("$count") == "true":
            total = paging.count(self.connection, table, condition)
            shown = min(total, paging.COUNT_LIMIT)
            notes["@odata.count"] = shown
            if preferences.wants(TOTAL_COUNT):
                notes[f"@{TOTAL_COUNT}"] = shown
                notes[f"@{TOTAL_EXCEEDED}"] = total > paging.COUNT_LIMIT
        return notes

    def _page(self, context: str, notes: dict[str, object], rows: bytes) -> Response:
        head = encode({"@odata.context": self._context(context), **notes})
        return json_response(
            head[:-1] + b',"value":[' + rows + b"]}", headers=self._applied()
        )

    def _deleted(self, table: Table, ids: Sequence[str]) -> bytes:
        context = self._context(f"{table.entity_set}/$deletedEntity")
        return b",".join(
            encode({"@odata.context": context, "id": row_id, "reason": "deleted"})
            for row_id in ids
        )

    def _applied(self) -> dict[str, str]:
        applied = self.call.preferences.applied()
        return {"Preference-Applied": applied} if applied else {}

    def _context(self, fragment: str) -> str:
        return f"{self.call.base}/$metadata#{fragment}"

    def _link(self, **tokens: str) -> str:
        """Return the address of this query from another place on."""
        options = self.call.options
        kept = {
            name: options.get(f"${name}")
            for name in ("select", "filter", "orderby", "count", "expand")
        }
        path = "/".join(part for part in self.call.segments if part != "$count")
        return paging.link(
            f"{self.call.base}/{quote(path, safe=_SAFE)}", **kept, **tokens
        )


def encode_text(text: str) -> bytes:
    return encode({"": text})[4:-1]


def _natural(text: str) -> int:
    if not text.isdigit():
        raise bad_query(f"'{text}' is not a number of rows.")
    return int(text)
