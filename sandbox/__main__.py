"""Run the outside world to play against: `python -m sandbox [contoso|plain]`.

`contoso` is Dataverse with its people, `plain` an OData service without change tracking.

Environment: `SANDBOX_PORT` (8143; `plain` takes the next one) and `WAYSTATION_DATA` (.data).
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from sandbox.contoso.data import DEFAULT_SCALE, DEFAULT_SEED, OtherDataError
from sandbox.plain import seed as plain_seed
from sandbox.server import (
    DEFAULT_PORT,
    Running,
    RunningPlain,
    serve,
    serve_plain,
)


def main() -> int:
    options = _options()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        running = _start(options)
    except (OSError, OtherDataError, sqlite3.Error) as error:
        sys.stderr.write(f"The sandbox cannot start on port {options.port}: {error}\n")
        return 1
    sys.stdout.write(f"The sandbox is at {running.url}\n")
    sys.stdout.flush()
    stopped.wait()
    running.stop()
    return 0


def _start(options: argparse.Namespace) -> Running | RunningPlain:
    folder = Path(options.data)
    if options.dialect == "plain":
        seed = DEFAULT_SEED if options.seed is None else options.seed
        scale = plain_seed.DEFAULT_SCALE if options.scale is None else options.scale
        return serve_plain(folder, port=options.port, seed=seed, scale=scale)
    return serve(folder, port=options.port, seed=options.seed, scale=options.scale)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument(
        "dialect", nargs="?", choices=("contoso", "plain"), default="contoso"
    )
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", default=os.environ.get("WAYSTATION_DATA", ".data"))
    parser.add_argument(
        "--seed", type=int, help=f"what values rows get (default {DEFAULT_SEED})"
    )
    parser.add_argument(
        "--scale", type=int, help=f"how many accounts (default {DEFAULT_SCALE})"
    )
    options = parser.parse_args()
    if options.port is None:
        first = int(os.environ.get("SANDBOX_PORT", DEFAULT_PORT))
        options.port = first + (options.dialect == "plain")
    return options


if __name__ == "__main__":
    sys.exit(main())
