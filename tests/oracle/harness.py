"""One staging database that is set back for every run, and the checks on it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import msgspec
import psycopg
from psycopg import sql

from provisioning.models import Organization
from replication.domain.choices import spec_of
from replication.domain.profiles import Policy
from replication.services.serving import Message, Rows, StoredRows
from replication.staging import connections, install, schema
from replication.visibility import dependants, policy, reconcile, stale
from tests.oracle import copies, filter_texts, world
from tests.oracle.devices import Device
from tests.oracle.failures import MismatchError
from tests.oracle.oracle import Held, Oracle, digest
from tests.oracle.pulled import PlayedSource, Pulled, difference
from tests.oracle.workers import OPTIONS, Workers

# Copies of staging: as every run begins, and as an operator would restore it.
BASE = "kept_base"
BACKUP = "kept_backup"
MOST_ATTEMPTS = 200


class Harness:
    """Holds what outlives a run: the database, its connections, the counts."""

    def __init__(self, owner: Organization) -> None:
        self.id: UUID = owner.id
        self.workers = Workers(owner)
        self.conn: psycopg.Connection[Any] = psycopg.connect(
            self.workers.conninfo, autocommit=True, options=OPTIONS
        )
        # In how many runs each kind of event occurred, and how many runs there were.
        self.occurred: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.runs = 0
        self._events: set[str] = set()
        self._install()

    def close(self) -> None:
        self.workers.close()
        self.conn.close()
        connections.forget(self.id)

    def begin(self) -> None:
        """Set everything back to the base: the world's security tables are pulled."""
        self.runs += 1
        self._events = set()
        copies.restore(self.conn, BASE)
        self.conn.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")
        self._enter(*_new_world())
        self.pulled.put_back(self._base)

    def note(self, event: str) -> None:
        self.totals[event] += 1
        if event not in self._events:
            self._events.add(event)
            self.occurred[event] += 1
            hypothesis.event(event)

    def _install(self) -> None:
        with self.conn.transaction():
            for name in ("data", "sync"):
                self.conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            install.install(self.conn)
            schema.create_missing(self.conn, world.TABLES)
        self._enter(*_new_world())
        for table in world.SECURITY:
            self.workers.pull(table.name)
        copies.keep(self.conn, BASE)
        self._base = self.pulled.kept()

    def _enter(self, source: PlayedSource, pulled: Pulled) -> None:
        self.source, self.pulled = source, pulled
        self.workers.begin(source, pulled)
        self.policy = Policy()
        self.now = world.BEGINNING
        # The clock's access_rev when something was published and nothing else was due.
        self._published_at: int | None = None
        self._answers: dict[UUID, Held | None] = {}
        self._answered_at: tuple[object, ...] = ()

    # What the oracle says

    def publish(self, published: Policy) -> None:
        was_settled = self.is_settled()
        policy.publish(self.conn, published)
        self.policy = published
        self._published_at = self._access_rev() if was_settled else None

    def may_hold(self, user: UUID) -> Held | None:
        in_effect = self._in_effect()
        at = (self.pulled.state, in_effect, self.now)
        if at != self._answered_at:
            self._answers, self._answered_at = {}, at
        if user not in self._answers:
            self._answers[user] = self._oracle(in_effect).may_hold(user)
        return self._answers[user]

    def _in_effect(self) -> Policy:
        """By what everybody is served until the rules of what was published are there."""
        row = self.conn.execute("SELECT effective::text FROM sync.policy").fetchone()
        if row is None or row[0] is None:
            return Policy()
        return msgspec.json.decode(row[0], type=Policy)

    def _access_rev(self) -> int:
        row = self.conn.execute("SELECT access_rev FROM sync.clock").fetchone()
        assert row is not None
        rev: int = row[0]
        return rev

    def settle(self) -> None:
        """Bring the rules up to date; a worker that died may still be leaving."""
        for _ in range(MOST_ATTEMPTS):
            self.workers.reconcile()
            # A window that moves many rows leaves them to be caught up with.
            self.keep_time()
            if not reconcile.is_due(self.conn):
                return
            time.sleep(0.01)
        raise MismatchError("The rules are never up to date.")

    def is_settled(self) -> bool:
        """The rules are as those in effect need them, and no unit is on its way."""
        if reconcile.is_due(self.conn):
            waits = self._published_at == self._access_rev() and not self._stale()
            if not waits or self._in_effect() == self.policy:
                return False
            self.note("waits for its rules")
        return self._oracle(self.policy).has_whole_tree()

    def _stale(self) -> set[str]:
        """Tables of which a device may see some rows as they were before a change."""
        rows = self.conn.execute(
            "SELECT s.name FROM sync.rule r JOIN sync.source s ON s.id = r.source_id"
            " WHERE r.state = 'active' AND r.stale_after IS NOT NULL"
        )
        found = {name for (name,) in rows}
        if found:
            self.note("stale")
        return found

    def is_building_through(self, table: str) -> bool:
        """A rule is being built that comes to its rows through rows of the table."""
        rows = self.conn.execute("SELECT spec FROM sync.rule WHERE state = 'building'")
        specs = [spec_of(text) for (text,) in rows]
        is_of_shares = table == world.SHARE.name
        return any(
            table in spec.choice.tables or (is_of_shares and "shares" in spec.opens)
            for spec in specs
        )

    def let_time_pass(self, span: timedelta) -> None:
        self.now += span

    def keep_time(self) -> None:
        """Move the windows of all rules to the present moment."""
        self.workers.keep_time(self.now)

    def set_sizes(self, *, at_once: int, chunk: int) -> None:
        """How many rows are derived while the clock is held, and in one chunk."""
        dependants.MOST_AT_ONCE = at_once
        stale.CHUNK_ROWS = chunk

    def _oracle(self, in_effect: Policy) -> Oracle:
        # A table that was never pulled to its end is nobody's yet.
        complete = {
            name: table
            for name, table in world.BY_NAME.items()
            if name in self.pulled.complete
        }
        return Oracle(
            complete,
            self.pulled.rows,
            in_effect,
            now=self.now,
            meaning=filter_texts.meaning,
        )

    # Checks

    def check_staging(self, table: str) -> None:
        """Staging holds the pages that were committed, and nothing else."""
        definition = world.BY_NAME[table]
        found = self.conn.execute(
            sql.SQL("SELECT {key}::text, _version::text FROM {relation}").format(
                key=sql.Identifier(definition.key[0]),
                relation=schema.relation(definition),
            )
        ).fetchall()
        wanted = {
            key: str(row["versionnumber"])
            for key, row in self.pulled.rows[table].items()
        }
        if dict(found) != wanted:
            message = f"Staging of {table}: {difference(dict(found), wanted)}"
            raise MismatchError(message)

    def check_feed(self, table: str) -> None:
        """Live entries have the owner and the units that their rows have now."""
        rules = self.conn.execute(
            "SELECT r.id, r.spec FROM sync.rule r JOIN sync.source s"
            " ON s.id = r.source_id WHERE s.name = %s AND r.state = 'active'"
            " AND r.stale_after IS NULL",
            (table,),
        ).fetchall()
        units = self.pulled.rows["businessunit"]
        for rule, text in rules:
            spec = json.loads(text)
            opens = tuple(spec.get("opens", ()))
            if spec.keys() - {"shape", "opens"} or opens not in _BY_UNITS:
                continue
            found = self.conn.execute(
                "SELECT f.row_id::text, o.value::text, u.value::text"
                " FROM sync.feed f LEFT JOIN sync.key_value o ON o.id = f.k1"
                " LEFT JOIN sync.key_value u ON u.id = coalesce(f.k3, f.k2)"
                " WHERE f.rule = %s AND f.live",
                (rule,),
            ).fetchall()
            wanted = {
                (key, row.get("ownerid"), unit)
                for key, row in self.pulled.rows[table].items()
                for unit in _handed_out(opens, row.get("owningbusinessunit"), units)
            }
            known = {e for e in found if not opens or e[2] in units}
            if known != wanted:
                message = f"Feed of {table}, {text}: {sorted(known ^ wanted, key=str)}"
                raise MismatchError(message)

    def check_message(self, device: Device, message: Message) -> None:
        """Nobody is sent what he may not see, nor told to delete what he may."""
        if not isinstance(message, Rows | StoredRows):
            return
        if isinstance(message, StoredRows):
            self.note("stored rows")
        if message.table in self._stale():
            return
        held = self.may_hold(device.user)
        may = {} if held is None else held.get(message.table, {})
        key_at = self._key_position(device, message.table)
        sent = {row[key_at] for row in json.loads(b"[" + message.upserts + b"]")}
        if sent - may.keys():
            raise MismatchError(
                f"{device} is sent {message.table} {sent - may.keys()}, which its user"
                " may not see."
            )
        deleted = {*json.loads(b"[" + message.deletes + b"]")}
        if self.is_settled() and deleted & may.keys():
            raise MismatchError(
                f"{device} is told to delete {message.table} {deleted & may.keys()},"
                " which its user may see."
            )

    def _key_position(self, device: Device, table: str) -> int:
        return device.columns(table).index(world.BY_NAME[table].key[0])

    def check_refused(self, device: Device) -> None:
        if self.may_hold(device.user) is not None:
            raise MismatchError(f"{device} is refused, but its user may go offline.")

    def check_waiting(self, device: Device) -> None:
        """Only who gets a first profile waits, and only until that is in effect."""
        row = self.conn.execute(
            "SELECT body IS DISTINCT FROM effective FROM sync.policy"
        ).fetchone()
        if row != (True,) or self.may_hold(device.user) is not None:
            raise MismatchError(f"{device} waits for nothing.")

    def check_complete(self, device: Device) -> None:
        """The device holds what its user may see, value for value."""
        said = self.disagreement(device, self.may_hold(device.user))
        if said is not None:
            raise MismatchError(f"{device}{said}")

    def check_either(self, device: Device, earlier: Held | None) -> None:
        """The same, when its user's rows changed while the device was answered."""
        said = self.disagreement(device, self.may_hold(device.user))
        if said is not None and self.disagreement(device, earlier) is not None:
            raise MismatchError(f"{device}, neither before nor after a change:{said}")

    def disagreement(self, device: Device, held: Held | None) -> str | None:
        """What the device does not hold as it should; None when all is well."""
        if held is None:
            return " is served, but its user may not go offline."
        settled = self.is_settled()
        self.note("compared" if settled else "compared in part")
        tables = set(device.store.tables())
        if settled and (tables ^ held.keys()) - self._may_lack(held):
            return f" has the tables {sorted(tables)} instead of {sorted(held)}."
        for table in sorted(tables - (set() if settled else self._stale())):
            found = {k: dict(r) for k, r in device.store.rows(table).items()}
            wanted = held.get(table, {})
            if not settled:
                wanted = {key: wanted[key] for key in found.keys() & wanted.keys()}
            self.totals["rows compared"] += len(wanted)
            if found != wanted:
                return f", table {table}: {difference(found, wanted)}"
        return self._wrong_digest(device, held) if settled else None

    def _may_lack(self, held: Held) -> set[str]:
        """A table whose rows come through one that is not loaded yet has no rule."""
        if self.pulled.complete >= world.BY_NAME.keys():
            return set()
        return {table for table, rows in held.items() if not rows}

    def _wrong_digest(self, device: Device, held: Held) -> str | None:
        said = device.last.digest if device.last else None
        if said is None:
            return None
        self.note("digest checked")
        wanted = {table: digest(held[table]) for table in said.keys() & held.keys()}
        if dict(said) != wanted or device.store.differing(said):
            return f" is told the digest {said} and not {wanted}."
        return None

    # Restore

    def back_up(self) -> None:
        copies.keep(self.conn, BACKUP)
        self._backup = (self.pulled.kept(), self.policy, copies.rule_ids(self.conn))

    def can_restore(self) -> bool:
        """Only when no feed was made or dropped since: those are not in the copy."""
        return self._backup[2] == copies.rule_ids(self.conn)

    def restore(self) -> None:
        """Staging goes back to the backup, in a database that is not the old one."""
        copies.restore(self.conn, BACKUP)
        self.conn.execute("UPDATE sync.clock SET identity = 'another server'")
        pulled, self.policy, _ = self._backup
        self._published_at = None
        self.pulled.put_back(pulled)


def _new_world() -> tuple[PlayedSource, Pulled]:
    source = PlayedSource(world.TABLES)
    world.begin(source)
    return source, Pulled(source)


# Rules of all rows whose third key is nothing, or a unit.
_BY_UNITS = ((), ("ancestors",))


def _handed_out(
    opens: tuple[str, ...], unit: str | None, units: Mapping[str, Mapping[str, Any]]
) -> list[str | None]:
    """By which units a row is handed out: its own, or those above but the topmost."""
    if not opens:
        return [unit]
    line: list[str | None] = []
    here = unit if unit in units else None
    while here is not None and here in units and here not in line:
        line.append(here)
        here = units[here].get("parentbusinessunitid")
    return [above for above in line[1:] if above and _is_below(units[above])]


def _is_below(unit: Mapping[str, Any]) -> bool:
    return unit.get("parentbusinessunitid") is not None
