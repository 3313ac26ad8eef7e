"""Answers writes to the plain service: create, update, upsert and delete by key.

Sets with ETags want one in `If-Match` (or `*`) where a row is changed; the others take
whatever comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from sandbox.plain.rows import Row, Rows, key_of
from sandbox.plain.tables import DECLARED, EntitySet

_KEYED = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_PART = re.compile(r"\s*(?:(\w+)\s*=\s*)?('(?:[^']|'')*'|[^,'=]+)\s*(?:,|$)")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class RefusedError(Exception):
    """A write that is not done, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def split_key(path: str) -> tuple[str, str] | None:
    """Return set and key of `Products(1)`, None when it names no row."""
    match = _KEYED.fullmatch(path)
    return None if match is None else (match[1], match[2])


def read_key(kind: EntitySet, text: str) -> dict[str, Any]:
    """Return the key columns that a key names.

    :raises RefusedError: it names others.
    """
    found = dict(_parts(kind, text))
    if set(found) != set(kind.key):
        raise RefusedError(400, f"'{text}' is no key of {kind.name}.")
    return found


def row_values(body: bytes) -> Row:
    """:raises RefusedError: the body is no JSON object."""
    try:
        found = _decoder.decode(body)
    except msgspec.DecodeError:
        raise RefusedError(400, "The body is no JSON object.") from None
    if any("@" in name and not name.startswith("@odata.") for name in found):
        raise RefusedError(400, "Rows are not bound by navigation properties here.")
    return found


def create(rows: Rows, kind: EntitySet, values: Mapping[str, Any]) -> str:
    """Return the key of the new row.

    :raises RefusedError: it has no key, or it is there.
    """
    if any(values.get(part) is None for part in kind.key):
        raise RefusedError(400, f"A row of {kind.name} has a key.")
    key = key_of(kind, values)
    if key in rows.all(kind.name):
        raise RefusedError(409, f"There is such a row of {kind.name} already.")
    rows.put(kind.name, {**dict.fromkeys(DECLARED[kind.name]), **values})
    return key


def update(
    rows: Rows,
    kind: EntitySet,
    own: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    if_match: str | None,
) -> tuple[str, bool]:
    """Return the row's key and whether it was there; without condition it is made.

    :raises RefusedError: the condition is not met.
    """
    key = key_of(kind, own)
    was_there = key in rows.all(kind.name)
    _insist(rows, kind, key, if_match, may_be_missing=True)
    empty = {} if was_there else dict.fromkeys(DECLARED[kind.name])
    rows.put(kind.name, {**empty, **values, **own})
    return key, was_there


def delete(
    rows: Rows, kind: EntitySet, own: Mapping[str, Any], *, if_match: str | None
) -> None:
    """:raises RefusedError: there is no such row, or the condition is not met."""
    _insist(rows, kind, key_of(kind, own), if_match, may_be_missing=False)
    rows.delete(kind.name, own)


def _insist(
    rows: Rows,
    kind: EntitySet,
    key: str,
    if_match: str | None,
    *,
    may_be_missing: bool,
) -> None:
    if key not in rows.all(kind.name):
        if if_match is not None or not may_be_missing:
            raise RefusedError(404, f"There is no such row of {kind.name}.")
        return
    if not kind.has_etags or if_match == "*":
        return
    if if_match is None:
        raise RefusedError(428, "A change names the version that it is meant for.")
    if if_match != rows.etag(kind.name, key):
        raise RefusedError(412, "The row has another version.")


def _parts(kind: EntitySet, text: str) -> Iterable[tuple[str, Any]]:
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None or match.end() == place:
            raise RefusedError(400, f"The key '{text}' cannot be read.")
        yield match[1] or kind.key[0], _literal(match[2].strip())
        place = match.end()


def _literal(text: str) -> Any:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return int(text) if re.fullmatch(r"-?\d+", text) else text
