"""One statement that answers a device which holds exactly what it may.

Most requests come from such devices, and there is little or nothing to tell them.
One statement has one snapshot: it reads the clock, and what moved since the device's
checkpoint. Its text is the same for all users with the same rights, so that
PostgreSQL plans it once a connection; whose keys, and since when, are parameters.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import psycopg
from psycopg import sql

from replication.staging import clock, mutations
from replication.staging.clock import ClockReading
from replication.visibility import entries, rows
from replication.visibility.access import Access
from replication.visibility.checkpoints import (
    Checkpoint,
    Grant,
    GrantSet,
    grants_id,
)
from replication.visibility.entries import Probe
from replication.visibility.messages import Begin
from replication.visibility.rows import Block
from replication.visibility.security_age import IS_STALE

# When more has moved in a table, the answer is computed in pieces.
MOST_ENTRIES = 500
MOST_OUTCOMES = 100


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the device's mutations since its checkpoint."""

    # How many outcomes there are; whether one of them failed, so that its row goes
    # with it; all of them as JSON.
    number: int
    has_failed: bool
    content: bytes | None
    # Up to which sequence nothing waits.
    through: int
    # The checkpoint confirms outcomes of which that was not noted yet.
    is_unconfirmed: bool

    @property
    def are_plain(self) -> bool:
        return not self.has_failed and self.number < MOST_OUTCOMES


@dataclass(frozen=True, slots=True)
class Glance:
    """What one statement saw; `unread` are tables with news that it did not read."""

    reading: ClockReading | None
    is_security_stale: bool
    outcomes: Told
    blocks: Mapping[str, Block]
    unread: frozenset[str]

    @property
    def is_whole(self) -> bool:
        found = self.blocks.values()
        return not self.unread and all(b.entries < MOST_ENTRIES for b in found)


class View:
    """What all answers to the users with this access have in common."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.begin = Begin.of(access, snapshot=None)
        self.grants: dict[str, frozenset[Grant]] = {}
        self.columns: dict[str, list[tuple[str, str]]] = {}
        self._standing: dict[str, tuple[str, tuple[GrantSet, ...]]] = {}
        for name, table in access.tables.items():
            columns_id, sets = table.columns_id, list[GrantSet]()
            if table.grants:
                held = GrantSet(grants_id(table.grants), "done")
                self.grants[held.grants_id] = table.grants
                sets.append(held)
            self.columns[columns_id] = table.columns_content
            self._standing[name] = (columns_id, tuple(sets))
        self._probes = {
            name: entries.probes(table.grants)
            for name, table in access.tables.items()
            if table.grants
        }
        self._statements: dict[frozenset[str], str] = {}
        # Tables that had news the last time: they are likely to have some now.
        self._lively: frozenset[str] = frozenset()

    def is_held(self, checkpoint: Checkpoint) -> bool:
        """The device holds all of this and nothing else."""
        return checkpoint.tables.keys() == self._standing.keys() and all(
            (held.columns_id, held.sets) == self._standing[name]
            for name, held in checkpoint.tables.items()
        )

    def glance(self, conn: psycopg.Connection, checkpoint: Checkpoint) -> Glance:
        """Look once, and again if there is news of tables where none was expected."""
        seen = self._look(conn, checkpoint, self._lively)
        if seen.unread:
            seen = self._look(conn, checkpoint, self._lively | seen.unread)
        self._lively = frozenset(n for n, b in seen.blocks.items() if b.entries)
        return seen

    def _look(
        self, conn: psycopg.Connection, checkpoint: Checkpoint, read: frozenset[str]
    ) -> Glance:
        text = self._statements.get(read)
        if text is None:
            # One text in memory for all who have the same rights.
            text = sys.intern(_statement(self.access, self._probes, read).as_string())
            self._statements[read] = text
        values = [str(checkpoint.device), str(checkpoint.told)]
        for name, probes in self._probes.items():
            # All of them as text: numbers of other sizes would be planned apart.
            values.append(str(checkpoint.tables[name].rev))
            for probe in probes:
                values += probe.values
        cursor = psycopg.RawCursor(conn)
        row = cursor.execute(text, values, prepare=True, binary=True).fetchone()
        assert row is not None
        return _seen(row, self._probes, read)


def _statement(
    access: Access, probes: Mapping[str, tuple[Probe, ...]], read: Collection[str]
) -> sql.Composed:
    """`read` tables give a block each, all others whether there is news."""
    device, told = _parameter(1, "uuid"), _parameter(2, "bigint")
    found: list[sql.Composable] = [
        *clock.COLUMNS,
        IS_STALE,
        sql.SQL("o.*"),
        mutations.through(device),
        mutations.is_unconfirmed(device, told),
    ]
    sources: list[sql.Composable] = [
        sql.SQL("sync.clock c"),
        sql.SQL("({}) o").format(mutations.newest(device, told, limit=MOST_OUTCOMES)),
    ]
    taken = 2
    for name, wanted in probes.items():
        given = _Parameters(wanted, after=taken)
        taken = given.last
        if name in read:
            block = sql.Identifier(f"b{len(sources)}")
            found.append(sql.SQL("{}.*").format(block))
            query = rows.changes(
                access.tables[name],
                held=wanted,
                since=given.since,
                limit=MOST_ENTRIES,
                arrays=given.arrays,
            )
            sources.append(sql.SQL("({}) {}").format(query, block))
        else:
            # In the order of revs, for the planner expects to meet one at once.
            newest = entries.moved(
                wanted, since=given.since, limit=sql.Literal(1), arrays=given.arrays
            )
            found.append(sql.SQL("(SELECT rev FROM ({}) x) IS NOT NULL").format(newest))
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(found), sql.SQL(" CROSS JOIN ").join(sources)
    )


class _Parameters:
    """The parameters of one table: since which rev, and the probes' values.

    Each stands in a query of its own. The planner cannot see through it, so that
    plans are the same with and without knowledge of the values, and kept.
    """

    def __init__(self, probes: Collection[Probe], *, after: int) -> None:
        self.since = _parameter(after + 1, "bigint")
        self.last = after + 1
        self._arrays: dict[Probe, list[sql.Composable]] = {}
        for probe in probes:
            numbers = range(self.last + 1, self.last + 1 + len(probe.values))
            self._arrays[probe] = [_parameter(n, "integer[]") for n in numbers]
            self.last += len(probe.values)

    def arrays(self, probe: Probe) -> list[sql.Composable]:
        return self._arrays[probe]


def _parameter(number: int, kind: str) -> sql.Composable:
    return sql.SQL(f"(SELECT ${number}::{kind})")


def _seen(row: Sequence[Any], names: Collection[str], read: Collection[str]) -> Glance:
    values = iter(row)
    reading = clock.reading_of([next(values) for _ in clock.COLUMNS])
    is_stale = next(values)
    told = Told(*(next(values) for _ in fields(Told)))
    blocks, unread = {}, []
    for name in names:
        if name in read:
            blocks[name] = rows.changed_block([next(values) for _ in rows.CHANGED])
        elif next(values):
            unread.append(name)
    return Glance(reading, is_stale, told, blocks, frozenset(unread))
