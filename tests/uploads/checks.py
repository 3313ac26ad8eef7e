"""Staging and devices held against the source's history; and everything at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from tests.oracle.failures import MismatchError
from tests.uploads import world
from tests.uploads.devices import UploadingDevice
from tests.uploads.ledger import Ledger
from tests.uploads.oracle import as_told
from tests.uploads.source import PlayedDataverse

Conn = psycopg.Connection[Any]
Place = tuple[str, str]


def staged(conn: Conn, table: str) -> dict[str, Mapping[str, Any]]:
    """Every column, by name."""
    definition = world.BY_NAME[table]
    names = [column.name for column in definition.columns]
    found = conn.execute(
        sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier("data", table),
        )
    )
    rows = [dict(zip(names, map(as_told, row), strict=True)) for row in found]
    return {str(row[definition.key[0]]): row for row in rows}


def check_staging(
    conn: Conn, source: PlayedDataverse, newest: dict[Place, int]
) -> None:
    """Each row is what the source had under its version, and versions never go back."""
    for table in world.BY_NAME:
        for key, row in staged(conn, table).items():
            version = int(row["versionnumber"])
            _compare(source, table, key, row, whose="staging")
            if version < newest.get((table, key), 0):
                raise MismatchError(f"{table} {key} went back to version {version}.")
            newest[table, key] = version


def check_answer(device: UploadingDevice, conn: Conn, source: PlayedDataverse) -> None:
    """After a complete answer: rows are states of the source, and the edits up to
    `through_mutation` are known, with their effect."""
    for table in device.store.tables():
        for key, row in device.synced(table).items():
            _compare(source, table, key, row, whose=str(device))
    known = {
        id_
        for (id_,) in conn.execute(
            "SELECT id FROM sync.mutation WHERE device_id = %s", (device.id,)
        )
    }
    for made in device.made:
        if made.sequence > device.through or made.id not in known:
            continue
        # What is to be sent again is told of by the answer to that.
        if not made.is_final and made.is_accepted:
            raise MismatchError(f"{made} is not known, but through {device.through}.")
        if made.status == "applied" and made.heard and "version" in made.heard:
            _check_effect(device, made.place, int(made.heard["version"]), source)


def _check_effect(
    device: UploadingDevice, place: Place, version: int, source: PlayedDataverse
) -> None:
    table, key = place
    row = device.synced(table).get(key)
    states = [s for s in source.history[place] if s.version >= version]
    if row is None:
        is_there = any(state.values is None for state in states)
    else:
        is_there = str(row["_version"]) in {str(state.version) for state in states}
    if not is_there:
        raise MismatchError(f"{device} lacks version {version} of {place}: {row}")


def _compare(
    source: PlayedDataverse, table: str, key: str, row: Mapping[str, Any], *, whose: str
) -> None:
    version = str(row.get("_version", row.get("versionnumber")))
    for state in source.history[table, key]:
        if str(state.version) == version and state.values is not None:
            wanted = {n: as_told(state.values.get(n)) for n in row if n != "_version"}
            found = {n: as_told(v) for n, v in row.items() if n != "_version"}
            if found != wanted:
                said = f"{table} {key} of {whose}"
                raise MismatchError(f"{said}: {found} instead of {wanted}.")
            return
    raise MismatchError(f"{whose} has {table} {key} {version}, which never was.")


def check_quiet(conn: Conn, ledger: Ledger) -> None:
    """At rest: staging is the source, devices are staging, and all is known."""
    for table in world.BY_NAME:
        rows = ledger.source.rows(table)
        versions = {key: str(row["versionnumber"]) for key, row in rows.items()}
        in_staging = {k: r["versionnumber"] for k, r in staged(conn, table).items()}
        _same(versions, in_staging, f"staging's {table}")
        for device in ledger.devices:
            synced = device.synced(table).items()
            on_device = {key: str(row["_version"]) for key, row in synced}
            _same(versions, on_device, f"{table} of {device}")
    records = ledger.records(conn)
    for made in ledger.made.values():
        record = records.get(made.id)
        if record is not None and record.status != made.status:
            raise MismatchError(f"{made} is {record.status}, but heard {made.heard}.")
        if not made.is_final:
            raise MismatchError(f"{made} was lost: {made.heard}, {record}.")


def _same(wanted: Mapping[str, str], found: Mapping[str, Any], whose: str) -> None:
    if dict(wanted) != dict(found):
        raise MismatchError(f"{whose} is {dict(found)} instead of {dict(wanted)}.")
