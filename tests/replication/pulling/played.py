"""A plain OData service in memory that also tracks changes, and that misbehaves.

It answers as `sandbox.plain` does. Asked to track changes, it gives delta links and
answers with payloads of OData 4.01 and 4.0: partial rows, `@removed` with an id or with
key fields, relative links, in an order of its own. What goes wrong, and what happens
between two requests, is planned by whoever plays it.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
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
ORDERS = ("forwards", "backwards", "scattered")
# What may become of an answer.
PAGE_FAULTS = ("page again", "pages overlap")
FAULTS = (*PAGE_FAULTS, "answer lost", "item twice", "rows reordered")

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How an answer is cut."""

    order: str
    size: int
    fault: str | None

    def place(self, text: str) -> Any:
        if self.order == "scattered":
            return md5(text.encode(), usedforsecurity=False).hexdigest()
        return [-ord(c) for c in text] if self.order == "backwards" else text


class Played:
    """The source of all tables; implements the transport's one call."""

    def __init__(self, note: Callable[[str], None] = lambda event: None) -> None:
        self.now = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
        self.rows = Rows(clock=lambda: self.now)
        self.service = Service(self.rows, root=ROOT)
        self.expiry = "gone"
        self.order = "forwards"
        self.oldest_token = 0
        self._note = note
        # Happenings and faults, by the number of the request before whose answer.
        self._planned: dict[int, list[Callable[[], object]]] = defaultdict(list)
        self._requests = 0
        self._faults: list[str] = []
        self._has_more = False
        # (set, key, key columns, columns that changed or None for a delete)
        self._log: list[tuple[str, str, dict[str, Any], frozenset[str] | None]] = []
        # Keys of each set that were ever sent.
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def plan(self, request: int, happens: Callable[[], object]) -> None:
        """Let something happen before the answer to the n-th request from now."""
        self._planned[self._requests + request].append(happens)

    def plan_fault(self, request: int, fault: str) -> None:
        self.plan(request, lambda: self._faults.append(fault))

    @property
    def has_more(self) -> bool:
        """Whether the last answer was a page before others."""
        return self._has_more

    def forget_plans(self) -> None:
        self._planned.clear()
        self._faults.clear()
        self._has_more = False

    def put(self, name: str, *, keeps_time: bool = False, **values: Any) -> None:
        with self._lock:
            self.rows.put(name, values, keeps_time=keeps_time)
            self._write_log(name, values, frozenset(values))

    def delete(self, name: str, **key: Any) -> None:
        with self._lock:
            if self.rows.delete(name, key):
                self._write_log(name, key, None)

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def expire_tokens(self) -> None:
        self.oldest_token = len(self._log) + 1
        self._log.append(("", "", {}, None))

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        with self._lock:
            for happens in self._planned.pop(self._requests, ()):
                happens()
            self._requests += 1
            fault = self._faults.pop() if self._faults else None
            if fault == "answer lost":
                self._note(fault)
                raise SourceTimeoutError("The answer was lost.")
            reply = self._answer(url, headers, fault)
            self._has_more = _has_more(url, reply)
            if fault in {"item twice", "rows reordered"}:
                return self._rearranged(reply, fault)
            return reply

    def _write_log(
        self, name: str, values: Mapping[str, Any], changed: frozenset[str] | None
    ) -> None:
        kind = entity_set(name)
        key = {part: values[part] for part in kind.key}
        self._log.append((name, key_of(kind, values), key, changed))

    def _answer(self, url: str, headers: Mapping[str, str], fault: str | None) -> Reply:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        name = unquote(parts.path).rpartition("/")[2]
        size = int(headers["Prefer"].split("maxpagesize=")[1].split(",")[0])
        form = _Form(order=self.order, size=size, fault=fault)
        if "$deltatoken" in query:
            since = int(query["$deltatoken"])
            return self._changes(name, since, len(self._log), "", form)
        token = query.get("$skiptoken", "")
        if token.startswith("d"):
            begun, upto, _, after = token[1:].split("!")
            return self._changes(name, int(begun), int(upto), after, form)
        if "track-changes" in headers["Prefer"]:
            begun, _, after = token[1:].split("!") if token else ("", "", "")
            return self._all(name, int(begun or len(self._log)), after, form)
        reply = self.service.get(f"{parts.path}?{parts.query}", headers=headers)
        return self._overlapping(_reply(reply), form)

    def _all(self, name: str, upto: int, after: str, form: _Form) -> Reply:
        """The first answer: all rows, then a delta link."""
        items = {key: (key, row) for key, row in self.rows.all(name).items()}
        cut, following = self._cut(items, after, form)
        document: dict[str, Any] = {
            "@context": f"{ENDPOINT}/$metadata#{name}",
            "value": [self._whole(name, *item) for item in cut],
        }
        if following is not None:
            document["@nextLink"] = f"{name}?$skiptoken={quote(f'a{upto}!{following}')}"
        else:
            document["@deltaLink"] = f"{name}?$deltatoken={upto}"
        return _json(document)

    def _changes(
        self, name: str, since: int, upto: int, after: str, form: _Form
    ) -> Reply:
        if since < self.oldest_token:
            return self._expired(name, form)
        cut, following = self._cut(self._changed(name, since, upto), after, form)
        document: dict[str, Any] = {
            "@odata.context": f"{ENDPOINT}/$metadata#{name}/$delta",
            "value": [self._item(name, *item) for item in cut],
        }
        if following is not None:
            token = quote(f"d{since}!{upto}!{following}")
            document["@odata.nextLink"] = f"{name}?$skiptoken={token}"
        else:
            document["@odata.deltaLink"] = f"{name}?$deltatoken={upto}"
        return _json(document)

    def _changed(
        self, name: str, since: int, upto: int
    ) -> dict[str, tuple[int, str, dict[str, Any], set[str] | None]]:
        """What changed between two places of the log, by its own place there."""
        changed: dict[str, tuple[int, dict[str, Any], set[str] | None]] = {}
        for place, (table, key, columns, edited) in enumerate(self._log[:upto]):
            if table == name and place >= since:
                _, _, before = changed.pop(key, (0, {}, set()))
                whole = edited is None or before is None
                merged = None if whole else (before or set()) | set(edited or ())
                changed[key] = (place + 1, columns, merged)
        return {
            f"{at:06}": (at, key, columns, edited)
            for key, (at, columns, edited) in changed.items()
        }

    def _cut(
        self, items: Mapping[str, Any], after: str, form: _Form
    ) -> tuple[list[Any], str | None]:
        """One page, and what a token says of the place from which the next begins."""
        places = sorted(items, key=form.place)
        if after:
            places = [p for p in places if form.place(p) > form.place(after)]
        cut = places[: form.size]
        following = None
        if len(places) > form.size:
            begins_after = cut[-1]
            if form.fault == "page again":
                begins_after = after
                self._note(form.fault)
            elif form.fault == "pages overlap" and len(cut) > 1:
                begins_after = cut[-2]
                self._note(form.fault)
            if form.order != "forwards":
                self._note("pages reordered")
            # A link that came before would lead in a circle.
            following = f"{self._requests}!{begins_after}"
        return [items[place] for place in cut], following

    def _overlapping(self, reply: Reply, form: _Form) -> Reply:
        """The service's own link leads to a page that begins one row too early."""
        found = re.search(rb"(skiptoken=)(\d+)", reply.body)
        # From pages of one row that would lead in a circle.
        if form.fault != "pages overlap" or found is None or form.size < 2:
            return reply
        self._note(form.fault)
        link = b"%s%d" % (found[1], int(found[2]) - 1)
        return replace(reply, body=reply.body.replace(found[0], link))

    def _item(
        self,
        name: str,
        at: int,
        key: str,
        columns: dict[str, Any],
        edited: set[str] | None,
    ) -> dict[str, Any]:
        if key not in self.rows.all(name):
            if (name, key) not in self._told:
                self._note("unknown row deleted")
            return _removed(name, columns, form=at % 3)
        if edited is None and (name, key) in self._told:
            self._note("key made again")
        whole = self._whole(name, key, self.rows.all(name)[key])
        if edited is None or at % 2:
            return whole
        # Only what changed, as a service may do.
        return {n: v for n, v in whole.items() if n in edited or n.startswith("@")}

    def _whole(self, name: str, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        self._told.add((name, key))
        etag = self.rows.etag(name, key)
        return ({} if etag is None else {"@odata.etag": etag}) | dict(row)

    def _expired(self, name: str, form: _Form) -> Reply:
        self._note(f"expired: {self.expiry}")
        if self.expiry == "silent":
            return self._all(name, len(self._log), "", form)
        if self.expiry == "gone":
            return _json({"error": {"code": "gone", "message": "Gone."}}, status=410)
        message = "Version stamp has expired. Please perform a full sync."
        return _json({"error": {"code": "0x80044352", "message": message}}, status=400)

    def _rearranged(self, reply: Reply, fault: str) -> Reply:
        """The same page with an item that comes again, or in another order."""
        if reply.status != 200:
            return reply
        raw = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(raw["value"], type=list[msgspec.Raw])
        again = items[::-1] if fault == "rows reordered" else [*items, *items[-1:]]
        if again == items:
            return reply
        self._note(fault)
        raw["value"] = msgspec.Raw(msgspec.json.encode(again))
        return replace(reply, body=msgspec.json.encode(raw))


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


def _has_more(url: str, reply: Reply) -> bool:
    """Whether a page came that others will follow, or probably will."""
    if b"nextLink" in reply.body:
        return True
    size = dict(parse_qsl(urlsplit(url).query)).get("$top")
    if size is None or "desc" in url or reply.status != 200:
        return False
    raw = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
    return len(msgspec.json.decode(raw["value"], type=list[msgspec.Raw])) == int(size)


def _json(document: Mapping[str, Any], *, status: int = 200) -> Reply:
    headers = {"Content-Type": "application/json"}
    return Reply(status=status, headers=headers, body=_encode(document))


def _reply(answer: Any) -> Reply:
    return Reply(status=answer.status, headers=answer.headers, body=answer.body)
