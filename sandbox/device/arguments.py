"""What the device command understands on its command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

PASSWORD_VARIABLE = "WAYSTATION_PASSWORD"  # noqa: S105  the name of a variable
DEFAULT_URL = "http://127.0.0.1:8000"
WATCH_SECONDS = 5.0


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m sandbox.device",
        description="The reference device: keeps what a user may take along in SQLite.",
    )
    commands = root.add_subparsers(dest="command", required=True)

    sync = commands.add_parser("sync", help="download what is new")
    _add_connection(sync)
    sync.add_argument("--name", default="Reference device", help="the device's name")
    sync.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    sync.add_argument("--every", type=float, default=WATCH_SECONDS, metavar="SECONDS")
    sync.add_argument(
        "--no-digest", action="store_true", help="do not compare with the service"
    )

    show = commands.add_parser("show", help="print tables of the local database")
    show.add_argument("--db", required=True)
    show.add_argument("table", nargs="?", help="without it: how many rows each has")
    show.add_argument("--where", help="a condition in SQL")
    show.add_argument("--limit", type=int, default=20)
    show.add_argument(
        "--synced", action="store_true", help="as the service has it, without edits"
    )

    status = commands.add_parser("status", help="whose database it is, and how far")
    status.add_argument("--db", required=True)

    sign_off = commands.add_parser("sign-off", help="leave, and delete the local data")
    _add_connection(sign_off)
    sign_off.add_argument(
        "--discard", action="store_true", help="give up edits that were not settled"
    )
    _add_edits(commands)
    return root


def _add_edits(commands: Commands) -> None:
    values = "COLUMN=TEXT, COLUMN= for nothing, COLUMN:=JSON for any value"

    create = _offline(commands, "create", help="make a row", place=["table"])
    create.add_argument("values", nargs="+", metavar="VALUE", help=values)

    edit = _offline(commands, "edit", help="change a row", place=["table", "key"])
    edit.add_argument("values", nargs="+", metavar="VALUE", help=values)

    _offline(commands, "delete", help="delete a row", place=["table", "key"])
    file = ["table", "key", "column", "file"]
    _offline(commands, "attach", help="add a file or a photo to a row", place=file)

    fetch = commands.add_parser("fetch", help="get a file or a photo of a row")
    for name in file:
        fetch.add_argument(name)
    _add_connection(fetch)

    _offline(commands, "edits", help="what is not settled yet", place=[])
    _offline(commands, "conflicts", help="what failed: mine beside theirs", place=[])
    keep = _offline(commands, "keep", help="settle what failed", place=[])
    keep.add_argument("whose", choices=["mine", "theirs"])
    keep.add_argument("id", type=int, help="as `edits` and `conflicts` name it")
    undo = _offline(commands, "undo", help="give up what failed or is unsent", place=[])
    undo.add_argument("id", type=int, help="as `edits` and `conflicts` name it")

    upload = commands.add_parser("upload", help="send edits, and download nothing")
    _add_connection(upload)


def _offline(
    commands: Commands, name: str, *, help: str, place: Iterable[str]
) -> argparse.ArgumentParser:
    """A command that needs the local database alone."""
    command = commands.add_parser(name, help=help)
    command.add_argument("--db", required=True)
    for part in place:
        command.add_argument(part)
    return command


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=DEFAULT_URL, type=_url, help="the service")
    command.add_argument("--org", required=True, help="the organization's unique name")
    command.add_argument("--user", required=True, help="the user's sign-in name")
    command.add_argument(
        "--password",
        default=os.environ.get(PASSWORD_VARIABLE, ""),
        help=f"default: ${PASSWORD_VARIABLE}",
    )
    command.add_argument(
        "--authority", type=_url, help="the issuer; default: as the service says"
    )
    command.add_argument("--scope", help="default: the service's audience/.default")
    command.add_argument("--ca", help="a file with the CA to trust")
    command.add_argument("--db", required=True, help="the local database")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no http(s) address")
    return text
