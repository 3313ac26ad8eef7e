"""Say in Markdown who takes what along. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from replication.domain.profiles import ProfileDef, ProfileItem
from replication.services.looking import TakenTable
from replication.take_along.people import HeldRole, PersonSet, TakeAlong

_NOTHING = "\N{EN DASH}"
_RECORDS = {
    "all": "every row that they may read",
    "custom": "rows that the filter accepts",
    "related_only": "only what others bring",
}


def section(found: TakeAlong, *, picture: str) -> str:
    """The whole section; `picture` is where the page finds the picture."""
    lines = [
        f"## Example: the people of {found.organization}",
        "",
        f"![Who takes how many rows along, by business unit]({picture})",
        "",
        *_profiles(found),
        "### Who they are",
        "",
        *_who(found),
        "",
        "### What they take along",
        "",
        *_what(found),
    ]
    if found.more_people:
        lines += ["", f"And {found.more_people:,} more people."]
    return "\n".join(lines) + "\n"


def _profiles(found: TakeAlong) -> Iterator[str]:
    yield "### What is published"
    yield ""
    for profile in found.profiles:
        yield f"**{profile.name}**, for {_assigned(profile, found)}:"
        yield ""
        for item in profile.items:
            yield f"- `{item.table}`: {_item(item)}"
            if item.filter is not None:
                yield from _filter(item.filter.language, item.filter.text)
        yield ""


def _assigned(profile: ProfileDef, found: TakeAlong) -> str:
    to = profile.assignments
    words = ["everyone"] if to.everyone else []
    words += _named("the role", to.roles, found)
    words += _named("the team", to.teams, found)
    words += _named("", to.users, found)
    if profile.is_default:
        words.append("whoever has no other")
    return ", ".join(words) or "nobody"


def _named(kind: str, ids: Iterable[UUID], found: TakeAlong) -> list[str]:
    return [f"{kind} {found.names.get(one, str(one))}".strip() for one in ids]


def _item(item: ProfileItem) -> str:
    words = [_RECORDS.get(item.records) or _owned(item)]
    if item.can_be_followed:
        words.append("rows that they follow")
    words += [f"brings `{a.table}` (`{a.column}`)" for a in item.associations]
    if item.columns is not None:
        words.append("columns " + ", ".join(f"`{name}`" for name in item.columns))
    if item.writable:
        words.append("may be edited")
    return "; ".join(words)


def _owned(item: ProfileItem) -> str:
    whose = {
        "their own": item.owned_by_me,
        "their teams'": item.owned_by_my_team,
        "their business unit's": item.owned_by_my_business_unit,
    }
    return " or ".join(who for who, is_meant in whose.items() if is_meant)


def _filter(language: str, text: str) -> Iterator[str]:
    yield ""
    yield "  ```xml" if language == "fetchxml" else "  ```text"
    yield from (f"  {line}".rstrip() for line in text.strip().splitlines())
    yield "  ```"


def _who(found: TakeAlong) -> Iterator[str]:
    units = {unit.id: unit.name for unit in found.units}
    yield from _head("", "business unit", "roles", "teams", "profiles")
    for person in found.people:
        yield _row(
            f"**{person.name}**",
            units.get(person.unit, "") if person.unit else "",
            _joined(map(_role, person.roles)),
            _joined(person.teams),
            _joined(person.profiles),
        )


def _role(role: HeldRole) -> str:
    return f"{role.name} (through {role.through})" if role.through else role.name


def _what(found: TakeAlong) -> Iterator[str]:
    yield f"Rows and columns; {_NOTHING} where the table is not in the person's model."
    yield ""
    yield from _head("", *(f"`{table.name}`" for table in found.tables))
    yield _row(
        "*in staging*", *(f"{t.rows:,} rows, {t.columns} columns" for t in found.tables)
    )
    for person in found.people:
        if not person.refused:
            cells = (_taken(person.tables.get(t.name)) for t in found.tables)
            yield _row(f"**{person.name}**", *cells)
    refused = [person for person in found.people if person.refused]
    if refused:
        yield ""
        yield "Nothing goes along with:"
        yield ""
        yield from (_refused(person) for person in refused)


def _taken(table: TakenTable | None) -> str:
    """A dash where the person's model does not have the table."""
    if table is None:
        return _NOTHING
    words = [f"{table.rows:,} rows", f"{table.columns} columns"]
    if table.masked:
        words.append(f"without {', '.join(f'`{name}`' for name in table.masked)}")
    return ", ".join(words)


def _refused(person: PersonSet) -> str:
    return f"- **{person.name}**: {person.refused}"


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield "|---" * len(titles) + "|"


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(escaped) + " |"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words) or _NOTHING
