"""Object to writes as plug-ins and duplicate rules of an organization do.

An objection is a document: the table, when it speaks up, and what it answers. By
default it answers as a plug-in that rejects: 400 with 0x80040265.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

import msgspec

from sandbox.contoso.errors import WebApiError
from sandbox.contoso.schema import Table
from sandbox.contoso.store import Row, meta, set_meta

_KEY = "objections"


class InvalidObjectionError(Exception):
    """The description of an objection has an unknown or unfit member."""


class Objection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    table: str
    message: str = "A business rule forbids this."
    # Of create, update and delete.
    kinds: tuple[str, ...] = ("create", "update", "delete")
    # Only rows whose value, as text, the pattern is found in.
    column: str | None = None
    pattern: str = ""
    status: int = 400
    code: str = "0x80040265"

    def concerns(self, table: Table, kind: str, row: Mapping[str, object]) -> bool:
        if self.table != table.name or kind not in self.kinds:
            return False
        if self.column is None:
            return True
        value = row.get(table.by_name[self.column].wire)
        return value is not None and re.search(self.pattern, str(value)) is not None


def add(connection: sqlite3.Connection, document: Row) -> None:
    """:raises InvalidObjectionError: a member is unknown or unfit."""
    try:
        objection = msgspec.convert(document, Objection, strict=False)
        re.compile(objection.pattern)
    except (msgspec.ValidationError, re.error) as error:
        raise InvalidObjectionError(str(error)) from error
    _keep(connection, [*waiting(connection), objection])


def clear(connection: sqlite3.Connection) -> None:
    _keep(connection, [])


def waiting(connection: sqlite3.Connection) -> list[Objection]:
    text = meta(connection, _KEY) or "[]"
    return msgspec.json.decode(text, type=list[Objection])


def insist_on_none(
    connection: sqlite3.Connection,
    *,
    table: Table,
    kind: str,
    row: Mapping[str, object],
) -> None:
    """:raises WebApiError: somebody objects to the row."""
    for objection in waiting(connection):
        if objection.concerns(table, kind, row):
            raise WebApiError(objection.status, objection.code, objection.message)


def _keep(connection: sqlite3.Connection, objections: list[Objection]) -> None:
    set_meta(connection, _KEY, msgspec.json.encode(objections).decode())
