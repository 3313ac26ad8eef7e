"""One staging database that is set back for every run, and the checks on it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import hypothesis
import psycopg
from psycopg import sql

from provisioning.models import Organization
from replication.domain.profiles import Policy, ProfileDef
from replication.services.serving import Message, Rows
from replication.staging import connections, install, schema
from replication.visibility import policy, reconcile
from tests.fake_dataverse import SECURITY
from tests.oracle import world
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
        restore(self.conn, BASE)
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
        for table in SECURITY:
            self.workers.pull(table.name)
        keep(self.conn, BASE)
        self._base = self.pulled.kept()

    def _enter(self, source: PlayedSource, pulled: Pulled) -> None:
        self.source, self.pulled = source, pulled
        self.workers.begin(source, pulled)
        self.profiles: tuple[ProfileDef, ...] = ()
        self._answers: dict[UUID, Held | None] = {}
        self._answered_at: tuple[object, ...] = ()

    # What the oracle says

    def publish(self, profiles: Sequence[ProfileDef]) -> None:
        policy.publish(self.conn, Policy(profiles=tuple(profiles)))
        self.profiles = tuple(profiles)

    def may_hold(self, user: UUID) -> Held | None:
        at = (self.pulled.state, self.profiles)
        if at != self._answered_at:
            self._answers, self._answered_at = {}, at
        if user not in self._answers:
            self._answers[user] = self._oracle().may_hold(user)
        return self._answers[user]

    def settle(self) -> None:
        """Bring the rules up to date; a worker that died may still be leaving."""
        for _ in range(MOST_ATTEMPTS):
            self.workers.reconcile()
            if not reconcile.is_due(self.conn):
                return
            time.sleep(0.01)
        raise MismatchError("The rules are never up to date.")

    def is_settled(self) -> bool:
        """The rules are as published, and no unit is on its way."""
        return not reconcile.is_due(self.conn) and self._oracle().has_whole_tree()

    def _oracle(self) -> Oracle:
        # A table that was never pulled to its end is nobody's yet.
        complete = {
            name: table
            for name, table in world.BY_NAME.items()
            if name in self.pulled.complete
        }
        return Oracle(complete, self.pulled.rows, self.profiles)

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
            "SELECT r.id, r.shape FROM sync.rule r JOIN sync.source s"
            " ON s.id = r.source_id WHERE s.name = %s AND r.state = 'active'",
            (table,),
        ).fetchall()
        units = self.pulled.rows["businessunit"]
        for rule, shape in rules:
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
                for unit in _handed_out(shape, row.get("owningbusinessunit"), units)
            }
            known = {e for e in found if shape != "deep" or e[2] in units}
            if known != wanted:
                message = f"Feed of {table}, {shape}: {sorted(known ^ wanted, key=str)}"
                raise MismatchError(message)

    def check_message(self, device: Device, message: Message) -> None:
        """Nobody is sent what he may not see, nor told to delete what he may."""
        if not isinstance(message, Rows):
            return
        held = self.may_hold(device.user)
        may = {} if held is None else held.get(message.table, {})
        upserts = json.loads(b"[" + message.upserts + b"]")
        key_at = self._key_position(device, message.table)
        for row in upserts:
            if row[key_at] not in may:
                raise MismatchError(
                    f"{device} is sent {message.table} {row[key_at]}, which its user"
                    " may not see."
                )
        if not self.is_settled():
            return
        for key in json.loads(b"[" + message.deletes + b"]"):
            if key in may:
                raise MismatchError(
                    f"{device} is told to delete {message.table} {key}, which its"
                    " user may see."
                )

    def _key_position(self, device: Device, table: str) -> int:
        return device.columns(table).index(world.BY_NAME[table].key[0])

    def check_refused(self, device: Device) -> None:
        if self.may_hold(device.user) is not None:
            raise MismatchError(f"{device} is refused, but its user may go offline.")

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
        tables = device.store.tables()
        if settled and set(tables) != held.keys():
            return f" has the tables {sorted(tables)} instead of {sorted(held)}."
        for table in tables:
            found = {k: dict(r) for k, r in device.store.rows(table).items()}
            wanted = held.get(table, {})
            if not settled:
                wanted = {key: wanted[key] for key in found.keys() & wanted.keys()}
            self.totals["rows compared"] += len(wanted)
            if found != wanted:
                return f", table {table}: {difference(found, wanted)}"
        return self._wrong_digest(device, held) if settled else None

    def _wrong_digest(self, device: Device, held: Held) -> str | None:
        said = device.last.digest if device.last else None
        if said is None:
            return None
        self.note("digest checked")
        wanted = {table: digest(rows) for table, rows in held.items()}
        if dict(said) != wanted or device.store.differing(said):
            return f" is told the digest {said} and not {wanted}."
        return None

    # Restore

    def back_up(self) -> None:
        keep(self.conn, BACKUP)
        self._backup = (self.pulled.kept(), self.profiles, _rule_ids(self.conn))

    def can_restore(self) -> bool:
        """Only when no feed was made or dropped since: those are not in the copy."""
        return self._backup[2] == _rule_ids(self.conn)

    def restore(self) -> None:
        """Staging goes back to the backup, in a database that is not the old one."""
        restore(self.conn, BACKUP)
        self.conn.execute("UPDATE sync.clock SET identity = 'another server'")
        pulled, self.profiles, _ = self._backup
        self.pulled.put_back(pulled)


def _new_world() -> tuple[PlayedSource, Pulled]:
    source = PlayedSource(world.TABLES)
    world.begin(source)
    return source, Pulled(source)


# Copies of whole schemas


def _columns(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Stored columns of every table of a staging database, feeds included."""
    rows = conn.execute(
        "SELECT format('%I.%I', n.nspname, c.relname),"
        " string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped AND a.attgenerated = ''"
        " WHERE n.nspname IN ('data', 'sync') AND c.relkind = 'r' GROUP BY 1"
    )
    return dict(rows.fetchall())


