"""The figures to reach, and how they are printed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass


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
    return (
        f"{figure.name:<26}{figure.value:>14,.1f}  {figure.unit:<22}{target:>14}"
        f"  {verdict:<7}{wall:>10}  {figure.note}"
    )


def show(figure: Figure, *, machine_readable: bool) -> None:
    line = as_json(figure) if machine_readable else as_row(figure)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
