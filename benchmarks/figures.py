"""What a figure is, how one is measured, and how it is printed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


class WrongAnswerError(Exception):
    """What was measured did not do its work, so its speed means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure. `at_most`: smaller is better."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    wall: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        if self.target is None:
            return True
        if self.at_most:
            return self.value <= self.target
        return self.value >= self.target


def expect(is_right: bool, message: str) -> None:
    """:raises WrongAnswerError: the answer is wrong."""
    if not is_right:
        raise WrongAnswerError(message)


def measured(
    name: str,
    *,
    act: Callable[[], int],
    expected: int,
    cpu: Callable[[], float],
    unit: str,
    target: float | None,
) -> Figure:
    """Do something once and count what it did per CPU-second.

    :raises WrongAnswerError: `act` did not do as many as `expected`.
    """
    began, before = time.monotonic(), cpu()
    done = act()
    used = cpu() - before
    wall = time.monotonic() - began
    expect(done == expected, f"{name}: {done} instead of {expected}")
    return Figure(name=name, value=done / used, unit=unit, target=target, wall=wall)


def as_json(figure: Figure) -> str:
    return json.dumps(
        {
            "name": figure.name,
            "value": round(figure.value, 3),
            "unit": figure.unit,
            "target": figure.target,
            "ok": figure.ok,
        }
    )


def as_row(figure: Figure) -> str:
    sign = "<=" if figure.at_most else ">="
    target = "" if figure.target is None else f"{sign} {figure.target:,g}"
    wall = "" if figure.wall is None else f"{figure.wall:.2f} s"
    verdict = "" if figure.target is None else ("ok" if figure.ok else "MISSED")
    digits = 2 if figure.unit == "ratio" else 1
    row = (
        f"{figure.name:<26}{figure.value:>14,.{digits}f}  {figure.unit:<16}"
        f"{target:>12}  {verdict:<7}{wall:>10}  {figure.note}"
    )
    return row.rstrip()


def show(figure: Figure, *, machine_readable: bool) -> None:
    line = as_json(figure) if machine_readable else as_row(figure)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
