"""Carry out the device command: errors become one line and an exit code."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from sandbox.device import edit_commands, errors
from sandbox.device.arguments import parser
from sandbox.device.bars import SyncBar
from sandbox.device.client import Device, SyncResult, discover
from sandbox.device.edit_commands import existing
from sandbox.device.editor import Editor
from sandbox.device.errors import DeviceError
from sandbox.device.sign_in import PasswordSignIn
from sandbox.device.store import Store

APP_VERSION = "1"
DIGEST_DIFFERS = 9
INTERRUPTED = 130
EXIT_CODES: Mapping[type[DeviceError], int] = {
    errors.SignInError: 3,
    errors.RefusedError: 4,
    errors.UnavailableError: 5,
    errors.StoreError: 6,
    errors.ProtocolError: 7,
    errors.UntrustedError: 8,
    errors.EditError: 10,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    options = parser().parse_args(arguments)
    console = Console()
    try:
        return COMMANDS[options.command](options, console)
    except DeviceError as error:
        Console(stderr=True, soft_wrap=True).print(_line(error), markup=False)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def exit_code(error: DeviceError) -> int:
    return next(
        (code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1
    )


def _line(error: DeviceError) -> str:
    wiped = isinstance(error, errors.RefusedError) and error.wiped
    note = " The local data was deleted, as ordered." if wiped else ""
    return f"{error.code}: {' '.join(str(error).split())}{note}"


def _sync(options: argparse.Namespace, console: Console) -> int:
    with Store(options.db) as store, _device(options, store) as device:
        registered = device.register(
            name=options.name, platform=platform.system(), app_version=APP_VERSION
        )
        console.print(Text(f"{registered.user_name} at {options.org}, {store.path}"))
        if options.watch:
            _watch(device, options, console)
        result = _sync_once(device, options, console)
    return DIGEST_DIFFERS if result.digest_equal is False else 0


def _watch(device: Device, options: argparse.Namespace, console: Console) -> NoReturn:
    while True:
        try:
            _sync_once(device, options, console)
        except errors.UnavailableError as error:
            # Being offline is what the device is for.
            console.print(_line(error), markup=False)
        time.sleep(options.every)


def _sync_once(
    device: Device, options: argparse.Namespace, console: Console
) -> SyncResult:
    with SyncBar(console) as bar:
        result = device.sync(progress=bar.show, digest=not options.no_digest)
    console.print(_summary(result), markup=False, highlight=False)
    return result


def _summary(result: SyncResult) -> str:
    compared = {None: "not compared", True: "equal", False: "DIFFERENT"}
    sent = f"; {result.sent:,} edits sent" if result.sent else ""
    return (
        f"{result.rows:,} rows, {result.deletes + result.swept:,} deletes,"
        f" {result.bytes / 1e6:,.1f} MB in {result.seconds:.1f} s"
        f" ({result.rows_per_second:,.0f} rows/s); digest {compared[result.digest_equal]}"
        f"{sent}"
    )


def _upload(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store, _device(options, store) as device:
        result = device.upload()
        pending = Editor(store).pending()
    console.print(
        f"{result.sent:,} edits sent; {pending.undecided:,} wait for their outcome,"
        f" {pending.failed:,} for a decision.",
        highlight=False,
    )
    return 0


def _fetch(options: argparse.Namespace, console: Console) -> int:
    target = Path(options.file)
    with existing(options.db) as store, _device(options, store) as device:
        device.fetch_file(options.table, options.key, options.column, target=target)
    console.print(Text(f"{target}: {target.stat().st_size:,} bytes."))
    return 0


def _sign_off(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store, _device(options, store) as device:
        device.sign_off(discard=options.discard)
    console.print("Signed off; the local data is deleted.")
    return 0


def _status(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        facts = {
            **store.owner(),
            "model": store.model.version if store.model else "none yet",
            "tables": str(len(store.tables())),
            "rows": f"{sum(map(store.count, store.tables())):,}",
            "state": _state(store),
            "edits": _pending(store),
        }
    grid = Grid(show_header=False)
    for name, fact in facts.items():
        grid.add_row(name, Text(fact))
    console.print(grid)
    return 0


def _state(store: Store) -> str:
    if store.wipe_unconfirmed:
        return "deleted as ordered; the service does not know yet"
    if store.is_complete:
        return "complete"
    return "a download is unfinished" if store.checkpoint else "nothing downloaded"


def _pending(store: Store) -> str:
    pending = Editor(store).pending()
    return (
        f"{pending.unsent:,} unsent, {pending.undecided:,} without an outcome,"
        f" {pending.failed:,} to be decided on"
    )


def _show(options: argparse.Namespace, console: Console) -> int:
    with existing(options.db) as store:
        if options.table is None:
            console.print(_counts(store))
        else:
            console.print(_rows(store, options))
    return 0


def _counts(store: Store) -> Grid:
    grid = Grid("table", "rows")
    for table in store.tables():
        grid.add_row(Text(table), f"{store.count(table):,}")
    return grid


def _rows(store: Store, options: argparse.Namespace) -> Grid:
    source = store if options.synced else Editor(store)
    rows = source.rows(options.table, where=options.where, limit=options.limit)
    grid = Grid()
    columns = next(iter(rows.values()), {})
    for name in columns:
        grid.add_column(Text(name), overflow="fold")
    for row in rows.values():
        # Text, because a value may look like markup.
        values = ["" if value is None else str(value) for value in row.values()]
        grid.add_row(*map(Text, values))
    return grid


@contextmanager
def _device(options: argparse.Namespace, store: Store) -> Iterator[Device]:
    found = discover(options.url, org=options.org, ca=options.ca)
    sign_in = PasswordSignIn(
        authority=options.authority or found.authority,
        username=options.user,
        password=options.password,
        scope=options.scope or f"{found.audience}/.default",
        ca=options.ca,
    )
    device_id = store.owner().get("device") or str(uuid4())
    with (
        closing(sign_in),
        Device(
            store, found.endpoint, options.org, device_id, sign_in, ca=options.ca
        ) as device,
    ):
        yield device


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Console], int]] = {
    "sync": _sync,
    "show": _show,
    "status": _status,
    "sign-off": _sign_off,
    "upload": _upload,
    "fetch": _fetch,
    **edit_commands.COMMANDS,
}
