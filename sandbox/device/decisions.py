"""Carry out what the user decides about an edit that failed, or was not sent yet.

Nothing here opens or ends the transaction. What waited behind a failed edit is queued
anew, unchanged: the service judges it by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid4

from sandbox.device import edit_queue, views
from sandbox.device.edits import Body, Edit, Status
from sandbox.device.errors import EditError
from sandbox.device.model import VERSION_COLUMN, Model
from sandbox.device.reading import Row

_STILL_ON_THE_WAY = "status IN ('queued', 'accepted') AND number > ?"


def keep_mine(
    connection: sqlite3.Connection, model: Model | None, number: int
) -> list[Edit]:
    """Queue a failed edit anew, upon the row that the server has now.

    Its neighbours in a group that failed come along. Return what was queued.

    :raises EditError: it has not failed.
    """
    members = _failed(connection, number)
    group = str(uuid4()) if len(members) > 1 else None
    queued = []
    for edit in members:
        body = _renewed(connection, model, edit, group=group)
        if body is None:
            edit_queue.drop(connection, [edit])
        else:
            queued.append(edit_queue.replace(connection, edit, body))
    return [*queued, *_release(connection, members)]


def keep_theirs(connection: sqlite3.Connection, number: int) -> None:
    """Give a failed edit up, and its neighbours in a group that failed.

    :raises EditError: it has not failed.
    """
    members = _failed(connection, number)
    edit_queue.drop(connection, members)
    _drop_what_was_made_of(connection, members)
    _release(connection, members)


def undo(connection: sqlite3.Connection, number: int) -> None:
    """Give up an edit that failed, or was never sent, with its whole group.

    :raises EditError: it is on its way.
    """
    edit = _existing(connection, number)
    if edit.has_failed:
        keep_theirs(connection, number)
        return
    if not edit.can_be_withdrawn:
        raise EditError(f"Edit {number} is on its way; change the row once more.")
    for member in _withdrawn_together(connection, edit):
        if member.can_be_withdrawn:
            edit_queue.withdraw(connection, member)
        else:
            edit_queue.drop(connection, [member])


def _renewed(
    connection: sqlite3.Connection,
    model: Model | None,
    edit: Edit,
    *,
    group: str | None,
) -> Body | None:
    """Return the edit upon the server's row of now; None if nothing is left of it."""
    theirs = views.theirs(connection, model, edit)
    body = {name: value for name, value in edit.body.items() if name != "group"}
    named = {} if group is None else {"group": group}
    match edit.op:
        case "update":
            renewed = _renewed_update(connection, edit, body, theirs)
            return None if renewed is None else {**renewed, **named}
        case "delete" if theirs is None and edit.status is not Status.PARKED:
            return None
        case "delete" if theirs is not None:
            return {**body, **named, "base_version": theirs[VERSION_COLUMN]}
        case "file":
            # Mine wins, whatever is there by now.
            return {**body, "etag": None}
    return {**body, **named}


def _renewed_update(
    connection: sqlite3.Connection, edit: Edit, body: Body, theirs: Row | None
) -> Body | None:
    later = edit_queue.edits(
        connection,
        f"table_name = ? AND row_key = ? AND {_STILL_ON_THE_WAY}",
        *(edit.table, edit.key, edit.number),
    )
    # What was typed later and goes out before this one must have the last word.
    newer = {name for one in later for name in one.values}
    values = {n: value for n, value in edit.values.items() if n not in newer}
    if not values:
        return None
    if theirs is not None:
        base = {name: theirs[name] for name in values if name in theirs}
        version = theirs[VERSION_COLUMN]
        return {**body, "values": values, "base_version": version, "base_values": base}
    if _is_gone(edit):
        return {"op": "create", "table": edit.table, "key": edit.key, "values": values}
    return {**body, "values": values}


def _is_gone(edit: Edit) -> bool:
    return edit.status is Status.CONFLICT or edit.reason == "not_found"


def _failed(connection: sqlite3.Connection, number: int) -> list[Edit]:
    edit = _existing(connection, number)
    if not edit.has_failed:
        raise EditError(f"Edit {number} is {edit.status}; there is nothing to decide.")
    return [one for one in _group_of(connection, edit) if one.has_failed]


def _existing(connection: sqlite3.Connection, number: int) -> Edit:
    edit = edit_queue.edit(connection, number)
    if edit is None:
        raise EditError(f"There is no edit {number}.")
    return edit


def _group_of(connection: sqlite3.Connection, edit: Edit) -> list[Edit]:
    if edit.group is None:
        return [edit]
    every = edit_queue.edits(connection)
    return [one for one in every if one.group == edit.group]


def _withdrawn_together(connection: sqlite3.Connection, edit: Edit) -> list[Edit]:
    """The edit, its group, and what was done to rows that would never be made."""
    found: dict[int, Edit] = {}
    waiting = _group_of(connection, edit)
    while waiting:
        one = waiting.pop()
        if one.number in found:
            continue
        found[one.number] = one
        for later in _of_same_row(connection, one) if one.op == "create" else ():
            waiting += _group_of(connection, later)
    return list(found.values())


def _of_same_row(connection: sqlite3.Connection, edit: Edit) -> list[Edit]:
    if edit.table is None or edit.key is None:
        return []
    found = edit_queue.of_row(connection, edit.table, edit.key)
    return [one for one in found if one.number > edit.number]


def _drop_what_was_made_of(
    connection: sqlite3.Connection, members: Iterable[Edit]
) -> None:
    """A row whose making is given up takes along what was parked behind that."""
    for edit in members:
        if edit.op == "create":
            later = _of_same_row(connection, edit)
            parked = [one for one in later if one.status is Status.PARKED]
            edit_queue.drop(connection, parked)


def _release(connection: sqlite3.Connection, blockers: Sequence[Edit]) -> list[Edit]:
    """Queue anew what was parked behind these, group by group."""
    ids = {edit.id for edit in blockers}
    parked = edit_queue.edits(connection, "status = 'parked'")
    groups: dict[str, str] = {}
    return [
        edit_queue.replace(connection, edit, _regrouped(edit.body, groups))
        for edit in parked
        if edit.blocked_by in ids
    ]


def _regrouped(body: Body, groups: dict[str, str]) -> Mapping[str, object]:
    group = body.get("group")
    if not isinstance(group, str):
        return body
    return {**body, "group": groups.setdefault(group, str(uuid4()))}
