"""What became of every edit, held against the source's history and against the oracle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from replication.domain.upload_order import HOPELESS_AFTER
from tests.oracle.failures import MismatchError
from tests.staged import guid
from tests.uploads import oracle
from tests.uploads.devices import Made, UploadingDevice
from tests.uploads.oracle import Expected
from tests.uploads.source import PlayedDataverse, State, Written

FAILED = frozenset({"conflict", "rejected", "parked"})


@dataclass(frozen=True, kw_only=True)
class Record:
    """A mutation as the service has it."""

    made: Made
    status: str
    outcome: Mapping[str, Any]
    attempts: int
    group: UUID | None


@dataclass(kw_only=True)
class Ledger:
    """Of one life."""

    source: PlayedDataverse
    devices: list[UploadingDevice]
    policy: str
    has_markers: bool
    is_restored: bool = False
    made: dict[UUID, Made] = field(default_factory=dict)
    # Every value that an edit writes is its own.
    by_value: dict[str, Made] = field(default_factory=dict)
    entries: dict[UUID, list[Written]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _read: int = 0
    _last: dict[UUID, int] = field(default_factory=dict)
    _since: dict[UUID, int] = field(default_factory=dict)
    _waited: frozenset[UUID] = frozenset()
    _absent: set[tuple[str, str]] = field(default_factory=set)
    # Versions that the service believes a device to have left.
    _left: set[tuple[UUID, tuple[str, str], str]] = field(default_factory=set)

    def enter(self, made: Made) -> None:
        self.made[made.id] = made
        for name, value in made.values.items():
            if name != "parentaccountid":
                self.by_value[str(value)] = made

    def restored(self) -> None:
        """What the service knew since the backup it knows no more."""
        self.is_restored = True
        self._last.clear()

    @property
    def _has_forgotten(self) -> bool:
        """A restored database does not know what it sent, and there is no marker."""
        return self.is_restored and not self.has_markers

    # Around a run of write-back.

    def before_run(self, conn: psycopg.Connection[Any]) -> None:
        records = self.records(conn)
        waiting = [r for r in records.values() if r.status == "accepted"]
        for record in waiting:
            if record.attempts == 0:
                self._since[record.made.id] = self.source.version
        self._waited = frozenset(record.made.id for record in waiting)
        self._absent = self._not_staged(conn, [r.made for r in waiting])

    def after_run(self, conn: psycopg.Connection[Any]) -> None:
        """:raises MismatchError: something became of an edit that could not."""
        records = self.records(conn)
        self._absent |= self._not_staged(conn, [r.made for r in records.values()])
        self._check_journal()
        self._check_turns(records.values())
        for id_ in sorted(self._waited, key=lambda one: self.made[one].sequence):
            record = records.get(id_)
            if record is not None and record.status != "accepted":
                self._check(record, records)

    def records(self, conn: psycopg.Connection[Any]) -> dict[UUID, Record]:
        found = conn.execute(
            "SELECT id, status, coalesce(outcome, '{}'), attempts, group_id,"
            " source_version"
            " FROM sync.mutation ORDER BY device_id, sequence"
        ).fetchall()
        records = {
            id_: Record(
                made=self.made[id_],
                status=status,
                outcome=outcome,
                attempts=attempts,
                group=group,
            )
            for id_, status, outcome, attempts, group, _ in found
        }
        self._left |= {
            (self.made[id_].device.id, self.made[id_].place, version)
            for id_, *_, version in found
            if version is not None
        }
        return records

    def _not_staged(
        self, conn: psycopg.Connection[Any], made: Iterable[Made]
    ) -> set[tuple[str, str]]:
        staged = {
            (table, str(key))
            for table in ("account", "contact")
            for (key,) in conn.execute(f"SELECT {table}id FROM data.{table}")
        }
        return {one.place for one in made} - staged

    # The journal.

    def _check_journal(self) -> None:
        for written in self.source.journal[self._read :]:
            self._read += 1
            made = self.author(written)
            if made is None:
                raise MismatchError(f"Nobody asked for {_brief(written)}.")
            if written.caller != guid(f"{made.device.person}@entra"):
                raise MismatchError(f"{made} was written in another's name.")
            self._check_once(made, written)
            self._check_order(made)
            self._check_basis(made, written)
            self.entries[made.id].append(written)

    def author(self, written: Written) -> Made | None:
        """Whose edit it is."""
        for name, value in written.values.items():
            if name != "parentaccountid" and str(value) in self.by_value:
                return self.by_value[str(value)]
        if written.op == "delete":
            return self._deleter(written)
        return None

    def _deleter(self, written: Written) -> Made | None:
        """Deletes say little: of several that may be meant, one that fits best."""
        found = [
            made
            for made in self.made.values()
            if made.op == "delete"
            and made.place == (written.table, written.key)
            and written.caller == guid(f"{made.device.person}@entra")
        ]
        marked = [made for made in found if made.id == written.marker]
        free = [made for made in found if not self.entries[made.id]]
        fitting = [
            made
            for made in free
            if self._after(made, written.before).written is not None
        ]
        return next(iter([*marked, *fitting, *free, *found]), None)

    def _check_once(self, made: Made, written: Written) -> None:
        earlier = self.entries[made.id]
        if not earlier or self._may_repeat(made, earlier[-1], written):
            return
        raise MismatchError(f"{made} was applied twice.\n{self._queue(made)}")

    def _may_repeat(self, made: Made, first: Written, again: Written) -> bool:
        """Without markers nobody can tell a row that was made and deleted from one
        that was never made, nor what a restored database has forgotten."""
        if self._has_forgotten or self.has_markers:
            return self._has_forgotten
        between = [
            state
            for state in self.source.history[made.place]
            if first.version < state.version < again.version
        ]
        return made.op == "create" and any(s.values is None for s in between)

    def _check_order(self, made: Made) -> None:
        last = self._last.get(made.device.id, 0)
        if made.sequence < last and not self.entries[made.id]:
            raise MismatchError(f"{made} was applied after its device's {last}.")
        self._last[made.device.id] = max(last, made.sequence)

    def _check_basis(self, made: Made, written: Written) -> None:
        """The row that was written over was one that might be written over."""
        allowed = self._both(made, written.before)
        columns = frozenset(written.values)
        if not any(one.written == columns for one in allowed):
            raise MismatchError(
                f"{made} was written over {written.before}: {columns}."
                f"\n{self._queue(made)}"
            )

    # Outcomes.

    def _check(self, record: Record, records: Mapping[UUID, Record]) -> None:
        made, status = record.made, record.status
        group = [r for r in records.values() if r.group and r.group == record.group]
        members = group or [record]
        if self._has_forgotten and any(self.entries[r.made.id] for r in members):
            return
        must = any(self._blockers(r.made, records, r.made.knew) for r in members)
        may = any(self._blockers(r.made, records, r.made.confirmed) for r in members)
        if status == "parked":
            self._insist(may, record, "waits behind nothing")
            self._insist(not self.entries[made.id], record, "was written")
            return
        self._insist(not must, record, "depends on a failed one")
        if status == "applied":
            self._check_applied(record)
        elif len(members) > 1:
            self._check_group(record, members)
        else:
            self._insist(self._is_possible(record), record, "cannot be")
        if status == "rejected":
            self._insist(not self.entries[made.id], record, "was written all the same")

    def _blockers(
        self, made: Made, records: Mapping[UUID, Record], known: frozenset[UUID]
    ) -> list[Made]:
        return [
            r.made
            for r in records.values()
            if r.status in FAILED
            and r.made.device is made.device
            and r.made.sequence < made.sequence
            and r.made.id not in known
            and made.depends_on(r.made)
        ]

    def _check_applied(self, record: Record) -> None:
        made, written = record.made, self.entries[record.made.id]
        if record.outcome.get("uncertain"):
            self._insist(not self.has_markers, record, "was to be found out")
            self._insist(record.attempts > 0, record, "was never sent")
            return
        if written:
            is_done = any(
                one.status == "applied"
                for entry in written
                for one in self._both(made, entry.before)
            )
            self._insist(is_done, record, "was only done in part")
            return
        self._insist(self._is_possible(record), record, "was not written")

    def _check_group(self, record: Record, members: list[Record]) -> None:
        for one in members:
            self._insist(one.status in FAILED, one, "was done without its group")
            self._insist(not self.entries[one.made.id], one, "was written alone")
        possible = any(self._can_fail(one) for one in members)
        self._insist(possible, record, "had no reason in its group")

    def _can_fail(self, record: Record) -> bool:
        made = record.made
        is_refused = oracle.is_hopeless(made.wish) or bool(self._refusals(record))
        return is_refused or any(
            one.status != "applied"
            for state in self._states(made)
            for one in self._both(made, state)
        )

    def _is_possible(self, record: Record) -> bool:
        made, status = record.made, record.status
        reason = record.outcome.get("reason")
        if status == "rejected" and reason in self._refusals(record):
            return True
        written = self.entries[made.id]
        states = [entry.before for entry in written] or self._states(made)
        lost = frozenset(record.outcome.get("lost", ()))
        return any(
            one.status == status
            and one.reason == reason
            and (one.written is not None) == bool(written)
            and lost in {frozenset(), one.lost}
            for state in states
            for one in self._both(made, state)
        )

    def _refusals(self, record: Record) -> set[str]:
        """Why the edit may be refused beside what its row is."""
        made = record.made
        wish = made.wish
        found = {oracle.refused_at_once(wish)}
        if oracle.is_hopeless(wish) or record.attempts >= HOPELESS_AFTER:
            found.add("other")
        if made.op in {"update", "delete"} and made.place in self._absent:
            found.add("not_found")
        parent = made.values.get("parentaccountid")
        if parent and any(
            state.values is None for state in self._between(("account", parent), made)
        ):
            found.add("invalid")
        return {reason for reason in found if reason}

    # States of rows.

    def _states(self, made: Made) -> list[State]:
        return list(self._between(made.place, made))

    def _between(self, place: tuple[str, str], made: Made) -> Iterator[State]:
        """What the row was while something might be decided."""
        since = self._since.get(made.id, 0)
        current = State(version=0, values=None)
        for state in self.source.history[place]:
            if state.version > since:
                yield current
            current = state
        yield current

    def _both(self, made: Made, state: State) -> list[Expected]:
        """What may become of it over that state.

        After a restore the service may have forgotten which version was the device's
        own. And what somebody changed between a write and the reading of what it left
        counts as the device's: the source does not tell the two apart.
        """
        found = [self._after(made, state)]
        if self.is_restored:
            found.append(self._after(made, state, is_own=False))
        if (made.device.id, made.place, str(state.version)) in self._left:
            found.append(self._after(made, state, is_own=True))
        return found

    def _after(
        self, made: Made, state: State, *, is_own: bool | None = None
    ) -> Expected:
        author = self.author(state.by) if state.by else None
        if is_own is None:
            is_own = (
                author is not None
                and author.device is made.device
                and author.sequence < made.sequence
            )
        is_as_seen = is_own or str(state.version) == made.content.get("base_version")
        policy = self.policy if made.table == "account" else "client_wins"
        return oracle.expected(
            made.wish, state.values, policy=policy, is_as_seen=is_as_seen
        )

    def _check_turns(self, records: Iterable[Record]) -> None:
        """Nothing is decided before what its device made earlier."""
        waits: set[UUID] = set()
        for record in records:
            device = record.made.device.id
            if record.status == "accepted":
                waits.add(device)
            elif device in waits and record.made.id in self._waited:
                raise MismatchError(f"{record.made} was decided out of turn.")

    def _insist(self, holds: bool, record: Record, otherwise: str) -> None:
        if not holds:
            said = f"{record.made} is {record.status} {dict(record.outcome)}"
            states = self._states(record.made)
            raise MismatchError(
                f"{said} and {otherwise}.\n{self._queue(record.made)}\n{states}"
            )

    def _queue(self, made: Made) -> str:
        """The device's edits of that row, and what else was done to it."""
        same = [one for one in made.device.made if one.place == made.place]
        told = [f"{one} {one.content} {dict(one.heard or {})}" for one in same]
        states = [
            f"{s.version} {dict(s.values) if s.values else None}"
            f" {self.author(s.by) if s.by else 'somebody'}"
            for s in self.source.history[made.place]
        ]
        return "\n".join([*told, *states, f"restored: {self.is_restored}"])


def _brief(written: Written) -> str:
    return f"{written.op} of {written.table} {written.key} {dict(written.values)}"
