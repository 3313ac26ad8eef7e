"""What a device is told of its mutations, and the rows that it gets again for them.

After a mutation that failed, the device is sent the server's row once more, or its
delete: it may have shown the edit as if it were done. A conflict carries that row too.
What a user may see of it is decided now, in the snapshot in which it is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from replication.staging import columns, mutations, schema
from replication.staging.mutations import Outcome
from replication.visibility import entries, rows
from replication.visibility.access import Access, TableAccess
from replication.visibility.messages import Outcomes, Rows

# Told at once; more of them come after another checkpoint line.
AT_ONCE = 100
_TOGETHER_BYTES = 2**20

_RESENT = frozenset({"create", "update", "delete"})
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

# A table's name and a row's key.
Place = tuple[str, str]
# Each row as a JSON array; None: gone, or not the user's to see.
ServerRows = Mapping[Place, bytes | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Outcomes up to and with those of one rev, with the rows that go with them."""

    rev: int
    rows: tuple[Rows, ...]
    row_count: int
    outcomes: Outcomes

    @property
    def size(self) -> int:
        resent = sum(len(m.deletes) + len(m.upserts) for m in self.rows)
        return resent + len(self.outcomes.content)


def untold(
    conn: psycopg.Connection, access: Access, *, device_id: UUID, told: int
) -> tuple[list[Group], bool]:
    """The next outcomes that the device has not heard of; whether there may be more."""
    found = mutations.untold(conn, device_id=device_id, told=told, limit=AT_ONCE)
    now = server_rows(conn, access, found)
    groups = [_group(these, access, now) for these in _divided(found, now)]
    return groups, len(found) >= AT_ONCE


def through(conn: psycopg.Connection, *, device_id: UUID) -> int:
    """Up to which sequence nothing of the device waits."""
    query = sql.SQL("SELECT {}").format(mutations.through(sql.Literal(device_id)))
    row = conn.execute(query).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def server_rows(
    conn: psycopg.Connection, access: Access, outcomes: Iterable[Outcome]
) -> ServerRows:
    """The rows of failed mutations as the user may see them now.

    Those of tables that the user does not have are left out.
    """
    keys: dict[str, set[str]] = {}
    for outcome in outcomes:
        place = _place(outcome)
        if place is not None and place[0] in access.tables:
            keys.setdefault(place[0], set()).add(place[1])
    return {
        (name, key): row
        for name, wanted in keys.items()
        for key, row in _read(conn, access.tables[name], wanted)
    }


def told(outcome: Outcome, *, access: Access | None, now: ServerRows) -> bytes:
    """The outcome as JSON; a conflict with the server's row."""
    if outcome.status != "conflict":
        return outcome.content
    place = _place(outcome)
    row = now.get(place) if place else None
    content = b"null"
    if row is not None and access is not None and place is not None:
        content = _as_object(access.tables[place[0]], row)
    return b'%b,"row":%b}' % (outcome.content[:-1], content)


def _divided(found: list[Outcome], now: ServerRows) -> list[list[Outcome]]:
    """All of them together; by their revs if large rows go with them."""
    size = sum(len(row) for row in now.values() if row is not None)
    if size <= _TOGETHER_BYTES:
        return [found] if found else []
    return [list(these) for _, these in groupby(found, key=lambda one: one.rev)]


def _group(outcomes: Sequence[Outcome], access: Access, now: ServerRows) -> Group:
    places = {p for o in outcomes if (p := _place(o)) is not None and p in now}
    resent = tuple(
        _rows(table, sorted(key for _, key in these), now)
        for table, these in groupby(sorted(places), key=lambda place: place[0])
    )
    content = b",".join(told(one, access=access, now=now) for one in outcomes)
    rev = outcomes[-1].rev
    assert rev is not None
    return Group(rev, resent, len(places), Outcomes(content=content))


def _rows(table: str, keys: Iterable[str], now: ServerRows) -> Rows:
    upserts, deletes = [], []
    for key in keys:
        row = now[table, key]
        if row is None:
            deletes.append(msgspec.json.encode(key))
        else:
            upserts.append(row)
    return Rows(table=table, deletes=b",".join(deletes), upserts=b",".join(upserts))


def _place(outcome: Outcome) -> Place | None:
    """The row that a failed mutation was to change."""
    if not outcome.has_failed or outcome.op not in _RESENT:
        return None
    if outcome.table is None or outcome.row_key is None:
        return None
    return outcome.table, outcome.row_key


def _read(
    conn: psycopg.Connection, table: TableAccess, keys: Collection[str]
) -> Iterator[tuple[str, bytes | None]]:
    definition = table.source.definition
    possible = list(keys)
    if definition.has_guid_key:
        possible = [key for key in keys if _GUID.fullmatch(key)]
        yield from ((key, None) for key in keys if not _GUID.fullmatch(key))
        ids = sql.SQL(
            "SELECT k AS row_key, k::uuid AS row_id FROM unnest({}::text[]) k"
        )
    else:
        ids = sql.SQL(
            "SELECT k AS row_key, rk.row_id FROM unnest({}::text[]) k LEFT JOIN sync.row_key rk"
            " ON rk.row_key = k AND rk.source_id = {}"
        )
    query = sql.SQL(
        "SELECT d.row_key, (SELECT convert_to({row}, 'UTF8') FROM {relation} t"
        " WHERE t.{row_id} = d.row_id AND {visible} LIMIT 1) FROM ({ids}) d"
    ).format(
        row=rows.json_row(table),
        relation=schema.relation(definition),
        row_id=columns.row_id(definition),
        visible=entries.visible(
            entries.probes(table.grants),
            sql.SQL("d.row_id"),
            arrays=entries.literals,
        ),
        ids=ids.format(sql.Literal(possible), table.source.id),
    )
    with conn.cursor(binary=True) as cursor:
        yield from cursor.execute(query).fetchall()


def _as_object(table: TableAccess, row: bytes) -> bytes:
    names = (*(column.name for column in table.columns), "_version")
    values = msgspec.json.decode(row, type=list[msgspec.Raw])
    return msgspec.json.encode(dict(zip(names, values, strict=True)))
