"""What the device command understands on its command line."""

from __future__ import annotations

import argparse
import os

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

    status = commands.add_parser("status", help="whose database it is, and how far")
    status.add_argument("--db", required=True)

    sign_off = commands.add_parser("sign-off", help="leave, and delete the local data")
    _add_connection(sign_off)
    return root


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
