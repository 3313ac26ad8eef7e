"""Tells rows from deletes in a page, in the forms of OData 4.0, 4.01 and Dataverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from replication.odata.keys import UnusableKeyError, key_of_id, key_text
from replication.odata.rows import ODataRowCodec, wire_name, wire_type


class Item(Enum):
    ROW = "row"
    REMOVED = "removed"
    # A changed relationship of OData 4.0; lookups travel as columns of their rows.
    LINK = "link"


def kind_of(*, context: str | None, removed: bool) -> Item:
    """Say what an item is. Other contexts than the three of deltas mean a row."""
    if removed:
        return Item.REMOVED
    ending = context.rpartition("/")[2] if context else ""
    if ending == "$deletedEntity":
        return Item.REMOVED
    return Item.LINK if ending in {"$link", "$deletedLink"} else Item.ROW


def kind_of_row(row: Any) -> Item:
    return kind_of(
        context=row.context or row.context_401, removed=row.removed is not UNSET
    )


def is_special(row: Any) -> bool:
    """Say quickly whether an item may be anything but a row."""
    return (
        row.context is not None
        or row.context_401 is not None
        or row.removed is not UNSET
    )


def kind_of_members(members: Mapping[str, Raw]) -> Item:
    context = _text(members, "@odata.context") or _text(members, "@context")
    return kind_of(context=context, removed="@removed" in members)


def removed_key_of_row(codec: ODataRowCodec, row: Any) -> str:
    """Return the key of a deleted row that was decoded like a row.

    :raises UnusableKeyError: neither an id nor key fields say which row it was.
    """
    fields = codec.fields
    keys = [getattr(row, fields[column.name]) for column in codec.key_columns]
    by_wire = {wire_name(column): fields[column.name] for column in codec.table.columns}
    deleted_id = getattr(row, by_wire.get("id", "id"))
    links = [row.id_401, row.id_400]
    return _removed_key(
        codec, links=links, keys=keys, deleted_id=deleted_id, old=row.removed is UNSET
    )


def removed_key_of_members(codec: ODataRowCodec, members: Mapping[str, Raw]) -> str:
    """Return the key of a deleted row whose members do not fit the row's types.

    :raises UnusableKeyError: neither an id nor key fields say which row it was.
    """
    keys = key_values(codec, members)
    links = [_text(members, "@id"), _text(members, "@odata.id")]
    return _removed_key(
        codec,
        links=links,
        keys=keys,
        deleted_id=_text(members, "id"),
        old="@removed" not in members,
    )


def key_of_members(codec: ODataRowCodec, members: Mapping[str, Raw]) -> str:
    """Return the key of a row that may have come without some of its columns.

    :raises UnusableKeyError: neither an id nor key fields say which row it is.
    """
    keys = key_values(codec, members)
    if None not in keys:
        return key_text(codec.key_columns, keys)
    links = [_text(members, "@id"), _text(members, "@odata.id")]
    return _removed_key(codec, links=links, keys=keys, deleted_id=None, old=False)


def key_values(codec: ODataRowCodec, members: Mapping[str, Raw]) -> list[Any]:
    """Return the values of the key columns, None for what is missing or misfits."""
    values = []
    for column in codec.key_columns:
        raw = members.get(wire_name(column), Raw(b"null"))
        try:
            values.append(msgspec.json.decode(raw, type=wire_type(column)))
        except msgspec.ValidationError:
            values.append(None)
    return values


def _removed_key(
    codec: ODataRowCodec,
    *,
    links: Sequence[str | None],
    keys: Sequence[Any],
    deleted_id: Any,
    old: bool,
) -> str:
    """`old`: OData 4.0, where the member `id` is the id; in 4.01 it is a column."""
    link = links[0] or links[1]
    if link is None and old and isinstance(deleted_id, str):
        link = deleted_id
    if link is not None:
        return key_of_id(codec.table, link)
    if None not in keys:
        return key_text(codec.key_columns, keys)
    if isinstance(deleted_id, str):
        return key_of_id(codec.table, deleted_id)
    raise UnusableKeyError(None, "A deleted row came without its key.")


def _text(members: Mapping[str, Raw], name: str) -> str | None:
    raw = members.get(name)
    value = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else None
