"""Draw who takes how many rows along: units, their people, a bar per table. Pure.

The picture brings its own background in light and dark, for it cannot know that of the
page. Text stays text, and a description says in words what the bars show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from math import sqrt

from replication.services.looking import TakenTable
from replication.take_along.people import PersonSet, StagedTable, TakeAlong, Unit

_MARGIN = 20
_INDENT = 18
_HEAD = 86
_UNIT_HEIGHT = 26
_PERSON_HEIGHT = 32
_PROFILES_AT = 300
_BARS_AT = 510
_BAR, _GAP = 110, 24
_LONGEST = 32

_STYLE = """
  svg { --ground: #ffffff; --line: #d0d7de; --ink: #1f2328; --faint: #57606a;
        --track: #eaeef2; --bar: #0969da; color-scheme: light dark }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #0d1117; --line: #30363d; --ink: #e6edf3; --faint: #9198a1;
          --track: #21262d; --bar: #4493f8 }
  }
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
         fill: var(--ink); user-select: text }
  .ground { fill: var(--ground); stroke: var(--line) }
  .line { stroke: var(--line) }
  .title { font-size: 17px; font-weight: 600 }
  .unit { font-weight: 600 }
  .faint { fill: var(--faint); font-size: 12px }
  .count { font-size: 12px; font-variant-numeric: tabular-nums }
  .track { fill: var(--track) }
  .bar { fill: var(--bar) }
"""


def drawn(found: TakeAlong) -> str:
    """The picture as SVG."""
    width = _MARGIN + _BARS_AT + len(found.tables) * (_BAR + _GAP)
    rows = list(_rows(found))
    height = _HEAD + sum(height for height, _ in rows) + _MARGIN
    size = f'width="{width}" height="{height}"'
    ground = f'width="{width - 1}" height="{height - 1}" x="0.5" y="0.5" rx="8"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}"',
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(_title(found))}</title>',
        f'<desc id="description">{escape(_description(found))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" {ground}/>',
        *_heading(found, width),
        *_stacked(rows),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _title(found: TakeAlong) -> str:
    return f"What the people of {found.organization} take along"


def _description(found: TakeAlong) -> str:
    units = {unit.id: unit.name for unit in found.units}
    said = []
    for person in found.people:
        place = units.get(person.unit) if person.unit else None
        who = f"{person.name} of {place}" if place else person.name
        said.append(f"{who}: {person.refused or _counts(person, found.tables)}")
    return " ".join(line if line.endswith(".") else f"{line}." for line in said)


def _counts(person: PersonSet, tables: Iterable[StagedTable]) -> str:
    held = ((t.name, person.tables.get(t.name)) for t in tables)
    return ", ".join(f"{n} {t.rows:,}" if t else f"no {n}" for n, t in held)


def _heading(found: TakeAlong, width: int) -> Iterator[str]:
    yield _text(_MARGIN, 32, _title(found), kind="title")
    yield _text(
        _MARGIN,
        52,
        "Rows per table; a bar is as long as the square root of their share of staging.",
        kind="faint",
    )
    yield _text(_PROFILES_AT, 76, "profiles", kind="faint")
    for number, table in enumerate(found.tables):
        yield _text(
            _column(number), 76, f"{table.name} of {table.rows:,}", kind="faint"
        )
    yield (
        f'<line class="line" x1="{_MARGIN}" x2="{width - _MARGIN}"'
        f' y1="{_HEAD - 0.5}" y2="{_HEAD - 0.5}"/>'
    )


Row = tuple[int, list[str]]


def _stacked(rows: Iterable[Row]) -> Iterator[str]:
    """Each row in a group of its own, one below the other."""
    top = _HEAD
    for height, content in rows:
        yield f'<g transform="translate(0 {top})">'
        yield from content
        yield "</g>"
        top += height


def _rows(found: TakeAlong) -> Iterator[Row]:
    for unit in _peopled(found):
        x = _MARGIN + unit.level * _INDENT
        yield _UNIT_HEIGHT, [_text(x, 20, _short(unit.name), kind="unit")]
        for person in found.of_unit(unit.id):
            yield _PERSON_HEIGHT, list(_person(person, x + _INDENT, found.tables))
    known = {unit.id for unit in found.units}
    for person in found.people:
        if person.unit not in known:
            yield _PERSON_HEIGHT, list(_person(person, _MARGIN, found.tables))


def _peopled(found: TakeAlong) -> list[Unit]:
    """Units in which somebody works, and those above them."""
    kept: list[Unit] = []
    level = -1
    for unit in reversed(found.units):
        # Backwards, the first unit of a smaller level is the one above.
        if found.of_unit(unit.id) or unit.level < level:
            kept.append(unit)
            level = unit.level
    return kept[::-1]


def _person(
    person: PersonSet, x: int, tables: tuple[StagedTable, ...]
) -> Iterator[str]:
    yield _text(x, 20, _short(person.name))
    if person.refused:
        yield _text(_PROFILES_AT, 20, person.refused, kind="faint")
        return
    profiles = _short(", ".join(person.profiles))
    yield _text(_PROFILES_AT, 20, profiles, kind="faint")
    for number, table in enumerate(tables):
        yield from _bar(_column(number), table, person.tables.get(table.name))


def _bar(x: int, staged: StagedTable, taken: TakenTable | None) -> Iterator[str]:
    if taken is None:
        yield _text(x, 17, "\N{EN DASH}", kind="count")
        return
    yield _text(x, 17, f"{taken.rows:,}", kind="count")
    yield f'<rect class="track" x="{x}" y="22" width="{_BAR}" height="5" rx="2.5"/>'
    if taken.rows:
        share = min(1.0, taken.rows / max(staged.rows, 1))
        length = max(5.0, _BAR * sqrt(share))
        yield (
            f'<rect class="bar" x="{x}" y="22" width="{length:.1f}" height="5"'
            ' rx="2.5"/>'
        )


def _column(number: int) -> int:
    return _BARS_AT + number * (_BAR + _GAP)


def _text(x: int, y: int, content: str, *, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{attribute}>{escape(content)}</text>'


def _short(content: str) -> str:
    """As much as fits beside the next column."""
    return content if len(content) <= _LONGEST else f"{content[: _LONGEST - 1]}…"
