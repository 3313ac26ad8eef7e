"""The values of claims as the dictionary of keys has them, by the column's type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import md5
from uuid import UUID

import psycopg
from psycopg import sql

from replication.domain.tables import ColumnType
from replication.visibility.wanted import text_key

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I | re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def keys_of(
    conn: psycopg.Connection, texts: Iterable[str], *, kind: ColumnType
) -> frozenset[UUID]:
    """What is no value of such a column has no key."""
    if kind is ColumnType.STRING:
        # How letters become small is for the database to say.
        return frozenset(k for (k,) in conn.execute(_TEXT_KEYS, (list(texts),)))
    found = map(_READ_AS[kind], texts)
    return frozenset(key for key in found if key is not None)


def note(conn: psycopg.Connection, texts: Iterable[str]) -> None:
    """Give the values their small integers, whatever columns they are compared with.

    A subscription that is computed from them must not lack the key of a row that comes
    later.
    """
    values = list(texts)
    kinds = (ColumnType.STRING, *_READ_AS)
    keys = {key for kind in kinds for key in keys_of(conn, values, kind=kind)}
    conn.execute(
        "INSERT INTO sync.key_value (value) SELECT k FROM unnest(%s::uuid[]) k"
        " WHERE NOT EXISTS (SELECT FROM sync.key_value v WHERE v.value = k)"
        " ON CONFLICT DO NOTHING",
        (sorted(keys),),
    )


def value_of(content: object) -> UUID:
    """A value that is no GUID, as the dictionary of keys has it."""
    return UUID(md5(str(content).encode(), usedforsecurity=False).hexdigest())


def _guid(text: str) -> UUID | None:
    return UUID(text) if _GUID.fullmatch(text) else None


def _whole_number(text: str) -> UUID | None:
    return value_of(int(text)) if _WHOLE_NUMBER.fullmatch(text) else None


def _boolean(text: str) -> UUID | None:
    return value_of(text.lower()) if text.lower() in ("true", "false") else None


_READ_AS: Mapping[ColumnType, Callable[[str], UUID | None]] = {
    ColumnType.GUID: _guid,
    ColumnType.INT: _whole_number,
    ColumnType.BIGINT: _whole_number,
    ColumnType.BOOL: _boolean,
}
_TEXT_KEYS = sql.SQL("SELECT {} FROM unnest(%s::text[]) c").format(
    text_key(sql.SQL("c"))
)
