"""Run the outside world to play against: `python -m sandbox`.

Environment: `SANDBOX_PORT` (8143) and `WAYSTATION_DATA` (.data).
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
from sandbox.server import DEFAULT_PORT, serve


def main() -> int:
    options = _options()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        running = serve(
            Path(options.data),
            port=options.port,
            seed=options.seed,
            scale=options.scale,
        )
    except (OSError, OtherDataError, sqlite3.Error) as error:
        sys.stderr.write(f"The sandbox cannot start on port {options.port}: {error}\n")
        return 1
    sys.stdout.write(f"The sandbox is at {running.url}\n")
    sys.stdout.flush()
    stopped.wait()
    running.stop()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("SANDBOX_PORT", DEFAULT_PORT))
    )
    parser.add_argument("--data", default=os.environ.get("WAYSTATION_DATA", ".data"))
    parser.add_argument(
        "--seed", type=int, help=f"what values rows get (default {DEFAULT_SEED})"
    )
    parser.add_argument(
        "--scale", type=int, help=f"how many accounts (default {DEFAULT_SCALE})"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
