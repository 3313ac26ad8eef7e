"""Counts in how many runs each kind of event occurred, and says which hardly ever do."""

from __future__ import annotations

import math
from collections import Counter

import hypothesis

# What goes wrong with pages and rows, with workers, and where values end. A machine in
# which one of these has become rare tests less than it seems to.
FAULTS = (
    "answer lost",
    "page again",
    "pages overlap",
    "item twice",
    "pages reordered",
    "rows reordered",
    "changed between pages",
    "unknown row deleted",
    "key made again",
    "expired: gone",
    "expired: refused",
    "expired: silent",
    "worker died",
    "two workers",
    "lease lost",
    "resync wished",
    "reconciled",
    "mode: delta",
    "mode: watermark",
    "mode: compare",
    "mode changed",
    "38 digits",
    "bigint at its limits",
    "first day",
    "last day",
    "empty text",
    "null",
    "a million characters",
    "emoji",
    "binary",
)
LEAST_SHARE = 0.05


class Occurrences:
    """Of one process."""

    def __init__(self) -> None:
        self.runs = 0
        self.in_runs: Counter[str] = Counter()
        self.times: Counter[str] = Counter()
        self._noted: set[str] = set()

    def begin_run(self) -> None:
        self.runs += 1
        self._noted.clear()

    def note(self, event: str) -> None:
        self.times[event] += 1
        if event not in self._noted:
            self._noted.add(event)
            self.in_runs[event] += 1
            if hypothesis.currently_in_test_context():
                hypothesis.event(event)

    def report(self) -> str:
        lines = [
            f"  {event:22} {self.in_runs[event] / max(self.runs, 1):6.1%} of runs"
            f" {self.times[event]:7} times"
            for event in sorted({*FAULTS, *self.times}, key=lambda e: -self.in_runs[e])
        ]
        return "\n".join(lines)

    def rare(self) -> list[str]:
        """What occurred in too few runs for that to be chance."""
        expected = LEAST_SHARE * self.runs
        least = expected - 2 * math.sqrt(expected)
        return [fault for fault in FAULTS if self.in_runs[fault] < least]