def _rule_ids(conn: psycopg.Connection[Any]) -> list[int]:
    return [rule for (rule,) in conn.execute("SELECT id FROM sync.rule ORDER BY id")]


def keep(conn: psycopg.Connection[Any], name: str) -> None:
    """Copy all tables of staging into a schema of this name."""
    kept, columns = _tables(conn, name), _columns(conn)
    statements = [f"CREATE SCHEMA IF NOT EXISTS {name}"]
    statements += [f'DROP TABLE {name}."{table}"' for table in kept - columns.keys()]
    for table, names in columns.items():
        if table in kept:
            statements.append(f'DELETE FROM {name}."{table}"')
            statements.append(
                f'INSERT INTO {name}."{table}" SELECT {names} FROM {table}'
            )
        else:
            statements.append(
                f'CREATE TABLE {name}."{table}" AS SELECT {names} FROM {table}'
            )
    with conn.transaction():
        conn.execute("; ".join(statements))


def _tables(conn: psycopg.Connection[Any], name: str) -> set[str]:
    found = conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,)
    )
    return {table for (table,) in found}


def restore(conn: psycopg.Connection[Any], name: str) -> None:
    """Make staging what it was; feeds that the copy lacks are dropped."""
    kept = _tables(conn, name)
    columns = _columns(conn)
    drops = [f"DROP TABLE {table}" for table in sorted(columns.keys() - kept)]
    # Rules refer to sources.
    emptied = sorted(kept, key=lambda table: table != "sync.rule")
    deletes = [f"DELETE FROM {table}" for table in emptied]
    inserts = [
        f"INSERT INTO {table} ({columns[table]}) OVERRIDING SYSTEM VALUE"
        f' SELECT * FROM {name}."{table}"'
        for table in reversed(emptied)
    ]
    counters = [
        f"SELECT setval(pg_get_serial_sequence('sync.{table}', 'id'),"
        f" (SELECT coalesce(max(id), 0) + 1 FROM sync.{table}), false)"
        for table in ("rule", "key_value")
    ]
    with conn.transaction():
        conn.execute("; ".join([*drops, *deletes, *inserts, *counters]))


def _handed_out(
    shape: str, unit: str | None, units: Mapping[str, Mapping[str, Any]]
) -> list[str | None]:
    """By which units a row is handed out: its own, or those above but the topmost."""
    if shape != "deep":
        return [unit]
    line: list[str | None] = []
    here = unit if unit in units else None
    while here is not None and here in units and here not in line:
        line.append(here)
        here = units[here].get("parentbusinessunitid")
    return [above for above in line[1:] if above and _is_below(units[above])]


def _is_below(unit: Mapping[str, Any]) -> bool:
    return unit.get("parentbusinessunitid") is not None
