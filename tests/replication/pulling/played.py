"""A plain OData service in memory that also tracks changes, and that misbehaves.

It answers as `sandbox.plain` does. Asked to track changes, it gives delta links and
answers with payloads of OData 4.01 and 4.0: partial rows, `@removed` with an id or with
key fields, relative links.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from replication.odata.answers import Reply
from replication.odata.errors import SourceTimeoutError
from sandbox.plain.rows import Rows, entity_set, key_of
from sandbox.plain.service import Service

ROOT = "https://shop.example"
ENDPOINT = f"{ROOT}/odata"
EXPIRIES = ("gone", "refused", "silent")

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Played:
    """The source of all tables; implements the transport's one call."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
        self.rows = Rows(clock=lambda: self.now)
        self.service = Service(self.rows, root=ROOT)
        self.expiry = "gone"
        self.oldest_token = 0
        # Something that happens before the answer to the n-th request from now.
        self.meanwhile: tuple[int, Callable[[], object]] | None = None
        # What goes wrong with the next answers: lost, twice.
        self.faults: list[str] = []
        # (set, key, key columns, columns that changed or None for a delete)
        self._log: list[tuple[str, str, dict[str, Any], frozenset[str] | None]] = []
        self._lock = threading.RLock()

    def put(self, name: str, *, keeps_time: bool = False, **values: Any) -> None:
        with self._lock:
            self.rows.put(name, values, keeps_time=keeps_time)
            self._note(name, values, frozenset(values))

    def delete(self, name: str, **key: Any) -> None:
        with self._lock:
            if self.rows.delete(name, key):
                self._note(name, key, None)

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def expire_tokens(self) -> None:
        self.oldest_token = len(self._log) + 1
        self._log.append(("", "", {}, None))

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        with self._lock:
            self._let_happen()
            fault = self.faults.pop() if self.faults else None
            if fault == "lost":
                raise SourceTimeoutError("The answer was lost.")
            reply = self._answer(url, headers)
            return _twice(reply) if fault == "twice" else reply

    def _let_happen(self) -> None:
        if self.meanwhile is not None:
            left, happens = self.meanwhile
            self.meanwhile = (left - 1, happens) if left else None
            if not left:
                happens()

    def _note(
        self, name: str, values: Mapping[str, Any], changed: frozenset[str] | None
    ) -> None:
        kind = entity_set(name)
        key = {part: values[part] for part in kind.key}
        self._log.append((name, key_of(kind, values), key, changed))

    def _answer(self, url: str, headers: Mapping[str, str]) -> Reply:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        name = unquote(parts.path).rpartition("/")[2]
        size = int(headers["Prefer"].split("maxpagesize=")[1].split(",")[0])
        if "$deltatoken" in query:
            since = int(query["$deltatoken"])
            return self._changes(name, since, len(self._log), since, size)
        if query.get("$skiptoken", "").startswith("d"):
            since, upto, after = map(int, query["$skiptoken"][1:].split("!"))
            return self._changes(name, since, upto, after, size)
        if "track-changes" in headers["Prefer"]:
            begun, _, last_key = query.get("$skiptoken", "").partition("!")
            return self._all(name, int(begun or len(self._log)), last_key, size)
        return _reply(self.service.get(f"{parts.path}?{parts.query}", headers=headers))

    def _all(self, name: str, upto: int, after: str, size: int) -> Reply:
        """The first answer: rows in the order of their keys, then a delta link."""
        rows = sorted(self.rows.all(name).items())
        rest = [item for item in rows if item[0] > after]
        document: dict[str, Any] = {
            "@context": f"{ENDPOINT}/$metadata#{name}",
            "value": [self._whole(name, *item) for item in rest[:size]],
        }
        if len(rest) > size:
            token = quote(f"{upto}!{rest[size - 1][0]}")
            document["@nextLink"] = f"{name}?$skiptoken={token}"
        else:
            document["@deltaLink"] = f"{name}?$deltatoken={upto}"
        return _json(document)

    def _changes(
        self, name: str, since: int, upto: int, after: int, size: int
    ) -> Reply:
        if since < self.oldest_token:
            return self._expired(name, size)
        changed: dict[str, tuple[int, dict[str, Any], set[str] | None]] = {}
        for place, (table, key, columns, edited) in enumerate(self._log[:upto]):
            if table == name and place >= since:
                _, _, before = changed.pop(key, (0, {}, set()))
                whole = edited is None or before is None
                merged = None if whole else (before or set()) | set(edited or ())
                changed[key] = (place + 1, columns, merged)
        items = [
            (at, key, columns, edited)
            for key, (at, columns, edited) in changed.items()
            if at > after
        ]
        document: dict[str, Any] = {
            "@odata.context": f"{ENDPOINT}/$metadata#{name}/$delta",
            "value": [self._item(name, *item) for item in items[:size]],
        }
        if len(items) > size:
            token = quote(f"d{since}!{upto}!{items[size - 1][0]}")
            document["@odata.nextLink"] = f"{name}?$skiptoken={token}"
        else:
            document["@odata.deltaLink"] = f"{name}?$deltatoken={upto}"
        return _json(document)

    def _item(
        self,
        name: str,
        at: int,
        key: str,
        columns: dict[str, Any],
        edited: set[str] | None,
    ) -> dict[str, Any]:
        if key not in self.rows.all(name):
            return _removed(name, columns, form=at % 3)
        whole = self._whole(name, key, self.rows.all(name)[key])
        if edited is None or at % 2:
            return whole
        # Only what changed, as a service may do.
        return {n: v for n, v in whole.items() if n in edited or n.startswith("@")}

    def _whole(self, name: str, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        etag = self.rows.etag(name, key)
        return ({} if etag is None else {"@odata.etag": etag}) | dict(row)

    def _expired(self, name: str, size: int) -> Reply:
        if self.expiry == "silent":
            return self._all(name, len(self._log), "", size)
        if self.expiry == "gone":
            return _json({"error": {"code": "gone", "message": "Gone."}}, status=410)
        message = "Version stamp has expired. Please perform a full sync."
        return _json({"error": {"code": "0x80044352", "message": message}}, status=400)


def _removed(name: str, key: dict[str, Any], *, form: int) -> dict[str, Any]:
    if form == 0:
        return {"@removed": {}, **key}
    inner = ",".join(f"{part}={_literal(value)}" for part, value in key.items())
    if len(key) == 1:
        inner = inner.partition("=")[2]
    link = f"{name}({quote(inner)})"
    if form == 1:
        return {"@removed": {"reason": "deleted"}, "@id": link}
    context = f"{ENDPOINT}/$metadata#{name}/$deletedEntity"
    return {"@odata.context": context, "id": f"{ENDPOINT}/{link}", "reason": "deleted"}


def _literal(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    is_guid = len(value) == 36 and value.count("-") == 4
    return value if is_guid else "'" + value.replace("'", "''") + "'"


def _twice(reply: Reply) -> Reply:
    """The same page with an item that comes again."""
    document = json.loads(reply.body, parse_float=str)
    if reply.status != 200 or not document.get("value"):
        return reply
    raw = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
    items = msgspec.json.decode(raw["value"], type=list[msgspec.Raw])
    raw["value"] = msgspec.Raw(msgspec.json.encode([*items, items[-1]]))
    return Reply(status=200, headers=reply.headers, body=msgspec.json.encode(raw))


def _json(document: Mapping[str, Any], *, status: int = 200) -> Reply:
    headers = {"Content-Type": "application/json"}
    return Reply(status=status, headers=headers, body=_encode(document))


def _reply(answer: Any) -> Reply:
    return Reply(status=answer.status, headers=answer.headers, body=answer.body)
