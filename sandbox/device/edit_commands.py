"""The commands that need no service: edit rows, look at what failed, settle it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from sandbox.device.editor import Dispute, Editor
from sandbox.device.edits import Edit
from sandbox.device.errors import EditError, StoreError
from sandbox.device.model import Table
from sandbox.device.store import Store
from sandbox.device.values import compact_json

# Types whose values are written as they are; others are written as JSON.
TEXT_TYPES = frozenset(
    {"guid", "string", "bigint", "decimal", "datetime", "date", "time", "duration"}
    | {"binary"}
)


def existing(path: str) -> Store:
    """Open a database that is there.

    :raises StoreError: there is none.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no database {path}.")
    return Store(path)


def parsed(table: Table, texts: Iterable[str]) -> dict[str, object]:
    """Return the values that a user typed as `column=text`.

    :raises EditError: one cannot be read.
    """
    return dict(_value(table, text) for text in texts)


def _value(table: Table, text: str) -> tuple[str, object]:
    name, sign, value = text.partition("=")
    if not sign:
        raise EditError(f"{text!r} is not like column=value.")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not value:
        return name, None
    column = table.columns.get(name)
    if not is_json and column is not None and column.type in TEXT_TYPES:
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise EditError(f"{value!r} cannot be read for {name}.") from error


def _create(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        values = parsed(store.table(options.table), options.values)
        edit = Editor(store).create(options.table, values)
    console.print(Text(f"Edit {edit.number} is queued: row {edit.key}."))
    return 0


def _edit(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        values = parsed(store.table(options.table), options.values)
        edit = Editor(store).update(options.table, options.key, values)
    console.print(f"Edit {edit.number} is queued.", highlight=False)
    return 0


def _delete(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        edit = Editor(store).delete(options.table, options.key)
    console.print(f"Edit {edit.number} is queued.", highlight=False)
    return 0


def _attach(options: argparse.Namespace, console: Console) -> int:
    path = Path(options.file)
    if not path.is_file():
        raise EditError(f"There is no file {path}.")
    with existing(options.db) as store, path.open("rb") as content:
        edit = Editor(store).attach(
            options.table, options.key, options.column, content, name=path.name
        )
    console.print(f"Edit {edit.number} is queued.", highlight=False)
    return 0


def _edits(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        edits = Editor(store).edits()
    grid = Grid("id", "what", "table", "row", "values", "status")
    for edit in edits:
        row = (edit.table, edit.key, _written(edit.values), edit.status)
        grid.add_row(str(edit.number), edit.op, *(Text(cell or "") for cell in row))
    console.print(grid)
    return 0


def _conflicts(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        disputes = Editor(store).disputes()
    if not disputes:
        console.print("Nothing is to be decided.")
    for dispute in disputes:
        console.print(_side_by_side(dispute))
    return 0


def _keep(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        if options.whose == "mine":
            queued = Editor(store).keep_mine(options.id)
            numbers = ", ".join(str(edit.number) for edit in queued)
            said = f"Queued again as {numbers}." if queued else "Nothing is left of it."
        else:
            Editor(store).keep_theirs(options.id)
            said = f"Edit {options.id} is given up."
    console.print(said, highlight=False)
    return 0


def _undo(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        Editor(store).undo(options.id)
    console.print(f"Edit {options.id} is given up.", highlight=False)
    return 0


def _side_by_side(dispute: Dispute) -> Grid:
    grid = Grid(title=Text(_title(dispute.edit)), title_justify="left")
    for name in ("column", "was", "mine", "theirs"):
        grid.add_column(name, overflow="fold")
    theirs = dispute.theirs
    gone = "no row" if theirs is None else ""
    for name, mine in dispute.mine.items():
        cells = (
            name,
            _shown(dispute.was.get(name)),
            _shown(mine),
            gone or _shown((theirs or {}).get(name)),
        )
        grid.add_row(*map(Text, cells))
    if not dispute.mine:
        grid.add_row("", "", dispute.edit.op, gone or "a row")
    return grid


def _title(edit: Edit) -> str:
    what = f"{edit.number}: {edit.op} of {edit.table or ''} {edit.key or ''}".strip()
    why = " ".join(filter(None, [edit.status, edit.reason, edit.message]))
    behind = f" behind {edit.blocked_by}" if edit.blocked_by else ""
    return f"{what}: {why}{behind}"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact_json(value)


def _written(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items())


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Console], int]] = {
    "create": _create,
    "edit": _edit,
    "delete": _delete,
    "attach": _attach,
    "edits": _edits,
    "conflicts": _conflicts,
    "keep": _keep,
    "undo": _undo,
}
