"""Apply $select, $filter and $expand to definitions of the metadata API. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sandbox.contoso.definitions import Definition, base_members
from sandbox.contoso.errors import bad_query, no_such_property
from sandbox.contoso.expressions import parse
from sandbox.contoso.filters import matches
from sandbox.contoso.relationships import COMMON_MEMBERS

Options = Mapping[str, str]
# Finds what a navigation of a definition leads to; None when there is no such one.
Find = Callable[[Definition, str], object]

# Members that stay away unless they are expanded.
OPTION_SETS = frozenset({"OptionSet", "GlobalOptionSet"})


def option_sets(row: Definition, name: str) -> object:
    """Find the navigations that a column's definition holds itself."""
    if name not in OPTION_SETS or name not in row:
        raise no_such_property(name, type_name="AttributeMetadata")
    return row[name]


def collection(
    rows: Iterable[Definition],
    options: Options,
    *,
    context: str,
    find: Find = option_sets,
) -> Definition:
    condition = options.get("$filter")
    expression = None if condition is None else parse(condition)
    chosen = [row for row in rows if expression is None or matches(row, expression)]
    select = options.get("$select")
    return {
        "@odata.context": context + (f"({select})" if select else ""),
        "value": [picked(row, options, find=find) for row in chosen],
    }


def picked(
    row: Definition, options: Options, *, find: Find = option_sets
) -> Definition:
    """Return the row as $select and $expand want it."""
    names = [name.strip() for name in options.get("$select", "").split(",") if name]
    for name in names:
        if name not in _known(row):
            kind = "AttributeMetadata" if "AttributeType" in row else "EntityMetadata"
            raise no_such_property(name, type_name=kind)
    chosen = {name: row[name] for name in row if _is_picked(row, name, names)}
    for name, inner in expansions(options.get("$expand", "")):
        chosen[name] = _expanded(find(row, name), inner)
    return chosen


def uncast(row: Definition) -> Definition:
    """Return the row of which only what all kinds have in common can be selected."""
    return row | {"@uncast": True}


def expansions(text: str) -> Iterator[tuple[str, Options]]:
    """Split `A($select=x;$filter=y),B` at its outer commas.

    :raises WebApiError: unbalanced; 400.
    """
    for part in _split(text, ","):
        name, _, inner = part.partition("(")
        options = (option.partition("=") for option in _split(inner[:-1], ";"))
        yield name.strip(), {key.strip(): value for key, _, value in options}


def _known(row: Definition) -> set[str]:
    if "@uncast" not in row:
        return set(row)
    if "RelationshipType" in row:
        return set(COMMON_MEMBERS)
    return base_members(row)


def _is_picked(row: Definition, name: str, names: list[str]) -> bool:
    if name == "@uncast" or name in OPTION_SETS:
        return False
    if name == "@odata.type":
        return True
    if "@uncast" in row and not names and "AttributeType" in row:
        return True
    return not names or name in names or name == "MetadataId"


def _expanded(found: object, inner: Options) -> object:
    if isinstance(found, dict):
        return picked(found, inner)
    if isinstance(found, list):
        return collection(found, inner, context="")["value"]
    return found


def _split(text: str, mark: str) -> Iterator[str]:
    depth, start, is_quoted = 0, 0, False
    for place, sign in enumerate(text):
        is_quoted ^= sign == "'"
        depth += 0 if is_quoted else (sign == "(") - (sign == ")")
        if sign == mark and depth == 0 and not is_quoted:
            yield text[start:place]
            start = place + 1
    if depth or is_quoted:
        raise bad_query(f"Syntax error in '{text}'.")
    if text[start:].strip():
        yield text[start:]
