"""What staging must hold: the pages that were committed, applied one by one.

The naive counterpart of merge and sweep. A source that can say when it last changed a
table lets it check itself: after a whole run without changes the copy is the source.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from project.errors import TransientError
from replication.domain.tables import TableDef
from replication.odata.answers import Reply
from replication.odata.rows import wire_name
from tests.fake_dataverse import FakeDataverse
from tests.oracle import world
from tests.oracle.failures import MismatchError

Row = dict[str, Any]


class PlayedSource(FakeDataverse):
    """Knows at which version each table was last changed."""

    def __init__(self, tables: tuple[TableDef, ...]) -> None:
        super().__init__(tables)
        self.changed_at = {table.name: 0 for table in tables}
        self._backup: dict[str, Any] | None = None
        self.table_of = {table.entity_set: table for table in tables}

    def put(self, table: str, key: object, **values: Any) -> None:
        super().put(table, key, **values)
        self.changed_at[table] = self.version

    def delete(self, table: str, key: object) -> None:
        super().delete(table, key)
        self.changed_at[table] = self.version

    def expire_tokens(self) -> None:
        self.version += 1
        self.oldest_token = self.version

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """Expired tokens end a run in its middle as well."""
        base, _, token = unquote(url).partition("?$skiptoken=")
        if token and int(token.split("!")[1]) < self.oldest_token:
            url = f"{base}?$deltatoken=0"
        return super().get(url, headers=headers)

    def back_up_or_restore(self) -> bool:
        """Go back to how it was when this was called first; True when it went back.

        Rows get their old versions back, and no token is known any more.
        """
        if self._backup is None:
            self._backup = copy.deepcopy(self._tables)
            return False
        self._tables = copy.deepcopy(self._backup)
        self.expire_tokens()
        self.changed_at = dict.fromkeys(self.changed_at, self.version)
        return True

    def _items(
        self, table: Any, since: int, upto: int, after: str
    ) -> list[tuple[str, dict[str, Any]]]:
        items = super()._items(table, since, upto, "")
        if not table.definition.has_guid_key:
            # No Dataverse: such a service tells what happened in the order in which
            # it happened, and not the deletes last.
            items = sorted((f"a{place[1:]}", item) for place, item in items)
        return [item for item in items if item[0] > after]


class Wire:
    """One worker's way to the source; remembers the pages until they are committed."""

    def __init__(self, source: PlayedSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._is_closed = False
        self._pages: list[tuple[str, int, dict[str, Any]]] = []
        self.refusals = 0

    def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        # Pages are fetched ahead on another thread, which must not look at a source
        # that has changed since its worker went away.
        with self._lock:
            if self._is_closed:
                raise TransientError("The worker is gone.")
            at = self._source.version
            reply = self._source.get(url, headers=headers)
            if "(" in url:
                return reply
            if reply.status == 200:
                self._pages.append((url, at, json.loads(reply.body)))
            else:
                self.refusals += 1
            return reply

    def close(self) -> None:
        with self._lock:
            self._is_closed = True

    def committed(self) -> tuple[str, int, dict[str, Any]]:
        """The next page, in the order in which they were fetched."""
        with self._lock:
            return self._pages.pop(0)


class Pulled:
    """Rows by table and key, as staging must have them."""

    def __init__(self, source: PlayedSource) -> None:
        self._source = source
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in source.changed_at}
        self.complete: set[str] = set()
        # Keys of rows that the present run brought, and whether it reads everything.
        self._met: dict[str, set[str]] = {}
        self._reads_all: set[str] = set()
        # The source's version when the newest run began, and runs not at their end.
        self._begun_at: dict[str, int] = {}
        self._running: set[str] = set()
        # Counts up, so that what was worked out from the rows can be kept.
        self.state = 0

    def is_current(self, table: str) -> bool:
        """Nothing happened at the source since the last whole run began."""
        return (
            table in self.complete
            and table not in self._running
            and self._source.changed_at[table] <= self._begun_at[table]
        )

    def apply(self, table: str, url: str, at: int, answer: Mapping[str, Any]) -> None:
        """Take over a page that was committed."""
        self.state += 1
        query = {n: unquote(v[0]) for n, v in parse_qs(urlsplit(url).query).items()}
        if "$skiptoken" not in query:
            self._begin(table, at, whole="$deltatoken" not in query)
        elif table not in self._running:
            raise MismatchError(f"A run over {table} goes on that never began.")
        stored, definition = self.rows[table], self._table(table)
        rows, deletes = _sorted(definition, answer["value"])
        for key in deletes:
            # Dataverse tells deletes last: a row that this run brought before may have
            # been created again. Only the source can say.
            if key not in self._met[table] or key not in self._source.rows(table):
                stored.pop(key, None)
        for key, row in rows.items():
            if self._replaces(table, row, stored.get(key)):
                stored[key] = row
        self._met[table].update(rows)
        if "@odata.nextLink" not in answer:
            self._end(table)

    def _replaces(self, table: str, row: Row, old: Row | None) -> bool:
        if not is_storable(row):
            return False
        # A run over the whole table takes the source as it is: it may have gone back.
        return (
            old is None
            or table in self._reads_all
            or row["versionnumber"] > old["versionnumber"]
        )

    def _begin(self, table: str, at: int, *, whole: bool) -> None:
        self._begun_at[table] = at
        self._running.add(table)
        self._met[table] = set()
        self._reads_all.discard(table)
        if whole:
            self._reads_all.add(table)
            if table not in self.complete:
                # What an unfinished first load left would never be swept.
                self.rows[table] = {}

    def _end(self, table: str) -> None:
        met = self._met.pop(table)
        if table in self._reads_all:
            there = {} if self._table(table).tracked else self._there_after_all(table)
            self.rows[table] = {
                key: there.get(key, row) if key not in met else row
                for key, row in self.rows[table].items()
                if key in met or key in there
            }
        self.complete.add(table)
        self._running.discard(table)
        if self.is_current(table):
            self._compare(table)

    def _there_after_all(self, table: str) -> dict[str, Row]:
        """Without change tracking the source is asked for rows that a run did not meet:
        they may have moved between pages, or come back with a restore."""
        columns = [column.name for column in self._table(table).columns]
        asked = {
            key: {name: row.get(name) for name in columns}
            for key, row in self._source.rows(table).items()
        }
        held = self.rows[table]
        return {
            key: row if is_storable(row) else held[key]
            for key, row in asked.items()
            if key in held
        }

    def _compare(self, table: str) -> None:
        definition = self._table(table)
        truth = {
            key: {column.name: row.get(column.name) for column in definition.columns}
            for key, row in self._source.rows(table).items()
        }
        for key in [key for key, row in truth.items() if not is_storable(row)]:
            # Set aside; what staging had of it stays.
            truth.pop(key)
            if key in self.rows[table]:
                truth[key] = self.rows[table][key]
        if self.rows[table] != truth:
            raise MismatchError(
                f"A whole run over {table} lost or kept rows:"
                f" {difference(self.rows[table], truth)}"
            )

    def _table(self, name: str) -> TableDef:
        return next(t for t in self._source.table_of.values() if t.name == name)

    def kept(self) -> dict[str, Any]:
        """A copy, to be handed to `put_back` after staging was restored."""
        return copy.deepcopy({n: v for n, v in vars(self).items() if n != "_source"})

    def put_back(self, kept: Mapping[str, Any]) -> None:
        state = self.state + 1
        vars(self).update(copy.deepcopy(kept))
        self.state = state


