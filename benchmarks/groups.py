"""Which figures there are, in which groups, and which of them were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks import (
    fleet,
    large,
    many,
    pulling,
    segments,
    serving,
    uploading,
    visibility,
    write_back,
)
from benchmarks.figures import Figure
from benchmarks.world import World


class UnknownFigureError(Exception):
    """`ONLY` names something that is neither a figure nor a group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that share servers and set-up.

    `measure` yields them in the order of `figures`. It may leave out what
    `World.wants` says nobody asked for, unless a later figure builds on it.
    """

    figures: tuple[str, ...]
    measure: Callable[[World], Iterator[Figure]]


GROUPS: Mapping[str, Group] = {
    "pulling": Group(pulling.FIGURES, pulling.figures),
    "serving": Group(serving.FIGURES, serving.figures),
    "segments": Group(segments.FIGURES, segments.figures),
    "many": Group(many.FIGURES, many.figures),
    "fleet": Group(fleet.FIGURES, fleet.figures),
    "uploading": Group(uploading.FIGURES, uploading.figures),
    "writing": Group(write_back.FIGURES, write_back.figures),
    "large": Group(large.FIGURES, large.figures),
    "visibility": Group(visibility.FIGURES, visibility.figures),
}


def chosen(
    only: str, *, groups: Mapping[str, Group] = GROUPS
) -> dict[str, tuple[str, ...]]:
    """Return the figures to measure, by group; an empty `only` asks for all.

    :param only: names of figures or groups, separated by commas.
    :raises UnknownFigureError: with the list of names that there are.
    """
    asked = {name.strip() for name in only.split(",") if name.strip()}
    known = set(groups).union(*(group.figures for group in groups.values()))
    if asked - known:
        raise UnknownFigureError(_refusal(sorted(asked - known), groups))
    found = {
        name: tuple(f for f in group.figures if not asked or {f, name} & asked)
        for name, group in groups.items()
    }
    return {name: figures for name, figures in found.items() if figures}


def _refusal(wrong: list[str], groups: Mapping[str, Group]) -> str:
    lines = [f"There is no figure {', '.join(wrong)}. Groups and their figures are:"]
    lines += [f"  {name}: {', '.join(g.figures)}" for name, g in groups.items()]
    return "\n".join(lines)
