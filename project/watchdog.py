"""End the process groups of a parent that can no longer do so itself.

Run as a script with the parent's pipe as standard input. The parent writes the
number of each group it starts, one a line, and `done` when it has ended them. When
the pipe closes without that word, the parent was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

PATIENCE = 5.0
POLL_INTERVAL = 0.05


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        if line.strip() == "done":
            return
        groups.add(int(line))
    _send(groups, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while groups and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
        groups = {group for group in groups if _exists(group)}
    _send(groups, signal.SIGKILL)


def _send(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