def is_storable(row: Row) -> bool:
    """The only thing that is ever wrong with a row in this world."""
    return row.get("employees") != world.TOO_LARGE


def _sorted(
    definition: TableDef, items: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Row], list[str]]:
    """The rows of a page by key, and the keys that it deletes and does not bring."""
    key, rows, deletes = definition.key[0], {}, []
    for item in items:
        if "reason" in item:
            deletes.append(item["id"])
        else:
            rows[item[key]] = {c.name: item[wire_name(c)] for c in definition.columns}
    return rows, [deleted for deleted in deletes if deleted not in rows]


def difference(
    found: Mapping[str, object], wanted: Mapping[str, object], *, at_most: int = 3
) -> str:
    """Say in a line which keys are missing, too many or unlike."""
    unlike = [key for key in found.keys() & wanted.keys() if found[key] != wanted[key]]
    parts = [
        *_some("missing", wanted.keys() - found.keys(), wanted, at_most),
        *_some("too many", found.keys() - wanted.keys(), found, at_most),
        *(f"{k} is {found[k]} and not {wanted[k]}" for k in sorted(unlike)[:at_most]),
    ]
    return "; ".join(parts) or "none"


def _some(
    word: str, keys: Iterable[str], of: Mapping[str, object], at_most: int
) -> list[str]:
    return [f"{word} {key} {of[key]}" for key in sorted(keys)[:at_most]]
