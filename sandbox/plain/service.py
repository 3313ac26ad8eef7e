"""Answers requests to the plain service: OData v4 without change tracking or batches.

Pages are cut by the service and continued by `$skiptoken`, which only counts rows, as
simple services do: a row that is deleted between two pages displaces all behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from sandbox.plain import filters, writing
from sandbox.plain.filters import InvalidOptionError
from sandbox.plain.rows import Row, Rows, UnknownSetError, entity_set, key_of
from sandbox.plain.tables import METADATA, SETS, EntitySet
from sandbox.plain.writing import RefusedError

PREFIX = "/odata"
_JSON = "application/json;odata.metadata=minimal"

# Of the metadata document.
ETAG = 'W/"1"'

_OPTIONS = frozenset(
    {
        "$select",
        "$filter",
        "$orderby",
        "$top",
        "$skip",
        "$skiptoken",
        "$count",
        "$format",
    }
)
_SIZE = re.compile(r"(?:odata\.)?maxpagesize=(\d+)")
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Service:
    """Reads `rows`; `largest_page` is what the service sends at most."""

    def __init__(self, rows: Rows, *, root: str, largest_page: int = 1000) -> None:
        self.rows = rows
        self.root = root
        self.largest_page = largest_page

    def get(self, target: str, *, headers: Mapping[str, str]) -> Answer:
        """Answer a GET of a path and query below the service's root."""
        parts = urlsplit(target)
        path = unquote(parts.path.removeprefix(PREFIX)).strip("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            with self.rows.lock:
                return self._answer(path, query, headers)
        except UnknownSetError as error:
            return self._refusal(404, f"There is no {error}.")
        except InvalidOptionError as error:
            return self._refusal(400, f"Not understood: {error}.")
        except RefusedError as error:
            return self._refusal(error.status, str(error))

    def write(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Answer a request that changes something, below the service's root."""
        path = unquote(urlsplit(target).path.removeprefix(PREFIX)).strip("/")
        try:
            with self.rows.lock:
                return self._written(method, path, headers, body)
        except UnknownSetError as error:
            return self._refusal(404, f"There is no {error}.")
        except RefusedError as error:
            return self._refusal(error.status, str(error))

    def _written(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        keyed, if_match = writing.split_key(path), headers.get("If-Match")
        if keyed is None and method == "POST":
            kind = entity_set(path)
            key = writing.create(self.rows, kind, writing.row_values(body))
            return self._row(kind, key, headers, status=201)
        if keyed is None or method not in {"PATCH", "DELETE"}:
            raise RefusedError(405, f"There is no {method} here.")
        kind = entity_set(keyed[0])
        own = writing.read_key(kind, keyed[1])
        if method == "DELETE":
            writing.delete(self.rows, kind, own, if_match=if_match)
            return self._made(b"", "", status=204)
        values = writing.row_values(body)
        key, was_there = writing.update(self.rows, kind, own, values, if_match=if_match)
        return self._row(kind, key, headers, status=200 if was_there else 201)

    def _row(
        self, kind: EntitySet, key: str, headers: Mapping[str, str], *, status: int
    ) -> Answer:
        """Answer with a row, or after a write without one if that is enough."""
        etag = self.rows.etag(kind.name, key)
        more = {} if etag is None else {"ETag": etag}
        if status == 200 and "return=minimal" in headers.get("Prefer", ""):
            return self._made(b"", "", status=204, headers=more)
        row = self._wire(kind, (key, self.rows.all(kind.name)[key]), None)
        context = f"{self.root}{PREFIX}/$metadata#{kind.name}/$entity"
        body = _encode({"@odata.context": context, **row})
        return self._made(body, _JSON, status=status, headers=more)

    def _answer(
        self, path: str, query: dict[str, str], headers: Mapping[str, str]
    ) -> Answer:
        if path == "$metadata":
            return self._metadata(headers)
        if path == "":
            sets = [{"name": name, "url": name} for name in SETS]
            return self._json({"@odata.context": "$metadata", "value": sets})
        if query.keys() - _OPTIONS:
            raise InvalidOptionError(", ".join(sorted(query.keys() - _OPTIONS)))
        keyed = writing.split_key(path)
        if keyed is not None:
            return self._one(entity_set(keyed[0]), keyed[1], query)
        name, slash, rest = path.partition("/")
        if slash and rest != "$count":
            raise UnknownSetError(path)
        kind = entity_set(name)
        found = self._found(kind, query)
        if slash:
            return self._made(str(len(found)).encode(), "text/plain")
        return self._json(self._page(kind, found, query, headers))

    def _one(self, kind: EntitySet, text: str, query: Mapping[str, str]) -> Answer:
        key = key_of(kind, writing.read_key(kind, text))
        row = self.rows.all(kind.name).get(key)
        if row is None:
            raise RefusedError(404, f"There is no such row of {kind.name}.")
        chosen = query["$select"].split(",") if "$select" in query else None
        return self._json(self._wire(kind, (key, row), chosen))

    def _metadata(self, headers: Mapping[str, str]) -> Answer:
        if headers.get("If-None-Match") == ETAG:
            return Answer(status=304, headers={"ETag": ETAG})
        answer = self._made(METADATA, "application/xml")
        return replace(answer, headers={**answer.headers, "ETag": ETAG})

    def _found(
        self, kind: EntitySet, query: Mapping[str, str]
    ) -> list[tuple[str, Row]]:
        """Return the rows that are asked for, in order, each with its key."""
        found = list(self.rows.all(kind.name).items())
        if "$filter" in query:
            test = filters.condition(query["$filter"], kind)
            found = [item for item in found if test(item[1])]
        # An order of the client's ends with the key, so that it is one.
        wanted = [query["$orderby"]] if "$orderby" in query else []
        place = filters.order(",".join([*wanted, *kind.key]), kind)
        return sorted(found, key=lambda item: place(item[1]))

    def _page(
        self,
        kind: EntitySet,
        found: Sequence[tuple[str, Row]],
        query: dict[str, str],
        headers: Mapping[str, str],
    ) -> dict[str, Any]:
        total = len(found)
        begin = _number(query, "$skiptoken", 0) + _number(query, "$skip", 0)
        top = _number(query, "$top", total)
        wish = _SIZE.search(headers.get("Prefer", ""))
        size = min(self.largest_page, int(wish[1]) if wish else self.largest_page)
        rest = found[begin:][:top]
        chosen = query.get("$select", "").split(",") if "$select" in query else None
        document: dict[str, Any] = {
            "@odata.context": f"{self.root}{PREFIX}/$metadata#{kind.name}",
            "value": [self._wire(kind, item, chosen) for item in rest[:size]],
        }
        if query.get("$count") == "true":
            document["@odata.count"] = total
        if len(rest) > size:
            again = {**query, "$skiptoken": str(_number(query, "$skiptoken", 0) + size)}
            if "$top" in query:
                again["$top"] = str(top - size)
            options = "&".join(f"{n}={quote(v)}" for n, v in again.items())
            # Relative to the address of the request.
            document["@odata.nextLink"] = f"{kind.name}?{options}"
        return document

    def _wire(
        self, kind: EntitySet, item: tuple[str, Row], chosen: Sequence[str] | None
    ) -> dict[str, Any]:
        key, row = item
        etag = self.rows.etag(kind.name, key)
        head = {} if etag is None else {"@odata.etag": etag}
        if chosen is None:
            return {**head, **row}
        return {**head, **{name: row.get(name) for name in chosen}}

    def _refusal(self, status: int, message: str) -> Answer:
        error = {"error": {"code": str(status), "message": message}}
        return self._made(_encode(error), "application/json", status=status)

    def _json(self, document: Mapping[str, Any]) -> Answer:
        return self._made(_encode(document), _JSON)

    def _made(
        self,
        body: bytes,
        kind: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        now = self.rows.clock().astimezone(UTC)
        made = {
            "Content-Type": kind,
            "OData-Version": "4.0",
            "Date": format_datetime(now, usegmt=True),
            **headers,
        }
        return Answer(status=status, headers=made, body=body)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise InvalidOptionError(name)
    return int(text)
