"""Die on demand at a named place, so that tests can prove what survives."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

# Hits per name in this process; only filled while a failure is asked for.
_hits: dict[str, int] = {}


def reach(name: str) -> None:
    """Kill the own process if `WAYSTATION_FAIL` asks for it here.

    The variable reads `name:nth`: the nth hit of that name in this process.
    """
    wanted = os.environ.get("WAYSTATION_FAIL")
    if wanted is None:
        return
    _hits[name] = _hits.get(name, 0) + 1
    wanted_name, _, nth = wanted.rpartition(":")
    if wanted_name == name and _hits[name] == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)


def hits() -> Mapping[str, int]:
    """How often each place was reached; nothing unless a failure is asked for."""
    return _hits
