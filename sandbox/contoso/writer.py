"""A busy writer: people who edit, create, delete and hand over rows for a while.

What is done follows from the seed alone, though not when: it keeps to the rate
on average, and says how many edits it made.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from time import monotonic
from typing import Any

import msgspec

from sandbox.contoso.business import FIRST_NAMES, LAST_NAMES
from sandbox.contoso.errors import WebApiError
from sandbox.contoso.people import PEOPLE, TEAMS
from sandbox.contoso.schema import Table
from sandbox.contoso.store import Store, decode, sql_name
from sandbox.contoso.values import BIND
from sandbox.contoso.writes import Edit

_TABLES = {"account": 4, "contact": 3, "task": 3, "appointment": 1, "annotation": 1}
_KINDS = {"update": 14, "create": 3, "delete": 1, "assign": 2}
_TEXTS = {
    "account": "telephone1",
    "contact": "jobtitle",
    "task": "description",
    "appointment": "location",
    "annotation": "notetext",
}
_NAMES = {
    "account": "name",
    "contact": "lastname",
    "task": "subject",
    "appointment": "subject",
    "annotation": "subject",
}
_MOST_AT_ONCE = 50
_OWNERS = tuple(person for person in PEOPLE if person.roles and not person.is_disabled)
_OWNING_TEAMS = tuple(team for team in TEAMS if team.kind == 0)


class InvalidWriterError(Exception):
    """The description of the work has an unknown or unfit member."""


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    edits_per_second: float = 10.0
    seconds: float = 60.0
    seed: int = 1


class BusyWriter:
    """At most one writer, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()

    def start(self, document: Mapping[str, object]) -> None:
        """Begin; a writer at work stops first.

        :raises InvalidWriterError: unknown or unfit members.
        """
        try:
            work = msgspec.convert(dict(document), Work, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidWriterError(str(error)) from error
        if work.edits_per_second <= 0 or work.seconds < 0:
            raise InvalidWriterError("edits_per_second and seconds are positive.")
        with self._lock:
            self._end()
            self._stopped, self._made = threading.Event(), Counter()
            self._thread = threading.Thread(
                target=self._run, args=(work, self._stopped, self._made), daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._end()

    def report(self) -> Mapping[str, object]:
        """Return what was done so far, by kind."""
        thread = self._thread
        is_running = thread is not None and thread.is_alive()
        made = dict(self._made)
        return {"is_running": is_running, "edits": sum(made.values()), "kinds": made}

    def _end(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, work: Work, stopped: threading.Event, made: Counter[str]) -> None:
        dice, began, done = random.Random(work.seed), monotonic(), 0  # noqa: S311
        total = int(work.edits_per_second * work.seconds)
        try:
            while done < total and not stopped.is_set():
                due = int((monotonic() - began) * work.edits_per_second) + 1
                batch = min(due, total, done + _MOST_AT_ONCE) - done
                for kind in self._write(dice, batch):
                    made[kind] += 1
                done += batch
                if done >= due:
                    stopped.wait(done / work.edits_per_second - (monotonic() - began))
        finally:
            self._store.release()

    def _write(self, dice: random.Random, times: int) -> list[str]:
        """Make so many edits in one transaction, each by somebody."""
        kinds = []
        with self._store.write() as connection:
            for _ in range(times):
                author = dice.choice(_OWNERS)
                store = self._store
                edit = Edit(connection, store.schema, store.clock(), author.id)
                kinds.append(_one(edit, dice))
        return kinds


def _one(edit: Edit, dice: random.Random) -> str:
    name = dice.choices(list(_TABLES), weights=list(_TABLES.values()))[0]
    kind = dice.choices(list(_KINDS), weights=list(_KINDS.values()))[0]
    table = edit.schema.tables[name]
    row = None if kind == "create" else _any_row(edit, table, dice)
    if row is None:
        edit.create(table, _new(name, dice))
        return "create"
    if kind == "delete":
        try:
            edit.delete(table, row)
        except WebApiError:
            return "refused"
    elif kind == "assign":
        owner: Any = dice.choice((*_OWNERS, *_OWNING_TEAMS))
        entity_set = "systemusers" if owner in _OWNERS else "teams"
        edit.update(table, row, {f"ownerid{BIND}": f"{entity_set}({owner.id})"})
    else:
        edit.update(table, row, {_TEXTS[name]: _words(dice)})
    return kind


def _any_row(edit: Edit, table: Table, dice: random.Random) -> dict[str, object] | None:
    rows = sql_name(table)
    first, last = edit.connection.execute(
        f"SELECT ifnull(min(place), 0), ifnull(max(place), 0) FROM {rows}"
    ).fetchone()
    found = edit.connection.execute(
        f"SELECT body FROM {rows} WHERE place >= ? ORDER BY place LIMIT 1",
        (dice.randint(first, last),),
    ).fetchone()
    return None if found is None else decode(found[0])


def _new(name: str, dice: random.Random) -> dict[str, object]:
    row: dict[str, object] = {_NAMES[name]: _words(dice), _TEXTS[name]: _words(dice)}
    if name == "contact":
        row["firstname"] = dice.choice(FIRST_NAMES)
    return row


def _words(dice: random.Random) -> str:
    return f"{dice.choice(LAST_NAMES)} {dice.randint(100, 999)}"
